"""The LLM call whose own code runs here; the calls that this code makes are nested in it.

A context variable says so for functions, and for the tasks and threads that they start. For the
code of a generator it would have to be set and reset around each step, which takes longer than all
other work per chunk. So the generator's frame is registered once, and looked for on the stack.
"""

from __future__ import annotations

from inspect import currentframe
from sys import exception
from typing import TYPE_CHECKING

from pantheon_obs.core.context import current_call

if TYPE_CHECKING:
    from contextvars import Token
    from types import FrameType

    from pantheon_obs.core.context import OpenCall

# The calls whose code a frame runs, the innermost last, by the frame's id.
_frames: dict[int, list[OpenCall]] = {}


def call_here() -> OpenCall | None:
    """Return the innermost call whose own code runs here, even if it has ended."""
    call = current_call.get()
    if _frames:
        frame = currentframe()
        while frame is not None:
            calls = _frames.get(id(frame))
            if calls:
                return calls[-1] if call is None or calls[-1].started > call.started else call
            frame = frame.f_back
    return call


def enter_frame(frame: FrameType | None, call: OpenCall) -> int:
    """Register a generator's frame as the call's own code; return the id for `leave_frame`."""
    _frames.setdefault(id(frame), []).append(call)
    return id(frame)


def leave_frame(frame: int, call: OpenCall) -> None:
    """Undo `enter_frame`."""
    calls = _frames[frame]
    calls.remove(call)
    if not calls:
        del _frames[frame]


def leave_context(token: Token[OpenCall | None]) -> None:
    """Reset the context variable, unless the garbage collector closes a coroutine.

    That may happen in another context, and while a variable is set (see `core.finalizers`). A call
    that has ended is no outer call of any other, so the variable may keep it.
    """
    if isinstance(exception(), GeneratorExit):
        return
    try:  # noqa: SIM105 - `suppress` costs more
        current_call.reset(token)
    except ValueError:
        pass  # another context, where it was never set
