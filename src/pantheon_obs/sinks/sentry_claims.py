"""Take off events what a request has put on its scope, of which work that outlives it has a copy.

A thread, a timer or a forked process may report for anybody once the request is over.
"""

from __future__ import annotations

from datetime import UTC, datetime
from os import urandom
from typing import Any

from pantheon_obs.core import trace_id as ids

# What an application adds to, on a scope and on an event.
_ADDED_TO = {"_tags": "tags", "_contexts": "contexts", "_extras": "extra"}


class Claim:
    """A request's scope, and what the application has put on it, once the request is over.

    The names are private to sentry_sdk: without them nothing is known to be the request's.
    """

    def __init__(self, scope: Any, root_span: str | None) -> None:  # noqa: ANN401 - Sentry's
        self.root_span = root_span
        self.sentry_traces: set[str] = set()  # Sentry's ids of the request's trace
        self._scope: Any = scope
        self._before = [dict(getattr(scope, name, ())) for name in _ADDED_TO]
        self._user = getattr(scope, "_user", None)
        self._added: list[dict[str, Any]] = []
        self._over = datetime.min.replace(tzinfo=UTC)
        self._other_trace = ""  # of what outlives it

    def settle(self) -> None:
        """Remember what was added, and leave the scope, which refers to this."""
        scope, self._scope = self._scope, None
        if scope is None:
            return
        there = [getattr(scope, name, {}) for name in _ADDED_TO]
        self._added = [
            {name: now[name] for name in now if before.get(name) is not now[name]}
            for now, before in zip(there, self._before, strict=True)
        ]
        user = getattr(scope, "_user", None)
        self._user = None if user is self._user else user
        self._over = datetime.now(UTC)
        self._other_trace = urandom(16).hex()
        self.sentry_traces.add(self._other_trace)

    def strip(self, event: dict[str, Any], trace_id: str | None) -> None:
        """Take what is the request's off an event of work that has outlived it with its scope.

        The event is of another trace, or of none.
        """
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
            each for each in crumbs.get("values", ()) if _is_after(each, self._over)
        ]
        contexts = event.get("contexts") or {}
        if (contexts.get("trace") or {}).get("trace_id") in self.sentry_traces:
            digits = ids.to_hex(trace_id or "") or self._other_trace
            contexts["trace"] = {"trace_id": digits, "span_id": digits[:16]}
            event.pop("transaction", None)
            event.pop("transaction_info", None)

    def strip_log(self, log: dict[str, Any], trace_id: str) -> None:
        """Take what is the request's off a log of Sentry's, as `strip` does off an event."""
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
