"""Start `sentry_sdk`, watch its events, and hand it our traces and the failures that it misses.

The module is imported only if there is a DSN or a client. Our options are defaults: those of the
application win.
"""

from __future__ import annotations

import codecs
import logging
import re
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.events import LifespanFailed
from pantheon_obs.core.failures import is_sent, note
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.runtime import on_fork
from pantheon_obs.core.serving import active
from pantheon_obs.products import PRODUCTS
from pantheon_obs.sinks.sentry.claims import keep_headers_in
from pantheon_obs.sinks.sentry.delivery import begin_afresh
from pantheon_obs.sinks.sentry.masking import masking
from pantheon_obs.sinks.sentry.options import dsn_of
from pantheon_obs.sinks.sentry.scope import claim, event_of, forget, settle, tag, tag_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Event
    from pantheon_obs.core.settings import Settings

    _Hook = Callable[[Any, Any], Any]

# The exceptions on these loggers' lines reach Sentry where they escape.
_OURS = ("request", "task", "llm", "health", "guard", "lifespan")
_NEVER_EVENTS = {f"pantheon_obs.{name}" for name in _OURS}
_URLLIB3 = "urllib3.connectionpool"

_LOG_HOOK = "before_send_log"
_HOOKS = ("before_send", "before_send_transaction", _LOG_HOOK, "before_send_metric")
_SPAN_HOOK = "before_send_span"  # the SDK warns of it unless spans are sent one by one

_TRACE_HEADER = b"sentry-trace"
_sentry_trace = re.compile(rb"([0-9a-f]{32})-[0-9a-f]{16}(?:-[01])?").fullmatch
_SECONDS = 2  # as the SDK itself waits at the end of a process

_SCOPES = {scope for row in PRODUCTS for scope in (row.protocol, row.sentry_scope) if scope}

_logs_guard = Guard("sentry logs")
_fork_guard = Guard("sentry after a fork")
_watched: ModuleType | None = None  # the SDK, while its events are watched


def options_for(settings: Settings) -> dict[str, Any]:
    """Build the arguments of `sentry_sdk.init`."""
    given: Mapping[str, Any] = settings.sentry_options or {}
    options: dict[str, Any] = {
        "environment": settings.environment,
        "release": settings.release,
        # None turns tracing off. With 0, Sentry would still follow each caller's own decision.
        "traces_sample_rate": settings.sentry_traces_sample_rate or None,
        "include_local_variables": False,
        "max_request_body_size": "never",
        # They import every framework that is installed; `integrations` adds those in use.
        "auto_enabling_integrations": False,
    }
    if settings.sentry_send_default_pii:  # deprecated since 2.75, which warns even of False
        options["send_default_pii"] = True
    options |= {**given, "dsn": dsn_of(settings)}
    mask = masking(settings)
    hooks = [*_HOOKS, _SPAN_HOOK] if given.get("trace_lifecycle") == "stream" else _HOOKS
    known = import_module("sentry_sdk.consts").DEFAULT_OPTIONS
    for hook in filter(known.__contains__, hooks):
        own = given.get(hook) or (given.get("_experiments") or {}).get(hook)
        options[hook] = _masked(mask, own, is_log=hook == _LOG_HOOK)
    integrations = list(given.get("integrations") or ())
    has_own = any(integration.identifier == "atexit" for integration in integrations)
    if given.get("default_integrations", True) and not has_own:
        # The default callback prints to standard error while the last events are sent.
        atexit = import_module("sentry_sdk.integrations.atexit")
        integrations.append(atexit.AtexitIntegration(callback=lambda *_: None))
    options["integrations"] = integrations
    return options


def _masked(mask: _Hook, own: _Hook | None, *, is_log: bool) -> _Hook:
    """Let the application's own hook change or drop an event before it is masked.

    A log gets its trace in between; event processors do that for events.
    """

    def hook(event: Any, hint: Any) -> Any:  # noqa: ANN401 - Sentry's
        kept = event if own is None else own(event, hint)
        if kept is None:
            return None
        if is_log:
            with _logs_guard:
                tag_log(kept)
        return mask(kept, hint)

    return hook


