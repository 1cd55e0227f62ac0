"""Standard library records, and the choice between their way and the short one.

A line of structlog's or ours need not become a `LogRecord` where nobody but our handler would see
it. Where the host has handlers of its own (a file, pytest's caplog), or where something watches
records (Sentry), it does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from pantheon_obs.core.failures import was_logged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pantheon_obs.sinks.logs.emitter import Emitter

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's copy of the message with terminal escapes
    "_pantheon_obs",
}
# Loggers that repeat an exception which request_finished carries.
_REPEATERS = frozenset({"uvicorn.error", "hypercorn.error", "gunicorn.error", "_granian"})
_WEBSOCKET_LINE = '%s - "WebSocket %s'  # uvicorn's, with the query string


class Payload(NamedTuple):
    """What a record of ours says, exactly; rides on the record to our handler."""

    fields: Mapping[str, Any]
    known: dict[str, Any]


class ObsHandler(logging.Handler):
    """Renders every record as a line; the one handler that we put on the root logger.

    Args:
        emitter: Writes the lines.
    """

    def __init__(self, emitter: Emitter) -> None:
        super().__init__()
        self.emitter = emitter

    def createLock(self) -> None:  # noqa: N802 - the name is logging's
        """Have no lock: the output has one, and a line is built without it."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as a line, unless another line says the same."""
        if is_repetition(record):
            return
        payload = record.__dict__.get("_pantheon_obs")
        if payload is None:
            payload = _payload_of(record)
        self.emitter.emit(
            record.levelno, _message(record), record.name, payload.fields, **payload.known
        )


def is_repetition(record: logging.LogRecord) -> bool:
    """Whether a server's record repeats what a line of ours says."""
    if record.name not in _REPEATERS:
        return False
    error = record.exc_info[1] if record.exc_info else None
    return was_logged(error) or (
        isinstance(record.msg, str) and record.msg.startswith(_WEBSOCKET_LINE)
    )


def _payload_of(record: logging.LogRecord) -> Payload:
    fields = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
    if record.stack_info:
        fields["stack"] = record.stack_info
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return Payload(fields, {"error": error, "created": record.created})


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit: say both, lose nothing
        return f"{_described(record.msg)} % {_described(record.args)}"


def _described(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a broken __str__
        return f"<{type(value).__name__}: {type(error).__name__} while it was read>"


def dispatch(  # noqa: PLR0913 - one line's parts
    handler: ObsHandler,
    logger: logging.Logger,
    level: int,
    event: str,
    fields: Mapping[str, Any],
    *,
    watched: bool = True,
    **known: Any,  # noqa: ANN401 - the keywords of LineBuilder.build
) -> None:
    """Send a line of structlog's or ours its way.

    Args:
        handler: Our handler.
        logger: The logger, for which the level is enabled.
        level: A standard level's number.
        event: The event's name or the message.
        fields: The event's own fields.
        watched: Whether what watches records may see it: Sentry makes an event of each error.
        known: What the caller knows besides; see `LineBuilder.build`.
    """
    if _only_ours(handler, logger) and not (watched and _records_are_watched()):
        handler.emitter.emit(level, event, logger.name, fields, **known)
        return
    error = known.get("error")
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.LogRecord(logger.name, level, "", 0, event, None, exc_info)
    for key, value in fields.items():
        record.__dict__[f"{key}_" if key in _STANDARD else key] = value
    record.__dict__["_pantheon_obs"] = Payload(fields, {**known, "created": record.created})
    logger.handle(record)


def _only_ours(handler: ObsHandler, logger: logging.Logger) -> bool:
    if logger.filters or handler.filters:
        return False
    at: logging.Logger = logger
    while at.parent is not None:
        if at.handlers or not at.propagate:
            return False
        at = at.parent
    return at.handlers == [handler]


def _records_are_watched() -> bool:
    """Whether somebody has replaced the method through which records reach their handlers."""
    return logging.Logger.callHandlers.__module__ != "logging"
