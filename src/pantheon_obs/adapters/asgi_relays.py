"""Recognize a body that a task group relays: its end does not say that the application succeeded.

Starlette's `BaseHTTPMiddleware`, for example, runs the application in a task group. If the
application raises in the middle of its body, the middleware ends the body before it raises.
"""

from __future__ import annotations

import sys
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR, CO_ITERABLE_COROUTINE
from opcode import opmap
from typing import TYPE_CHECKING

from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from types import CodeType, FrameType

_AWAITED = CO_ASYNC_GENERATOR | CO_COROUTINE | CO_GENERATOR | CO_ITERABLE_COROUTINE
_ASYNC_WITH = opmap.get("BEFORE_ASYNC_WITH")  # up to Python 3.13
_MOST_KNOWN = 4096

_guard = Guard("relayed body")
_known: dict[int, tuple[CodeType, bool]] = {}  # by the id of the code, whose hash is slow


def is_relayed(boundary: str) -> bool:
    """Whether a coroutine that awaits `send`, from which this is called, has a task group.

    Args:
        boundary: The module whose coroutine called the application: those beyond do not count.
    """
    with _guard:
        frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - there is no public way
        while frame is not None and not frame.f_code.co_flags & _AWAITED:  # the parts of `send`
            frame = frame.f_back
        while frame is not None and frame.f_code.co_flags & _AWAITED:
            if frame.f_globals.get("__name__") == boundary:
                break
            if _may_have_group(frame.f_code) and _has_group(frame):
                return True
            frame = frame.f_back
    return False


def _may_have_group(code: CodeType) -> bool:
    """Whether a function has an `async with`; the variables of others are not looked at."""
    known = _known.get(id(code))
    if known is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        known = _known[id(code)] = code, _ASYNC_WITH is None or _ASYNC_WITH in code.co_code[::2]
    return known[1]


def _has_group(frame: FrameType) -> bool:
    # Variables of an enclosing function do not count: a child of the group has those as well.
    own = {*frame.f_code.co_varnames, *frame.f_code.co_cellvars}
    return any(_is_group(type(value)) for name, value in frame.f_locals.items() if name in own)


def _is_group(kind: type) -> bool:
    """Whether objects of a class are task groups of asyncio or anyio, or nurseries of trio."""
    return hasattr(kind, "start_soon") or (
        hasattr(kind, "create_task") and hasattr(kind, "__aexit__")
    )