class SentrySink:
    """Puts the trace on the scope that Sentry has opened around a request or task."""

    name = "sentry"

    def __init__(self, sdk: ModuleType) -> None:
        self._sdk = sdk

    def started(self, trace: Trace) -> None:
        """Claim the scope of the request or task; a trace without one gets a scope of its own."""
        # The name is private to sentry_sdk; the span is None in some of its tracing modes.
        scope = self._sdk.get_isolation_scope()
        if getattr(scope, "_name", None) in _SCOPES or self._sdk.get_current_span() is not None:
            claim(self._sdk, trace)
        elif trace.owns_context:
            variables: Any = self._sdk.scope
            variables._isolation_scope.set(scope.fork())  # noqa: SLF001 - the public ways end with a block
            variables._current_scope.set(self._sdk.get_current_scope().fork())  # noqa: SLF001 - as above
            claim(self._sdk, trace)

    def entered(self, trace: Trace) -> None:
        """Claim the scope that an interceptor of Sentry's has opened since."""
        if self._sdk.get_current_span() is not None:
            claim(self._sdk, trace)

    def ended(self, trace: Trace) -> None:
        """Leave the scope, which Sentry closes itself, or which ends with the context."""
        settle(trace)

    def handle(self, event: Event) -> None:
        """Send a failure that Sentry itself does not get."""
        kind: str | None = getattr(event, "uncaptured", None)
        error: BaseException | None = getattr(event, "error", None)
        if kind is None or error is None or is_sent(error):
            return
        sent, hint = event_of(self._sdk, error, {"type": kind, "handled": False})
        note(error).sent = self._sdk.capture_event(sent, hint=hint) is not None
        if type(event) is LifespanFailed:
            self._sdk.flush(_SECONDS)  # servers end the process now, and not all run exit handlers

    def adopt(self, headers: Iterable[tuple[bytes, bytes]], trusted: bool) -> str | None:  # noqa: FBT001 - as core calls it
        """Return Sentry's trace of a request as our id: the caller's id, else Sentry's new trace.

        None without a trace of Sentry's, or if Sentry can use ours.
        """
        sent = next((value for name, value in headers if name == _TRACE_HEADER), b"")
        caller = _sentry_trace(sent.strip())
        if caller is not None:
            return ids.to_uuid(caller[1].decode()) if trusted else None
        if active()[0]:  # of an outer trace, as is Sentry's span
            return None
        span = self._sdk.get_current_span()
        return None if span is None else ids.to_uuid(span.trace_id)


def watch(sdk: ModuleType) -> None:
    """Tag Sentry's events with our trace, and keep our own lines from becoming events."""
    global _watched  # noqa: PLW0603 - Sentry is one per process
    _watched = sdk
    # Its first lookup is an import. A process that is forked while the transport's thread does it
    # would wait for that import's lock for ever.
    codecs.lookup("idna")
    ignore_logger = import_module("sentry_sdk.integrations.logging").ignore_logger
    for name in _NEVER_EVENTS:
        ignore_logger(name)
    logging.getLogger(_URLLIB3).addFilter(_is_not_from_sentry)
    keep_headers_in(sdk)
    # First: it decides which failures are new before the SDK compares exception objects.
    import_module("sentry_sdk.scope").global_event_processors.insert(0, tag)
    pipeline.add_sink(SentrySink(sdk))


def unwatch(sdk: ModuleType) -> None:
    """Undo `watch`."""
    global _watched  # noqa: PLW0603 - as above
    _watched = None
    pipeline.remove_sink(SentrySink.name)
    with suppress(ValueError):  # the application may have taken it out itself
        sdk.scope.global_event_processors.remove(tag)
    logging.getLogger(_URLLIB3).removeFilter(_is_not_from_sentry)
    sdk.integrations.logging._IGNORED_LOGGERS.difference_update(_NEVER_EVENTS)  # noqa: SLF001 - 2.35 has no public way


def _is_not_from_sentry(record: logging.LogRecord) -> bool:
    """Drop urllib3's retry warnings from Sentry's transport thread."""
    return not str(record.threadName).startswith("sentry-sdk.")


def _after_fork() -> None:
    if _watched is not None:
        begin_afresh(_watched.get_client())
        with _fork_guard:
            forget(_watched)


on_fork(after_in_child=_after_fork)
