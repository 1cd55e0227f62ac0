"""Read the text of any value, and express scalars as JSON and UTF-8 can."""

from __future__ import annotations

import dis
from math import isfinite
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import handler_codes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

RAISED = (Exception, SystemExit, KeyboardInterrupt)
"""A value may raise these when it is read. The application would not have read it here."""

_CACHED = 4096
_LEAST_INTEGER, _INTEGER_BEYOND = -(2**63), 2**64


def utf8(text: str) -> str:
    """Escape the parts of a text that UTF-8 cannot express: lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def described(value: object, read: Callable[[object], str] = str) -> str:
    """Read the text of any value by `str` or `repr`, as UTF-8 can express it; never raises."""
    try:
        if isinstance(value, (bytes, bytearray)):
            return value.decode("utf-8", "backslashreplace")
        # A subclass of str may do anything when it is asked for its own text.
        return utf8(str.__str__(value if isinstance(value, str) else read(value)))
    except RAISED as error:  # a broken __str__
        return unreadable(value, error)


def unreadable(value: object, error: BaseException) -> str:
    """Return a placeholder for a value that raised when it was read."""
    let_signals_through(error)
    return f"<{type(value).__name__}: {type(error).__name__} while it was read>"


def let_signals_through(error: BaseException) -> None:
    """Raise an exception again if a signal handler raised it, and not the code of a value.

    Python's own handler of SIGINT has no frame: it raises where no instruction does.
    """
    if isinstance(error, Exception):
        return
    frames = [(frame.f_code, at) for frame, at in _steps(error.__traceback__)]
    code, at = frames[-1]
    is_raised = code.co_code[at] == dis.opmap["RAISE_VARARGS"]
    if handler_codes().intersection(code for code, _ in frames) or (
        isinstance(error, KeyboardInterrupt) and not is_raised
    ):
        raise error


def _steps(place: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while place is not None:
        yield place.tb_frame, place.tb_lasti
        place = place.tb_next


def plain_scalar(value: Any) -> Any:  # noqa: ANN401 - a scalar in, a scalar out
    """Convert a scalar to one that JSON and UTF-8 can express; return other values unchanged."""
    kind = type(value)
    if kind is str:
        return utf8(value)
    if kind is int:
        return value if _LEAST_INTEGER <= value < _INTEGER_BEYOND else _digits(value)
    if kind is float:
        return value if isfinite(value) else str(value)
    return value


def _digits(number: int) -> str:
    """Write a number beyond 64 bits; one beyond Python's limit on digits in hexadecimal."""
    try:
        return str(number)
    except ValueError:
        return hex(number)


def make_room(cache: dict[Any, Any] | set[str]) -> None:
    """Empty a cache that is full."""
    if len(cache) >= _CACHED:
        cache.clear()
