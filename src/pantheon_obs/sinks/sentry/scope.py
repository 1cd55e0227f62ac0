"""Tag Sentry's events with our trace and its user, and make Sentry's own trace ours.

Sentry keeps the facts about a request on an isolation scope, which its integrations open around the
request: outside of our middleware in frameworks, inside of it where `apps` opens it.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import structured
from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.context import Trace, current_trace, trace_on
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.failures import is_from, root_of, trace_id_of
from pantheon_obs.core.serving import active
from pantheon_obs.products import PRODUCTS
from pantheon_obs.sinks.sentry.claims import Claim, claims_on, left_by_others
from pantheon_obs.sinks.sentry.delivery import is_repetition, mechanism_of, offer_event

if TYPE_CHECKING:
    from logging import LogRecord
    from types import ModuleType

_CLAIMS = "_sentry_claims"
_UNNAMED = "generic WSGI request"
_SERVER_ERROR = 500
_PLACES = {"ip_address", "geo"}  # where a user is, not who

_PROTOCOLS = {row.protocol for row in PRODUCTS if row.protocol}
_HTTP_ERRORS = {row.name: row.http_error for row in PRODUCTS if row.http_error}
_LIFESPAN_ERRORS = {row.lifespan_error for row in PRODUCTS if row.lifespan_error}


def claim(sdk: ModuleType, trace: Trace) -> None:
    """Give the events of the current scope the trace and name of a request."""
    span = sdk.get_current_span()
    root = None if span is None else span.containing_transaction
    scope = sdk.get_isolation_scope()
    claimed = Claim(trace, scope, getattr(root, "span_id", None))
    trace.__dict__.setdefault(_CLAIMS, []).append(claimed)
    # The processor of the current scope runs after the integrations' processors, which are on the
    # isolation scope. While a body is read, the isolation scope is there.
    for each in (scope, sdk.get_current_scope()):
        each.add_event_processor(partial(_describe, claimed))
    digits = ids.to_hex(trace.trace_id)
    if digits is not None:
        _continue(sdk, digits)
    claimed.sentry_traces = {
        each.trace_id for each in (root, scope.get_active_propagation_context()) if each is not None
    }


def forget(sdk: ModuleType) -> None:
    """Remove a request's data from the scopes of a forked process, which are copies."""
    scope, current = sdk.get_isolation_scope(), sdk.get_current_scope()
    if (claimed := next(claims_on(scope), None)) is not None:
        claimed.settle()
        scope.set_new_propagation_context()
        current.span = scope._transaction = current._transaction = None  # noqa: SLF001 - no public way


def settle(trace: Trace) -> None:
    """Remember the data that a trace which ends has put on its scopes."""
    for claimed in trace.__dict__.pop(_CLAIMS, ()):
        claimed.settle()


def _continue(sdk: ModuleType, digits: str) -> None:
    """Give Sentry's trace our id; a trace with a parent is the caller's, and stays as it is."""
    span = sdk.get_current_span()
    root = None if span is None else span.containing_transaction
    if span is not None and root is not None and root.parent_span_id is None:
        # Nothing of it has been sent yet, and spans to come inherit its id. Those that have begun
        # (one for each of Django's middlewares) are in a private list, if anywhere.
        begun = getattr(getattr(root, "_span_recorder", None), "spans", ())
        for each in (root, span, *begun):
            each.trace_id = digits
    # Counts where there is no span: with tracing off, and while a WSGI server reads a body.
    scope = sdk.get_isolation_scope()
    begun_there = scope.get_active_propagation_context()
    if begun_there.trace_id != digits and begun_there.parent_span_id is None:
        scope.set_new_propagation_context()  # forks of the scope share the other one
        scope.get_active_propagation_context().trace_id = digits


def _describe(claimed: Claim, event: dict[str, Any], _: object) -> dict[str, Any] | None:
    """Put a request's trace and name on an event that was captured in its scope.

    A thread has a copy of the scope, and may outlive the request: then only its own transaction and
    failure are the request's, and the events that `tag` has tagged so.
    """
    trace, is_left = claimed.trace, claimed.is_left()
    tagged = (event.get("tags") or {}).get("trace_id")
    if event.get("type") == "transaction":
        span = (event.get("contexts") or {}).get("trace") or {}
        is_own = not is_left or span.get("span_id") == claimed.root_span
        if is_own and getattr(trace, "quiet", False):
            return None
    else:
        is_own = not is_left or tagged == trace.trace_id
    if is_own:
        # A trace within the request is more exact.
        if tagged in {None, trace.trace_id}:
            _put(event, trace.trace_id, active()[1] or trace)
        _name(event, trace)
    elif tagged != trace.trace_id:  # else `carry` has brought it there
        claimed.strip(event, tagged)
    return event


