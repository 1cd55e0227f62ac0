"""Which trace, and whose, an event of Sentry's belongs to; and Sentry's own trace made ours.

Sentry keeps what it knows of a request on an isolation scope, which its integrations open around
the request: outside of our middleware in frameworks, inside of it where `sentry_apps` opens it.
"""

from __future__ import annotations

import re
import sys
from os import urandom
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.context import current_trace, current_trace_id
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.failures import is_sent, note, repeats, root_of, trace_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from logging import LogRecord
    from types import ModuleType

    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Event

TRACE_HEADER = "sentry-trace"
_TRACE_HEADER = TRACE_HEADER.encode()
_sentry_trace = re.compile(rb"([0-9a-f]{32})-[0-9a-f]{16}(?:-[01])?").fullmatch
_TAG = "trace_id"
# The names of the scopes that Sentry's integrations open around a request or a task.
_REQUESTS = frozenset({"asgi", "wsgi", "django", "litestar", "celery"})
# Servers that log an error as text, whose exception has been sent; the second line that Celery logs
# of a task that took too long; what Django raises where a server asks for its lifespan.
_AS_TEXT = frozenset({"_granian.utils", "werkzeug"})
_CELERY = "celery.worker.request"
_UNNAMED = "generic WSGI request"
_NO_LIFESPAN = "Django can only handle ASGI/HTTP connections, not lifespan."


class SentrySink:
    """Makes the scope that Sentry has opened around us the request's own.

    Args:
        sdk: The module `sentry_sdk`.
    """

    name = "sentry"

    def __init__(self, sdk: ModuleType) -> None:
        self._sdk = sdk

    def started(self, record: Trace) -> None:
        """Claim the scope, if it is one of a request."""
        if is_of_request(self._sdk):
            claim(self._sdk, record)

    def ended(self, trace: Trace) -> None:
        """The scope ends with the request by itself."""

    def handle(self, event: Event) -> None:
        """No fact of ours becomes a Sentry event."""

    def adopt(self, headers: Iterable[tuple[bytes, bytes]], trusted: bool) -> str | None:  # noqa: FBT001 - as core calls it
        """The trace that Sentry has for a request."""
        return adopt(headers, trusted)


def is_of_request(sdk: ModuleType) -> bool:
    """Whether Sentry has opened a scope for a request around us."""
    # The name is private to sentry_sdk; the span is None in some of its tracing modes.
    scope = sdk.get_isolation_scope()
    return getattr(scope, "_name", None) in _REQUESTS or sdk.get_current_span() is not None


def claim(sdk: ModuleType, record: Trace) -> None:
    """Have all that is captured in the current scope, in whatever thread, belong to a request.

    Args:
        sdk: The module `sentry_sdk`.
        record: The request's.
    """
    sdk.get_isolation_scope().add_event_processor(_Claim(record))
    digits = ids.to_hex(record.trace_id)
    if digits is not None:
        _continue(sdk, digits)


def _continue(sdk: ModuleType, digits: str) -> None:
    """Make Sentry's trace ours; one with a parent is the caller's, and stays as it is."""
    span = sdk.get_current_span()
    root = None if span is None else span.containing_transaction
    if span is not None and root is not None and root.parent_span_id is None:
        # Nothing has been sent of it yet, and what it begins from now on has its id. What it has
        # begun (a span for each of Django's middlewares) is kept in private, if at all.
        begun = getattr(getattr(root, "_span_recorder", None), "spans", ())
        for one in (root, span, *begun):
            one.trace_id = digits
    # What counts where no span does: with tracing off, and while a WSGI server reads a body.
    scope = sdk.get_isolation_scope()
    context = scope.get_trace_context()
    if context["trace_id"] != digits and context.get("parent_span_id") is None:
        scope.generate_propagation_context({TRACE_HEADER: trace_header(digits)})


def trace_header(digits: str) -> str:
    """A `sentry-trace` that continues a trace; whether it is sampled is left open.

    https://develop.sentry.dev/sdk/telemetry/traces/#header-sentry-trace

    Args:
        digits: The trace's 32 hex digits.
    """
    return f"{digits}-{urandom(8).hex()}"


