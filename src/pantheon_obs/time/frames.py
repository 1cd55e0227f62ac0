"""Read the stack of a running thread: the loop's callback, and the application's code in it."""

from __future__ import annotations

from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_ITERABLE_COROUTINE
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.installed import folder_of, is_ours

if TYPE_CHECKING:
    from types import CodeType, FrameType

    Place = tuple[CodeType, int | None]

LONGEST = 20
"""The most frames on a line."""

_AWAITED = CO_COROUTINE | CO_ITERABLE_COROUTINE | CO_ASYNC_GENERATOR


def frames_from(frame: FrameType | None) -> list[FrameType]:
    """List a frame and all that have called it, the innermost first."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def depth_of_callback(frames: list[FrameType], runs: CodeType) -> int:
    """Find at which depth, counted from the outermost frame, the loop's callbacks run.

    The frames belong to a callback. `runs` is asyncio's own function that runs each callback;
    where the loop has none, a coroutine has been called by the code that runs the loop.
    """
    for depth, frame in enumerate(reversed(frames), 1):
        if frame.f_code is runs:
            return depth
    awaited = [bool(frame.f_code.co_flags & _AWAITED) for frame in frames]
    first = awaited.index(True)
    return len(frames) - awaited.index(False, first) + 1


def stack_of(frames: list[FrameType]) -> tuple[Place, ...]:
    """Note where frames are, without the frames themselves."""
    return tuple([(frame.f_code, frame.f_lineno) for frame in frames])


def place_in(stack: tuple[Place, ...]) -> str:
    """Name the innermost place of the application's own code, else of other code.

    This library's code does not count: the garbage collector calls it in the middle of anything.
    """
    own = [place for place in stack if folder_of(place[0].co_filename) is None]
    others = [place for place in stack if not is_ours(place[0].co_filename)]
    return named((own or others or stack)[0])


def named(place: Place) -> str:
    """Name a place, as `shop/cart.py:12 total`."""
    code: Any = place[0]
    return f"{code.co_filename}:{place[1]} {code.co_qualname}"
