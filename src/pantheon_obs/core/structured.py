"""Tell our own structured log records from others while they are being handled.

Nothing of ours is written on a `LogRecord`, which every other handler sees too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

_handled: set[int] = set()


def begin(record: logging.LogRecord) -> None:
    """Remember a record of ours until `end`."""
    _handled.add(id(record))


def end(record: logging.LogRecord) -> None:
    """Forget a record, whose handlers have all been called."""
    _handled.discard(id(record))


def is_structured(record: logging.LogRecord) -> bool:
    """Whether a record is one of ours, and is being handled now."""
    return id(record) in _handled
