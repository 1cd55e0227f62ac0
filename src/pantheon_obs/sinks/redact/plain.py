"""Read the text of any value, and express scalars as JSON and UTF-8 can."""

from __future__ import annotations

import dis
import signal
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType, TracebackType

RAISED = (Exception, SystemExit, KeyboardInterrupt)
"""A value may raise these when it is read. The application would not have read it here."""

SHOWN = 64 * 1024
"""So many bytes at most stay of a value that is too long for its line, as each takes its time."""

OVERLAP = 4096
"""So many characters beyond a cut are searched too: a secret may lie across it."""

LEAST = 2
"""So many bytes has an item at least: a digit and a comma."""

PLACES = 4096
"""At so many places of a text at most a secret is looked for; it is cut behind them."""

_CACHED = 4096
_MOST_PLACES = 16_384
_SHARE, _LEAST_SHOWN, _LEAST_PLACES = 15, 16_384, 128
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
    """Raise again what a signal handler has raised while a value was read, not the value's code.

    Python's own handler of SIGINT has no frame: it raises where no instruction does.
    """
    if isinstance(error, Exception):
        return
    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    frames = [(frame.f_code, at) for frame, at in _steps(error.__traceback__)]
    code, at = frames[-1]
    is_raised = code.co_code[at] == dis.opmap["RAISE_VARARGS"]
    if handlers.intersection(code for code, _ in frames) or (
        isinstance(error, KeyboardInterrupt) and not is_raised
    ):
        raise error


def _steps(place: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while place is not None:
        yield place.tb_frame, place.tb_lasti
        place = place.tb_next


def _code_of(handler: Any) -> CodeType | None:  # noqa: ANN401 - any callable, or none
    while isinstance(handler, partial):
        handler = handler.func
    return getattr(handler, "__code__", None)  # of a method too


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


class Walk(list[int]):
    """A walk through a value: the ids of the containers around, and how much may follow.

    Args:
        value: The value.
        limit: How many bytes it may have. They are fewer than those of the line: a value within the
            limit of a line is read whole.

    Attributes:
        left: How many bytes may follow, at first as many as if the value did not fit.
        places: At how many places a secret may be looked for, likewise.
    """

    def __init__(self, value: object, limit: int) -> None:
        shown = shown_of(limit + 1, limit)
        self.left = shown if type(value) is str else shown // 2  # each item takes its time too
        self._rest = limit - self.left
        self.places = places_of(limit)
        self._limit = limit
        self._value = value
        self._is_asked = False

    def ask(self) -> None:
        """Allow as much as a value may have that does not exceed the limit, if it does not."""
        if not self._is_asked and not _is_larger(self._value, self._limit):
            self.left += self._rest
            self.places += _MOST_PLACES - places_of(self._limit)
        self._is_asked = True

    def is_over(self) -> bool:
        """Whether no more may follow."""
        self.ask()
        return self.left <= 0

    def room(self, size: int) -> int:
        """Return how many characters of a text of this size may follow."""
        if size > self.left:
            self.ask()
        return max(self.left, 0)

    def look(self, places: int) -> None:
        """Note that there were so many places where a secret may be; the walk ends behind many."""
        self.places -= places
        if self.places <= 0:
            self.ask()
            if self.places <= 0:
                self.left = 0


def shown_of(size: int, limit: int) -> int:
    """Return how much of a text is searched and shown that is longer than the limit."""
    most = size if size <= SHOWN else max(size // _SHARE - OVERLAP, _LEAST_SHOWN)
    return min(limit, SHOWN, most)


def places_of(size: int) -> int:
    """Return at how many places a secret is looked for in a text that is cut anyway."""
    return min(max(size // 8192, _LEAST_PLACES), PLACES)


def _is_larger(value: object, limit: int) -> bool:
    """Whether a value takes more bytes than a limit as JSON, at the very least."""
    left = limit
    waiting: list[Any] = [[value]]
    while waiting:
        container = waiting.pop()
        left -= LEAST * len(container) + 1
        if left < 0:
            return True
        items = [*container]  # at once: another thread may change it meanwhile
        if type(container) is dict:
            left -= LEAST * len(items)
            items += container.values()
        for item in items:
            kind = type(item)
            if kind is str:
                left -= len(item) + 1
            elif kind is int:
                left -= (item.bit_length() * 3 - 3) // 10  # the digits but the first
            elif kind is dict or kind is list or kind is tuple:
                waiting.append(item)
    return left < 0


def make_room(cache: dict[Any, Any] | set[str]) -> None:
    """Empty a cache that is full."""
    if len(cache) >= _CACHED:
        cache.clear()
