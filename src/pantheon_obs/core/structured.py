"""Structured log events while they travel as `LogRecord`s.

Handlers of the application see an ordinary record. The event itself, as it was logged, is found
here while the record's handlers run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger, LogRecord

_events: dict[int, object] = {}
"""The events by the id of their record, which lives as long as its handlers run."""


def handle(logger: Logger, record: LogRecord, event: object) -> None:
    """Hand a structured event to a logger's filters and handlers.

    Args:
        logger: The logger.
        record: A new record that stands for the event.
        event: The event, for `event_of`.
    """
    _events[id(record)] = event
    try:
        logger.handle(record)
    finally:
        del _events[id(record)]


def event_of(record: LogRecord) -> object | None:
    """Find the event that a record stands for; None for any other record, a copy included."""
    return _events.get(id(record))


def is_structured(record: LogRecord) -> bool:
    """Whether a record that is being handled stands for a structured event."""
    return id(record) in _events
