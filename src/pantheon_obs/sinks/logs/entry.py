"""One log line before it is rendered."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.redact_plain import described

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

LEVEL_NAMES = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "critical",
}


@dataclass(slots=True, eq=False)
class Entry:
    """Everything that one log line says, wherever it comes from.

    Attributes:
        level: The level's number.
        event: The event's name, or the message.
        logger: The logger's name.
        fields: The event's own fields.
        error: The exception whose traceback the line carries.
        created: When it happened, in seconds since the epoch; None means now.
        trace_id: The trace; None means that of the current context.
        bound: What `bind()` put on the trace; None means that of the current context.
        outside: For a fact of this library, the fields whose text comes from outside and may hold a
            secret; None means all.
    """

    level: int
    event: str
    logger: str
    fields: Mapping[str, Any]
    error: BaseException | None = None
    created: float | None = None
    trace_id: str | None = None
    bound: Mapping[str, Any] | None = None
    outside: Collection[str] | None = None


def level_name(level: int) -> str:
    """Return the name of a level in lower case, as lines show it."""
    return LEVEL_NAMES.get(level) or described(logging.getLevelName(level)).lower()
