"""Keep the data of a request off the events of work that outlives it with a copy of its scope.

A thread, a timer or a forked process may report, and send, for anybody once the request is over.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import wraps
from os import urandom
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import trace_id as ids
from pantheon_obs.core.context import current_trace
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.serving import active

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from pantheon_obs.core.context import Trace

# The parts that an application adds to, on a scope and on an event.
_ADDED_TO = {"_tags": "tags", "_contexts": "contexts", "_extras": "extra"}
# The scope's methods that make headers of its trace, and their results without a trace.
_HEADERS = {"iter_trace_propagation_headers": (), "get_traceparent": None, "get_baggage": None}
_OURS = "_pantheon_obs"  # an attribute of our methods

_guard = Guard("sentry headers")


class Claim:
    """A request's scope, and the data that the application has put on it so far.

    The names are private to sentry_sdk: without them no data is known to be the request's.
    """

    def __init__(self, trace: Trace, scope: Any, root_span: str | None) -> None:  # noqa: ANN401 - Sentry's
        self.trace = trace
        self.root_span = root_span
        self.sentry_traces: set[str] = set()  # Sentry's ids of the request's trace
        self._scope: Any = scope
        self._before = [dict(getattr(scope, name, ())) for name in _ADDED_TO]
        self._user_before = self._user = getattr(scope, "_user", None)
        self._added: list[dict[str, Any]] = []
        self._seen = datetime.min.replace(tzinfo=UTC)
        self._other_trace = ""  # of the work that outlives it

    def is_left(self) -> bool:
        """Whether this code has left the request whose scope it has: by its end or `untraced`."""
        current = current_trace.get()
        is_untraced = current is not None and not current.trace_id and current.outer is not None
        return is_untraced or bool(self.trace.ended)

    def settle(self) -> None:
        """Remember the added data, and drop the scope, which refers to this object."""
        self._look()
        self._scope = None

    def _look(self) -> None:
        scope = self._scope
        if scope is None:
            return
        there = [getattr(scope, name, {}) for name in _ADDED_TO]
        self._added = [
            {name: now[name] for name in now if before.get(name) is not now[name]}
            for now, before in zip(there, self._before, strict=True)
        ]
        user = getattr(scope, "_user", None)
        self._user = None if user is self._user_before else user
        self._seen = datetime.now(UTC)
        self._other_trace = self._other_trace or urandom(16).hex()
        self.sentry_traces.add(self._other_trace)

    def strip(self, event: dict[str, Any], trace_id: str | None) -> None:
        """Remove the request's data from an event of work that has left it with its scope.

        The event is of another trace, or of none.
        """
        self._look()
        event.pop("request", None)
        for part, added in zip(_ADDED_TO.values(), self._added, strict=False):
            there = event.get(part) or {}
            for name in [name for name in added if there.get(name) is added[name]]:
                del there[name]
        if self._user is not None and event.get("user") == self._user:
            del event["user"]
        if event.get("type") == "transaction":  # it has a name and a trace of its own
            return
        crumbs = event.get("breadcrumbs") or {}
        crumbs["values"] = [
            each for each in crumbs.get("values", ()) if _is_after(each, self._seen)
        ]
        contexts = event.get("contexts") or {}
        if (contexts.get("trace") or {}).get("trace_id") in self.sentry_traces:
            digits = ids.to_hex(trace_id or "") or self._other_trace
            contexts["trace"] = {"trace_id": digits, "span_id": digits[:16]}
            event.pop("transaction", None)
            event.pop("transaction_info", None)

    def strip_log(self, log: dict[str, Any], trace_id: str) -> None:
        """Remove the request's data from a log of Sentry's, as `strip` does from an event."""
        self._look()
        attributes = log["attributes"]
        if log.get("trace_id") in self.sentry_traces:
            log["trace_id"] = ids.to_hex(trace_id) or self._other_trace
            log.pop("span_id", None)
            attributes.pop("sentry.trace.parent_span_id", None)
        if self._user is not None:
            for name in [name for name in attributes if name.startswith("user.")]:
                del attributes[name]


def _is_after(crumb: dict[str, Any], moment: datetime) -> bool:
    """Whether a breadcrumb was left after a moment."""
    left = crumb.get("timestamp")
    return not isinstance(left, datetime) or left > moment


def claims_on(scope: Any) -> Iterator[Claim]:  # noqa: ANN401 - Sentry's
    """Yield the claims on a scope, or on the scope that it is a copy of."""
    for processor in getattr(scope, "_event_processors", ()):
        claimed = next(iter(getattr(processor, "args", ())), None)
        if isinstance(claimed, Claim):
            yield claimed


def left_by_others() -> list[Claim]:
    """Find the claims on this scope of requests that this code has left, except its own trace."""
    scope = sys.modules["sentry_sdk"].get_isolation_scope()
    left = [claimed for claimed in claims_on(scope) if claimed.is_left()]
    trace_id = active()[0] if left else ""
    return [claimed for claimed in left if claimed.trace.trace_id != trace_id]


def keep_headers_in(sdk: ModuleType) -> None:
    """Suppress Sentry's headers with the trace of a request that this code has left."""
    for name, nothing in _HEADERS.items():
        method = getattr(sdk.Scope, name)
        if not hasattr(method, _OURS):
            kept = _kept_in(method, nothing)
            setattr(kept, _OURS, True)
            setattr(sdk.Scope, name, kept)


def _kept_in(method: Callable[..., Any], nothing: object) -> Callable[..., Any]:
    @wraps(method)
    def make(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - Sentry's
        made = method(*args, **options)
        others: list[Claim] = []
        with _guard:
            others = left_by_others()
        if not others:
            return made
        if nothing is not None:  # pairs, which come one by one
            made = list(made)
        text = str(made)
        is_over = any(each in text for claimed in others for each in claimed.sentry_traces)
        return nothing if is_over else made

    return make