def adopt(headers: Iterable[tuple[bytes, bytes]], trusted: bool) -> str | None:  # noqa: FBT001 - as core calls it
    """The trace that Sentry has for a request: the caller's, else the one it has begun.

    Args:
        headers: The request's headers, names in lower case.
        trusted: Whether an id that came in may be taken over.

    Returns:
        The trace's id in the form of ours; None if there is none, or Sentry can take over ours.
    """
    sent = next((value for name, value in headers if name == _TRACE_HEADER), b"")
    caller = _sentry_trace(sent.strip())
    if caller is not None:
        return ids.to_uuid(caller[1].decode()) if trusted else None
    if current_trace_id.get():  # left over in this context, and so is what Sentry has there
        return None
    span = sys.modules["sentry_sdk"].get_current_span()
    return None if span is None else ids.to_uuid(span.trace_id)


class _Claim:
    """Puts on an event what is known of the request whose scope it was captured in.

    Args:
        record: The request's.
    """

    __slots__ = ("_record",)

    def __init__(self, record: Trace) -> None:
        self._record = record

    def __call__(self, event: dict[str, Any], _hint: dict[str, Any]) -> dict[str, Any] | None:
        record = self._record
        if event.get("type") == "transaction" and getattr(record, "quiet", False):
            return None
        # A trace within the request is more exact; one that has ended is not current any more.
        _put(event, current_trace_id.get() or record.trace_id, current_trace.get() or record)
        _name(event, record)
        return event


def tag(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any] | None:
    """Tag an event with the trace of this context, or with the one that its exception left.

    Returns:
        None for what is not to be sent: the same exception again, or none of the service's.
    """
    error = (hint.get("exc_info") or (None, None))[1]
    record = current_trace.get()
    trace_id = current_trace_id.get() or trace_of(error)
    if _is_noise(error, hint.get("log_record")):
        return None
    if error is not None:
        root = root_of(error)
        # A server may log it outside of the context in which Sentry looks for repetitions.
        if trace_id and (is_sent(error) or is_sent(root)):
            return None
        if trace_id:
            note(error).sent = True
            note(root).sent = True
        if root is not error:
            _show(event, root)
    if trace_id:
        _put(event, trace_id, record)
    _group(event, hint)
    return event


def _put(event: dict[str, Any], trace_id: str, record: Trace | None) -> None:
    tags = event.setdefault("tags", {})
    tags[_TAG] = trace_id
    user_id = None if record is None else record.bound.get("user_id")
    if user_id is not None:
        user = event["user"] = dict(event.get("user") or {})
        user["id"] = str(user_id)


def _name(event: dict[str, Any], record: Trace) -> None:
    """Call the transaction by its route, else by its path, where Sentry knows no better."""
    source = (event.get("transaction_info") or {}).get("source")
    known = source not in {None, "url"} and event.get("transaction") != _UNNAMED
    if known or not isinstance(record, Exchange):
        return
    route = record.route()
    event["transaction"] = record.path if route is None else route
    event["transaction_info"] = {"source": "url" if route is None else "route"}


def _is_noise(error: BaseException | None, line: LogRecord | None) -> bool:
    """Whether this is no failure of the service's, or one that is told of in another way."""
    if error is not None:  # under uvicorn each start begins with it
        return type(error) is ValueError and str(error) == _NO_LIFESPAN
    if line is None:
        return False
    text = str(line.msg)
    return (line.name in _AS_TEXT and repeats(line)) or (
        line.name == _CELERY and text.startswith("Hard time limit")
    )


def _show(event: dict[str, Any], root: BaseException) -> None:
    """Show what a framework has wrapped in an exception instead of that."""
    sdk = sys.modules["sentry_sdk"]
    mechanism = event["exception"]["values"][-1].get("mechanism") or {}
    shown, _ = sdk.utils.event_from_exception(
        root,
        client_options=sdk.get_client().options,
        mechanism={key: mechanism[key] for key in ("type", "handled") if key in mechanism},
    )
    event["exception"] = shown["exception"]


def _group(event: dict[str, Any], hint: dict[str, Any]) -> None:
    """Have a structured line be one issue by its name, whatever its exception says."""
    line: LogRecord | None = hint.get("log_record")
    if line is not None and "_pantheon_obs" in line.__dict__:
        event.setdefault("fingerprint", [line.name, line.msg])
