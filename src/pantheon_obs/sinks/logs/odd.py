"""Read the attributes of a `LogRecord` whatever they are: filters may set them to anything."""

from __future__ import annotations

import logging
import traceback
from types import FunctionType, TracebackType
from typing import Any

from pantheon_obs.sinks.redact.plain import described

_FILE = logging.getLogger.__code__.co_filename
END = 253402300800.0  # the year 10000: ISO 8601 writes a year in four digits
LARGEST = 2**31
_PREPARED = "\nTraceback (most recent call last):\n"


def is_of_logging(function: object) -> bool:
    """Whether a function is one of the standard library's `logging`, and is not wrapped."""
    return type(function) is FunctionType and function.__code__.co_filename == _FILE


def level_of(record: Any) -> int:  # noqa: ANN401 - a record, whatever it has become
    """Read a record's level; without a number it is the level of its name, else INFO."""
    try:
        level = record.levelno
        number = _number(level) if isinstance(level, str) else int(level)
    except Exception:  # noqa: BLE001 - NaN, None, any object
        number = -1
    return number if 0 <= number < LARGEST else _number(getattr(record, "levelname", None))


def _number(name: object) -> int:
    known = logging.getLevelNamesMapping()
    return known.get(described(name).upper(), logging.INFO)


def moment_of(created: Any) -> float | None:  # noqa: ANN401 - as above
    """Read the time of a record; None, which means now, for any other value."""
    try:
        moment = float(created) if not isinstance(created, str) else -1.0
    except Exception:  # noqa: BLE001 - as above
        return None
    return moment if 0 <= moment < END else None


def error_in(exc_info: object) -> BaseException | None:
    """Find the exception of a record in its `exc_info`, which should be a triple or None."""
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1] if len(exc_info) > 1 else None
    return exc_info if isinstance(exc_info, BaseException) else None


def traceback_in(exc_info: object) -> TracebackType | None:
    """Find the traceback of a record, which its exception may have lost."""
    found = exc_info[-1] if isinstance(exc_info, tuple) and exc_info else None
    return found if isinstance(found, TracebackType) else None


def text_without_error(exc_info: object) -> str:
    """Format a triple that has a traceback, but no exception."""
    frames = traceback.format_tb(traceback_in(exc_info))
    kind = described(getattr(exc_info[0], "__name__", exc_info[0]))  # type: ignore[index]
    return f"{_PREPARED.lstrip()}{''.join(frames)}{kind}"


def without_traceback(message: str) -> tuple[str, str]:
    """Split the message of a record that a `QueueHandler` has prepared: it has the traceback too.

    https://docs.python.org/3/library/logging.handlers.html#logging.handlers.QueueHandler.prepare
    """
    event, found, rest = message.partition(_PREPARED)
    return event, f"{_PREPARED.lstrip()}{rest}" if found else ""
