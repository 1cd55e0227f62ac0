"""The text of an exception's traceback."""

from __future__ import annotations

import sys
from traceback import TracebackException
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.plain import described

if TYPE_CHECKING:
    from types import FrameType, TracebackType

# Python 3.11 parses the code of a frame to place the carets below it. If the garbage collector
# calls for that within another `ast.parse`, the other one fails with a SystemError ("recursion
# depth mismatch"). https://github.com/python/cpython/issues/106905
_PARSES_SPOIL_ONE_ANOTHER = sys.version_info < (3, 12)


def traceback_of(error: BaseException, traceback: TracebackType | None = None) -> str:
    """Format the traceback with causes and groups, without local variables; never raises.

    `traceback` is used in place of the exception's own, if there is one.
    """
    traceback = traceback or error.__traceback__
    try:
        formatted = TracebackException(type(error), error, traceback, compact=True)
        if spoils_a_parse():
            _drop_carets(formatted)
        text = "".join(formatted.format()).rstrip("\n")
    except Exception as failure:  # noqa: BLE001 - exceptions can be as hostile as any value
        text = f"{type(error).__name__} ({type(failure).__name__} while it was formatted)"
    return described(text)


def spoils_a_parse() -> bool:
    """Whether a traceback with carets would make an `ast.parse` fail that is running here."""
    module = sys.modules.get("ast") if _PARSES_SPOIL_ONE_ANOTHER else None
    if module is None:
        return False
    parse = module.parse.__code__
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - nothing else knows the callers
    while frame is not None and frame.f_code is not parse:
        frame = frame.f_back
    return frame is not None


def _drop_carets(formatted: TracebackException) -> None:
    waiting = [formatted]
    while waiting:
        one = waiting.pop()
        for frame in one.stack:
            frame.colno = None
        linked = (one.__cause__, one.__context__, *(one.exceptions or ()))
        waiting += [other for other in linked if other is not None]
