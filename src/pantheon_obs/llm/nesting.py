"""Calls within a call: find the outer call, and add up the usage of the inner calls."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.calls import leave_context
from pantheon_obs.core.context import current_call
from pantheon_obs.core.llm_events import REFUSED
from pantheon_obs.core.serving import active
from pantheon_obs.llm.usage.answer import Reported

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.context import OpenCall
    from pantheon_obs.core.llm_events import CostSource, LlmCallFinished, UsageStatus
    from pantheon_obs.llm.sdks import Sdk

# The most certain first.
_SOURCES: tuple[CostSource | None, ...] = (None, "provider", "prices", "list")


def outer_call(call: Any) -> Any:
    """Return the innermost open call of this trace among a call and its outer ones, or None."""
    while call is not None and call.outcome is not None:
        call = call.outer
    return None if call is None or call.trace_id != active()[0] else call


def is_part(outer: Any, sdk: Sdk | None) -> bool:
    """Whether a call of an SDK is a part of its outer call, which has the event for both.

    An SDK's methods call one another, and some SDKs call other SDKs' methods.
    """
    calling = None if outer is None or sdk is None else outer.options.sdk
    return calling is not None and (
        calling.parts == "all" or (calling.parts == "own" and calling is sdk)
    )


class OwnCode:
    """A block in which a call's own code runs; `settle` reports it if an exception ends it."""

    __slots__ = ("_call", "_settle", "_token")

    def __init__(self, call: Any, settle: Callable[[], None] | None = None) -> None:
        self._call = call
        self._settle = settle

    def __enter__(self) -> None:
        self._token = current_call.set(self._call)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is not None:
                self._call.failed(error)
                (self._settle or self._call.settle)()
        finally:
            leave_context(self._token)


class InnerCalls:
    """The calls that one call has made: those not reported yet, and the sums of the others.

    `keep_outer_waiting` says whether the outer call's event waits for theirs, `taken` whether it
    has the sums, so that calls which end later count by themselves.
    """

    keep_outer_waiting = False
    cost_usd: float | None = None
    cost_source: CostSource | None = None
    unpriced = 0
    _status: UsageStatus = "reported"
    taken = False

    def __init__(self) -> None:
        # Re-entrant: a garbage collection may finish another call in the middle of this one's.
        self._lock = RLock()
        self._used = Reported()
        self.open: set[OpenCall] = set()
        self.reserved: list[Any] = []  # the costs that budgets reserve until the outer call ends

    def add(self, event: LlmCallFinished) -> bool:
        """Add a finished call; return False if the outer call was reported before it."""
        with self._lock:
            if self.taken:
                return False
            if event.usage_status != "reported" and event.error_type != REFUSED:
                self._status = "partial"
            self._used.add_counts(event)
            if event.cost_usd is not None:
                self.cost_usd = (self.cost_usd or 0.0) + event.cost_usd
                # A sum is as good as the least certain of its parts.
                if _SOURCES.index(event.cost_source) > _SOURCES.index(self.cost_source):
                    self.cost_source = event.cost_source
            self.unpriced += event.unpriced
            return True

    def take(self) -> tuple[Reported, UsageStatus]:
        """Return the sums for an outer call without usage; no call is added afterwards."""
        with self._lock:
            self.taken = True
            return self._used, self._status if self.have_usage else "missing"

    @property
    def have_usage(self) -> bool:
        """Whether one of them has reported tokens."""
        return self._used.usage_status != "missing"
