"""Structured log events while they travel as `LogRecord`s.

Handlers of the application see an ordinary record. The event itself, as it was logged, is found
here while the record's handlers run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger, LogRecord

in_flight: dict[int, object] = {}
"""The events by the id of their record, while its handlers run; a copy of it is not found."""


def handle(logger: Logger, record: LogRecord, event: object) -> None:
    """Hand a new record that stands for a structured event to a logger's filters and handlers."""
    in_flight[id(record)] = event
    try:
        logger.handle(record)
    finally:
        del in_flight[id(record)]
