"""Read the text of any value, and express scalars as JSON and UTF-8 can."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

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
    except Exception as error:  # noqa: BLE001 - a broken __str__
        return unreadable(value, error)


def unreadable(value: object, error: Exception) -> str:
    """Return a placeholder for a value that raised when it was read."""
    return f"<{type(value).__name__}: {type(error).__name__} while it was read>"


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
