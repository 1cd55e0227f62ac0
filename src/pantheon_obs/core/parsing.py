"""Read the value of one option, from an argument or from the environment.

Each function returns the value in its final form, or raises `ValueError` with the accepted values
as its text, which completes the sentence "… is not accepted: use".
"""

from __future__ import annotations

import logging
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TypeVar

from pantheon_obs.core.signatures import is_plain

_T = TypeVar("_T")
_ReadNames = Callable[[object], tuple[str, ...]]
_Number = TypeVar("_Number", int, float)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch  # RFC 9110, section 5.6.2
_WORDS = {"1": True, "true": True, "yes": True, "on": True,
          "0": False, "false": False, "no": False, "off": False}  # fmt: skip
_LEAST_SIZE = 1024
_LEVEL_ALIASES = {"WARN": "WARNING", "FATAL": "CRITICAL"}
_TRACE = 5
_HIGHEST_LEVEL = 1000
_HIGHEST_PORT = 65535


def _accept(value: _T | None, accepted: str, *, also: bool = True) -> _T:
    if value is None or not also:
        raise ValueError(accepted)
    return value


def text(value: object) -> str | None:
    """Read any text; a blank text is None."""
    return _accept(value if isinstance(value, str) else None, "a string or None").strip() or None


def level(value: object) -> str:
    """Read the name of a level that `logging` knows, in any case, or a number."""
    word = value.strip() if isinstance(value, str) else value
    if isinstance(word, str) and word.isascii() and word.isdecimal() and len(word) < len("10000"):
        word = int(word)
    levels, name = _levels(), None
    if type(word) is int and 0 <= word <= _HIGHEST_LEVEL:
        name = next((each for each, number in levels.items() if number == word), str(word))
    elif isinstance(word, str):
        name = ({each.upper(): each for each in levels} | _LEVEL_ALIASES).get(word.upper())
    return _accept(
        name,
        "one of DEBUG, INFO, WARNING, ERROR, CRITICAL, another level that logging knows, or a "
        f"number up to {_HIGHEST_LEVEL}",
    )


def level_number(name: str) -> int:
    """Return the number of a level that `level` has read."""
    return int(name) if name.isdecimal() else _levels()[name]


def _levels() -> dict[str, int]:
    """Map the names of all levels to their numbers; TRACE need not be registered."""
    known = logging.getLevelNamesMapping()
    return {"TRACE": _TRACE} | {
        name: number for name, number in known.items() if name not in _LEVEL_ALIASES
    }


def one_of(*accepted: str) -> Callable[[object], str]:
    """Make a function that reads one of these words, in any case."""
    choice = "one of " if len(accepted) > 1 else ""

    def read(value: object) -> str:
        word = value.strip().lower() if isinstance(value, str) else ""
        return _accept(word, choice + ", ".join(accepted), also=word in accepted)

    return read


def boolean(value: object) -> bool:
    """Read a boolean, or a word for one."""
    if isinstance(value, bool):
        return value
    word = _WORDS.get(value.strip().lower()) if isinstance(value, str) else None
    return _accept(word, "a boolean (true or false, 1 or 0, yes or no, on or off)")


def _number_within(
    kind: type[_Number], least: float, most: float, accepted: str
) -> Callable[[object], _Number]:
    """Make a function that reads a number; words and booleans are none."""

    def read(value: object) -> _Number:
        number: _Number | None = None
        if isinstance(value, (str, int, kind)) and not isinstance(value, bool):
            with suppress(ValueError, OverflowError):
                number = kind(value)
        return _accept(number, accepted, also=number is not None and least <= number <= most)

    return read


rate = _number_within(float, 0.0, 1.0, "a number from 0.0 to 1.0")
seconds = _number_within(float, 0.0, sys.float_info.max, "a number of seconds, 0 or more")
milliseconds = _number_within(float, 0.0, sys.float_info.max, "a number of milliseconds, 0 or more")
size = _number_within(int, _LEAST_SIZE, math.inf, f"a whole number of bytes, {_LEAST_SIZE} or more")
port = _number_within(int, 1, _HIGHEST_PORT, f"a port, 1 to {_HIGHEST_PORT}")


def names(value: object) -> tuple[str, ...]:
    """Read a comma-separated string, or strings."""
    parts: list[object] = [None]
    if isinstance(value, str):
        parts = list(value.split(","))
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, dict)):
        parts = list(value)
    are_texts = all(isinstance(part, str) for part in parts)
    _accept(parts, "a comma-separated string or a sequence of strings", also=are_texts)
    return tuple(word for part in parts if (word := str(part).strip()))


def _names_of(fits: Callable[[str], object], accepted: str, *, least: int = 0) -> _ReadNames:
    """Make a function that reads names, all of which fit."""

    def read(value: object) -> tuple[str, ...]:
        found = names(value)
        return _accept(found, accepted, also=len(found) >= least and all(map(fits, found)))

    return read


headers = _names_of(
    _TOKEN,
    "one or more header names (letters, digits and dashes), separated by commas",
    least=1,
)
tokens = _names_of(_TOKEN, "names of letters, digits, dashes and underscores, separated by commas")
paths = _names_of(
    lambda name: name.startswith("/"), "paths that start with a slash, separated by commas"
)


def path(value: object) -> str:
    """Read an absolute URL path; a slash at its end is dropped."""
    word = value.strip().rstrip("/") if isinstance(value, str) else ""
    return _accept(word, "a path that starts with a slash and a name", also=word[:1] == "/")


def prefix(value: object) -> str:
    """Read the path that others begin with; a slash, or nothing, is the root."""
    return "" if value in ("", "/") else path(value)


def registry(value: object) -> object:
    """Read a registry of metrics."""
    is_one = hasattr(value, "register") and hasattr(value, "collect")
    return _accept(value, "a registry with register() and collect(), or None", also=is_one)


def generator(value: object) -> object:
    """Read a function that makes an id."""
    accepted = "a function without arguments that returns a new id, or None"
    return _accept(value, accepted, also=is_plain(value))


def options(value: object) -> dict[str, object]:
    """Read options of another library, which it reads itself."""
    found = dict(value) if isinstance(value, Mapping) else None
    are_names = all(isinstance(name, str) for name in found or ())
    return _accept(found, "a dict of its options, or None", also=are_names)
