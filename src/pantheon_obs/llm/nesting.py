"""Calls within a call: whose own code runs here, and what the calls that it made have used."""

from __future__ import annotations

from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR, currentframe
from threading import RLock
from typing import TYPE_CHECKING

from pantheon_obs.core.calls import call_here, frames
from pantheon_obs.core.context import current_call
from pantheon_obs.llm.usage import Seen

if TYPE_CHECKING:
    from contextvars import Token
    from types import FrameType

    from pantheon_obs.core.context import OpenCall
    from pantheon_obs.core.events import LlmCallFinished, UsageStatus
    from pantheon_obs.llm.lifecycle import LlmCall
    from pantheon_obs.llm.parts import HostValue

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_GENERATOR = CO_GENERATOR | CO_ASYNC_GENERATOR
_BETWEEN = frozenset({__name__, "pantheon_obs.llm.call", "contextlib"})


def outer_call(trace_id: str) -> LlmCall | None:
    """The open call of this trace whose own code runs here, the innermost if there are several."""
    outer: HostValue = call_here()
    while outer is not None and outer.outcome is not None:
        outer = outer.outer
    if outer is None or outer.trace_id != trace_id:
        return None
    return outer  # type: ignore[no-any-return]


def enter_frame(frame: FrameType | None, call: LlmCall) -> int:
    """A generator's frame, until `leave_frame` is given its id, is the call's own code."""
    frames.setdefault(id(frame), []).append(call)
    return id(frame)


def leave_frame(frame: int, call: LlmCall, token: Token[OpenCall | None] | None = None) -> None:
    """It is so no more; neither is what runs in this context, if a token is given."""
    if token is not None:
        leave(token)
    calls = frames[frame]
    calls.remove(call)
    if not calls:
        del frames[frame]


def leave(token: Token[OpenCall | None]) -> None:
    """The call's own code runs here no more."""
    try:  # noqa: SIM105 - `suppress` costs more
        current_call.reset(token)
    except ValueError:
        pass  # a coroutine that the garbage collector closes runs in another context: not ours


class Inner:
    """The calls that one call has made: which are open, and what the others have used."""

    def __init__(self) -> None:
        # Re-entrant: a garbage collection may finish another call in the middle of this one's.
        self._lock = RLock()
        self._used = Seen()
        self._status: UsageStatus = "reported"
        self._taken = False
        self.open: set[LlmCall] = set()
        self.awaited = False  # whether the outer call's event waits for those that are open
        self.cost_usd: float | None = None

    def add(self, event: LlmCallFinished) -> bool:
        """Take in a call that has ended; False if it came too late to be the outer call's."""
        with self._lock:
            if self._taken:
                return False
            if event.usage_status != "reported":
                self._status = "partial"
            for name in _COUNTS:
                count = getattr(event, name)
                if count is not None:
                    setattr(self._used, name, (getattr(self._used, name) or 0) + count)
            if event.cost_usd is not None:
                self.cost_usd = (self.cost_usd or 0.0) + event.cost_usd
            return True

    def take(self) -> tuple[Seen, UsageStatus]:
        """What they have used, for an outer call that doesn't know; later ones are not its own."""
        with self._lock:
            self._taken = True
            known = self._used.usage_status != "missing"
            return self._used, self._status if known else "missing"


class Body:
    """The body of a `with` statement: own code of its call."""

    def __init__(self, call: LlmCall) -> None:
        self.call = call
        owner = _owner()
        self.owner = id(owner)
        self._token: Token[OpenCall | None] | None = None
        if owner.f_code.co_flags & _GENERATOR:
            # What is set in the context here, the generator's consumer would find there.
            enter_frame(owner, call)
        else:
            self._token = current_call.set(call)

    def leave(self) -> LlmCall:
        """The body has ended; return the call."""
        if self._token is not None:
            leave(self._token)
        else:
            leave_frame(self.owner, self.call)
        return self.call


def pop_body(entered: list[Body]) -> Body:
    """Of the bodies that one object was entered for, the one that ends here: tasks may share it."""
    owner = id(_owner())
    for body in reversed(entered):
        if body.owner == owner:
            entered.remove(body)
            return body
    return entered.pop()


def _owner() -> FrameType:
    """The frame with the `with` statement.

    What contextlib makes of a generator, and what its exit stacks enter, is owned by their user.
    """
    frame: HostValue = currentframe()
    while frame.f_back is not None and (_is_between(frame) or _is_between(frame.f_back)):
        frame = frame.f_back
    return frame  # type: ignore[no-any-return]


def _is_between(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") in _BETWEEN
