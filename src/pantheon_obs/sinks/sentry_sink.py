"""Hand Sentry the traces that begin, and the failures which none of its integrations captures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.events import LifespanFailed
from pantheon_obs.core.failures import is_sent, note
from pantheon_obs.core.serving import active
from pantheon_obs.products import PRODUCTS
from pantheon_obs.sinks.sentry_scope import claim, event_of, settle

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Event

_TRACE_HEADER = b"sentry-trace"
_sentry_trace = re.compile(rb"([0-9a-f]{32})-[0-9a-f]{16}(?:-[01])?").fullmatch
_SECONDS = 2  # as the SDK itself waits at the end of a process

_SCOPES = {scope for row in PRODUCTS for scope in (row.protocol, row.sentry_scope) if scope}


class SentrySink:
    """Puts the trace on the scope that Sentry has opened around a request or task."""

    name = "sentry"

    def __init__(self, sdk: ModuleType) -> None:
        self._sdk = sdk

    def started(self, trace: Trace) -> None:
        """Claim the scope, if it is that of a request or task; give one to a trace without."""
        # The name is private to sentry_sdk; the span is None in some of its tracing modes.
        scope = self._sdk.get_isolation_scope()
        if getattr(scope, "_name", None) in _SCOPES or self._sdk.get_current_span() is not None:
            claim(self._sdk, trace)
        elif trace.owns_context:
            variables: Any = self._sdk.scope
            variables._isolation_scope.set(scope.fork())  # noqa: SLF001 - what has a public way ends with a block
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
        """Send a failure that Sentry itself does not get from where it is raised."""
        kind: str | None = getattr(event, "uncaptured", None)
        error: BaseException | None = getattr(event, "error", None)
        if kind is None or error is None or is_sent(error):
            return
        sent, hint = event_of(self._sdk, error, {"type": kind, "handled": False})
        note(error).sent = self._sdk.capture_event(sent, hint=hint) is not None
        if type(event) is LifespanFailed:
            self._sdk.flush(_SECONDS)  # servers end the process now, and not all run exit handlers

    def adopt(self, headers: Iterable[tuple[bytes, bytes]], trusted: bool) -> str | None:  # noqa: FBT001 - as core calls it
        """Return Sentry's trace of a request as our id: the caller's, else the one it has begun.

        None if there is none, or if Sentry can use ours.
        """
        sent = next((value for name, value in headers if name == _TRACE_HEADER), b"")
        caller = _sentry_trace(sent.strip())
        if caller is not None:
            return ids.to_uuid(caller[1].decode()) if trusted else None
        if active()[0]:  # of an outer trace, as is Sentry's span
            return None
        span = self._sdk.get_current_span()
        return None if span is None else ids.to_uuid(span.trace_id)