def tag(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any] | None:
    """Tag an event with the trace of this context or exception; drop it if no failure is new."""
    error: BaseException | None = (hint.get("exc_info") or (None, None))[1]
    record: LogRecord | None = hint.get("log_record")
    if is_repetition(error, record, event) or _is_no_failure(error, event):
        return None
    current_id, current = active()
    of_request = trace_on(getattr(record, "request", None))
    if of_request is not None:  # a framework reports it after its end
        current_id, current = of_request.trace_id, of_request
    trace_id = trace_id_of(error) or current_id or _claimed(error)
    if error is not None:
        root = root_of(error)
        offer_event(error, event)
        if root is not error:
            _show(event, root)
    if trace_id:
        _put(event, trace_id, current if current_id in {"", trace_id} else None)
        if (digits := _digits_of_job(trace_id, current)) is not None:
            event["contexts"]["trace"] = {"trace_id": digits, "span_id": digits[:16]}
    if isinstance(current, Exchange):
        # Where no integration is around the application, which would say it in full later.
        event.setdefault("request", {"method": current.method, "url": current.path})
    if record is not None and id(record) in structured.in_flight:
        # One issue per name of an event, independent of the text of its exception.
        event.setdefault("fingerprint", [record.name, record.msg])
    return event


def tag_log(log: dict[str, Any]) -> None:
    """Put the trace of this context on a log of Sentry's; a request that is over has none."""
    trace_id, current = active()
    for claimed in left_by_others():
        claimed.strip_log(log, trace_id)
    if trace_id:
        log["attributes"]["trace_id"] = trace_id
        log["trace_id"] = _digits_of_job(trace_id, current) or log["trace_id"]


def _claimed(error: BaseException | None) -> str | None:
    """Return the id of the request whose scope this is, if the exception was raised in it last."""
    claims = claims_on(sys.modules["sentry_sdk"].get_isolation_scope())
    return next((each.trace.trace_id for each in claims if is_from(error, each.trace)), None)


def _is_no_failure(error: BaseException | None, event: dict[str, Any]) -> bool:
    """Whether an integration captures an exception that ends a request in an ordinary way."""
    if error is None:
        return False
    if type(error) is ValueError and str(error) in _LIFESPAN_ERRORS:
        return True  # a framework refuses the lifespan that a server offers it at each start
    mechanism = mechanism_of(event)
    if mechanism.get("handled", True):  # the application itself may capture anything
        return False
    kind = mechanism.get("type")
    trace = current_trace.get()
    if isinstance(trace, Exchange):
        is_ordinary = trace.may_escape if kind in _PROTOCOLS else trace.says_departure
        if is_ordinary(error):
            return True
    if kind not in _HTTP_ERRORS:
        return False
    module, name = _HTTP_ERRORS[kind]
    http_error = getattr(sys.modules.get(module), name, ())
    status: int | None = getattr(error, "code", None)
    return isinstance(error, http_error) and (status or _SERVER_ERROR) < _SERVER_ERROR


def _put(event: dict[str, Any], trace_id: str, trace: Trace | None) -> None:
    event.setdefault("tags", {})["trace_id"] = trace_id
    user_id = None if trace is None else trace.bound.get("user_id")
    user = event.get("user") or {}
    # One that the application has set is another description of a user, or another user.
    if user_id is not None and user.keys() <= _PLACES:
        event["user"] = {**user, "id": str(user_id)}


def _digits_of_job(trace_id: str, trace: Trace | None) -> str | None:
    """Return Sentry's id for the trace of a `trace_context`, unless a span of Sentry's has one."""
    is_job = type(trace) is Trace and sys.modules["sentry_sdk"].get_current_span() is None
    return ids.to_hex(trace_id) if is_job else None


def _name(event: dict[str, Any], trace: Trace) -> None:
    """Name the transaction by its route, else by its path, if Sentry has no better name."""
    source = (event.get("transaction_info") or {}).get("source")
    known = source not in {None, "url"} and event.get("transaction") != _UNNAMED
    if known or not isinstance(trace, Exchange):
        return
    route = trace.route()
    event["transaction"] = trace.path if route is None else route
    event["transaction_info"] = {"source": "url" if route is None else "route"}


def _show(event: dict[str, Any], root: BaseException) -> None:
    """Show the exception that a framework has wrapped, in place of the wrapper."""
    sdk = sys.modules["sentry_sdk"]
    mechanism = mechanism_of(event)
    kept: dict[str, Any] = {key: mechanism[key] for key in mechanism.keys() & {"type", "handled"}}
    event["exception"] = event_of(sdk, root, kept)[0]["exception"]


def event_of(sdk: ModuleType, error: BaseException, mechanism: dict[str, Any]) -> Any:  # noqa: ANN401 - Sentry's
    """Make Sentry's event of an exception, and its hint."""
    options = sdk.get_client().options
    return sdk.utils.event_from_exception(error, client_options=options, mechanism=mechanism)
