"""Read one option's value, from an argument or from the environment.

Each function returns the value in its final form or raises `ValueError` whose text says what is
accepted, to complete the sentence "… is not accepted: use".
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

_Number = TypeVar("_Number", int, float)

CREDENTIALS = re.compile(r"//[^/?#\s]*@")

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch  # RFC 9110, section 5.6.2: token
_WORDS = {"1": True, "true": True, "yes": True, "on": True,
          "0": False, "false": False, "no": False, "off": False}  # fmt: skip
_LEAST_SIZE = 1024
_LEVELS: dict[str | int, str] = {
    accepted: name
    for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    for number in (logging.getLevelName(name),)
    for accepted in (name, number, str(number))
} | {"WARN": "WARNING", "FATAL": "CRITICAL"}


def text(value: object) -> str | None:
    """Any text; a blank one is None."""
    if not isinstance(value, str):
        msg = "a string or None"
        raise ValueError(msg)  # noqa: TRY004 - one error for every refusal
    return value.strip() or None


def level(value: object) -> str:
    """A standard level's name in any case, or its number."""
    word = value.strip().upper() if isinstance(value, str) else value
    name = _LEVELS.get(word) if isinstance(word, (str, int)) else None
    if name is None:
        msg = "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"
        raise ValueError(msg)
    return name


def one_of(*accepted: str) -> Callable[[object], str]:
    """One of these words, in any case."""

    def read(value: object) -> str:
        word = value.strip().lower() if isinstance(value, str) else ""
        if word not in accepted:
            msg = f"one of {', '.join(accepted)}"
            raise ValueError(msg)
        return word

    return read


def boolean(value: object) -> bool:
    """A boolean, or a word for one."""
    if isinstance(value, bool):
        return value
    word = _WORDS.get(value.strip().lower()) if isinstance(value, str) else None
    if word is None:
        msg = "a boolean (true or false, 1 or 0, yes or no, on or off)"
        raise ValueError(msg)
    return word


def rate(value: object) -> float:
    """A number from 0.0 to 1.0."""
    number = _number(float, value)
    if number is None or not 0.0 <= number <= 1.0:
        msg = "a number from 0.0 to 1.0"
        raise ValueError(msg)
    return number


def size(value: object) -> int:
    """A whole number of bytes."""
    number = None if isinstance(value, float) else _number(int, value)
    if number is None or number < _LEAST_SIZE:
        msg = f"a whole number of bytes, {_LEAST_SIZE} or more"
        raise ValueError(msg)
    return number


def _number(kind: type[_Number], value: object) -> _Number | None:
    """The value as a number, or None: no word, and no truth value, is one."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        return kind(value)
    except (ValueError, OverflowError):
        return None


def names(value: object) -> tuple[str, ...]:
    """A comma-separated string, or strings."""
    parts: list[object]
    if isinstance(value, str):
        parts = list(value.split(","))
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, dict)):
        parts = list(value)
    else:
        parts = [None]
    if not all(isinstance(part, str) for part in parts):
        msg = "a comma-separated string or a sequence of strings"
        raise ValueError(msg)
    return tuple(word for part in parts if (word := str(part).strip()))


def headers(value: object) -> tuple[str, ...]:
    """Names of headers."""
    found = names(value)
    if not found or not all(_HEADER(name) for name in found):
        msg = "one or more header names (letters, digits and dashes), separated by commas"
        raise ValueError(msg)
    return found


def path(value: object) -> str:
    """An absolute URL path; a slash at its end is dropped."""
    if not isinstance(value, str) or not value.strip().startswith("/"):
        msg = "a path that starts with a slash"
        raise ValueError(msg)
    return value.strip().rstrip("/")


def optional_path(value: object) -> str | None:
    """An absolute URL path, or None."""
    return None if value is None else path(value)


def paths(value: object) -> tuple[str, ...] | None:
    """Absolute URL paths, or None."""
    found = None if value is None else names(value)
    if found is not None and not all(one.startswith("/") for one in found):
        msg = "paths that start with a slash, separated by commas"
        raise ValueError(msg)
    return found


def generator(value: object) -> object:
    """A function that makes an id, or None."""
    if value is not None and not callable(value):
        msg = "a callable that returns a new id, or None"
        raise ValueError(msg)
    return value
