"""Calls within a call: find the outer one, and add up what the inner ones have used."""

from __future__ import annotations

from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR, currentframe
from threading import RLock
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.calls import enter_frame, leave_context, leave_frame
from pantheon_obs.core.context import current_call
from pantheon_obs.llm.usage.fields import COUNTS, Reported

if TYPE_CHECKING:
    from contextvars import Token
    from types import FrameType

    from pantheon_obs.core.context import OpenCall
    from pantheon_obs.core.llm_events import LlmCallFinished, UsageStatus

_GENERATOR = CO_GENERATOR | CO_ASYNC_GENERATOR
_SKIPPED = frozenset({__name__, "pantheon_obs.llm.call", "contextlib"})


def outer_call(caller: Any, trace_id: str) -> Any:
    """Return the innermost open call of this trace among a call and its outer ones, or None."""
    outer = caller
    while outer is not None and outer.outcome is not None:
        outer = outer.outer
    return None if outer is None or outer.trace_id != trace_id else outer


class InnerCalls:
    """The calls that one call has made.

    Attributes:
        open: Those that have not been reported yet.
        awaited: Whether the outer call waits for them with its event.
        cost_usd: What the reported ones cost, if known.
    """

    def __init__(self) -> None:
        # Re-entrant: a garbage collection may finish another call in the middle of this one's.
        self._lock = RLock()
        self._used = Reported()
        self._status: UsageStatus = "reported"
        self._taken = False
        self.open: set[OpenCall] = set()
        self.awaited = False
        self.cost_usd: float | None = None

    def add(self, event: LlmCallFinished) -> bool:
        """Add a finished call; return False if the outer call was reported before it."""
        with self._lock:
            if self._taken:
                return False
            if event.usage_status != "reported":
                self._status = "partial"
            for name in COUNTS:
                count = getattr(event, name)
                if count is not None:
                    setattr(self._used, name, (getattr(self._used, name) or 0) + count)
            if event.cost_usd is not None:
                self.cost_usd = (self.cost_usd or 0.0) + event.cost_usd
            return True

    def take(self) -> tuple[Reported, UsageStatus]:
        """Return the sums for an outer call without usage; no call is added afterwards."""
        with self._lock:
            self._taken = True
            known = self._used.usage_status != "missing"
            return self._used, self._status if known else "missing"


class WithBlock:
    """The block of a `with` statement, which is its call's own code."""

    def __init__(self, call: OpenCall) -> None:
        self._call = call
        frame = _frame_of_with()
        self.frame = id(frame)
        self._token: Token[OpenCall | None] | None = None
        if frame.f_code.co_flags & _GENERATOR:
            # In a generator the context variable would be visible to the consumer, too.
            enter_frame(frame, call)
        else:
            self._token = current_call.set(call)

    def leave(self) -> Any:
        """End the block and return its call."""
        if self._token is not None:
            leave_context(self._token)
        else:
            leave_frame(self.frame, self._call)
        return self._call


def pop_block(entered: list[WithBlock]) -> WithBlock:
    """Remove and return the block that ends here; several tasks may share the list."""
    frame = id(_frame_of_with())
    for block in reversed(entered):
        if block.frame == frame:
            entered.remove(block)
            return block
    return entered.pop()


def _frame_of_with() -> FrameType:
    """Return the frame with the `with` statement.

    For managers and exit stacks of contextlib this is the frame that uses them.
    """
    frame: Any = currentframe()
    while frame.f_back is not None and (_is_skipped(frame) or _is_skipped(frame.f_back)):
        frame = frame.f_back
    return frame  # type: ignore[no-any-return]


def _is_skipped(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") in _SKIPPED
