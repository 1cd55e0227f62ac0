"""Whose own code runs here: the LLM call that calls made here are part of."""

from __future__ import annotations

from inspect import currentframe
from typing import TYPE_CHECKING

from pantheon_obs.core.context import current_call

if TYPE_CHECKING:
    from pantheon_obs.core.context import OpenCall

# Which calls' own code the frames of open generators are, by the frame's id, the innermost last:
# while that code runs, its frame is on the stack. A context variable would have to be set and reset
# around each step; so it tells of functions, and of the tasks and threads that they start.
frames: dict[int, list[OpenCall]] = {}


def call_here() -> OpenCall | None:
    """The innermost call whose own code runs here, be it open or not, of this trace or not."""
    call = current_call.get()
    if frames:
        on_stack = _call_on_stack()
        if on_stack is not None and (call is None or on_stack.started > call.started):
            return on_stack
    return call


def _call_on_stack() -> OpenCall | None:
    frame = currentframe()
    while frame is not None:
        calls = frames.get(id(frame))
        if calls:
            return calls[-1]
        frame = frame.f_back
    return None
