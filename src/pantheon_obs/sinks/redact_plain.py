"""Plain values of anything: what JSON and UTF-8 can say."""

from __future__ import annotations

from datetime import date, datetime, time
from enum import Enum
from math import isfinite
from numbers import Integral, Number, Real
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAST_INTEGER, _INTEGER_BEYOND = -(2**63), 2**64


def utf8(text: str) -> str:
    """The text, with what UTF-8 cannot say (lone surrogates) escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def described(value: object, read: Callable[[object], str] = str) -> str:
    """The text of any value, in UTF-8's reach; never raises.

    Args:
        value: The value.
        read: `str` or `repr`.
    """
    try:
        if isinstance(value, (bytes, bytearray)):
            return value.decode("utf-8", "backslashreplace")
        # A subclass of str may do anything when it is asked for its own text.
        return utf8(str.__str__(value if isinstance(value, str) else read(value)))
    except Exception as error:  # noqa: BLE001 - a broken __str__
        return unreadable(value, error)


def unreadable(value: object, error: Exception) -> str:
    """What stands for a value that raised when it was read."""
    return f"<{type(value).__name__}: {type(error).__name__} while it was read>"


def plain_scalar(value: Any) -> Any:  # noqa: ANN401 - a scalar in, a scalar out
    """A scalar that JSON and UTF-8 can say; any other value as it is."""
    kind = type(value)
    if kind is str:
        return utf8(value)
    if kind is int:
        return value if _LEAST_INTEGER <= value < _INTEGER_BEYOND else _digits(value)
    if kind is float:
        return value if isfinite(value) else str(value)
    return value


def _digits(number: int) -> str:
    """A number beyond 64 bits; past the interpreter's limit on digits, in hexadecimal."""
    try:
        return str(number)
    except ValueError:
        return hex(number)


# What has a plain form, and how to get it; the first kind that fits counts.
PLAIN: tuple[tuple[type | tuple[type, ...], Callable[[Any], object]], ...] = (
    (Enum, lambda value: value.value),
    (str, str.__str__),
    ((bytes, bytearray, memoryview), lambda value: described(bytes(value))),
    (Integral, int),
    (Real, float),
    ((Number, UUID), str),  # a Decimal is a Number; importing decimal is not needed to know
    ((datetime, date, time), lambda value: value.isoformat()),
    (PathLike, fspath),
)
