"""One log line before it is rendered, and the way from a `LogRecord` to it and back."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import trace_on
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.sinks.logs.tracebacks import spoils_a_parse, traceback_of
from pantheon_obs.sinks.redact_plain import described

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import FrameType

LEVEL_NAMES: dict[int, str] = {
    getattr(logging, name.upper()): name
    for name in ("debug", "info", "warning", "error", "critical")
}
_OWN = len(logging.makeLogRecord({}).__dict__)
STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's copy of the message with terminal escapes
}


@dataclass(slots=True, eq=False)
class Entry:
    """Everything that one log line says, wherever it comes from.

    Attributes:
        event: The event's name, or the message.
        trace_id: The trace; None means that of the current context, as for `bound`.
        outside: For a fact of this library, the fields whose text comes from outside and may hold a
            secret; None means all.
        created: When it happened, in seconds since the epoch; None means now.
    """

    level: int
    event: str
    logger: str
    fields: Mapping[str, Any]
    error: BaseException | None = None
    trace_id: str | None = None
    bound: Mapping[str, Any] | None = None
    outside: Collection[str] | None = None
    created: float | None = None


def level_name(level: int) -> str:
    """Return the name of a level in lower case, as lines show it."""
    return LEVEL_NAMES.get(level) or described(logging.getLevelName(level)).lower()


def entry_from(record: logging.LogRecord, error: BaseException | None) -> Entry:
    """Read any record, also one that was pickled in another process; `error` is its exception."""
    attributes = record.__dict__
    # A record begins with its standard attributes; those of the application follow.
    added = islice(attributes, _OWN, None) if type(record) is logging.LogRecord else attributes
    fields = {}
    for key in added:
        if key not in STANDARD:
            fields[key] = attributes[key]
    if record.stack_info:
        fields["stack"] = record.stack_info
    if error is None and record.exc_text:  # of a record that was pickled
        fields["traceback"] = record.exc_text
    name, message = record.name, record.msg
    if type(name) is not str:
        name = described(name)
    # No comprehension, and no call for a plain message: this runs for each line.
    if record.args or type(message) is not str:
        message = _message(record) if record.args else described(message)
    entry = Entry(record.levelno, message, name, fields, error, None, None, None, record.created)
    if "data" in fields and name.startswith("celery.") and isinstance(fields["data"], dict):
        task = fields.pop("data")  # without the arguments of its call
        fields["task"], fields["task_id"] = task.get("name"), task.get("id")
    if "request" in fields:
        _place_in_trace(entry, fields)
    return entry


def _message(record: logging.LogRecord) -> str:
    message, args = record.msg, record.args
    try:
        return described(record.getMessage())
    except Exception:  # noqa: BLE001 - arguments that do not fit: say both, lose nothing
        given = args if isinstance(args, tuple) else (args,)
        return f"{described(message)} % ({', '.join(described(arg, repr) for arg in given)})"


def _place_in_trace(entry: Entry, fields: dict[str, Any]) -> None:
    """Put a record that carries its request into the request's trace, which may have ended.

    The request object is replaced by its method and path: its text has the query string.
    """
    trace = trace_on(fields["request"])
    if isinstance(trace, Exchange):
        fields["request"] = f"{trace.method} {trace.path}"
    elif entry.logger.partition(".")[0] == "django":  # the socket of a request that was none
        del fields["request"]
    if trace is not None:
        entry.trace_id, entry.bound = trace.trace_id, trace.bound


def record_for(entry: Entry) -> logging.LogRecord:
    """Make a record as `Logger.makeRecord` does, from where the application's code called.

    A field that has the name of an attribute of logging's gets an underscore.
    """
    frame, error = caller(), entry.error
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.getLogRecordFactory()(
        entry.logger,
        entry.level,
        frame.f_code.co_filename,
        frame.f_lineno,
        entry.event,
        None,
        exc_info,
        frame.f_code.co_name,
        None,
    )
    if error is not None and spoils_a_parse():
        record.exc_text = traceback_of(error)  # other handlers need not format it
    for key, value in entry.fields.items():
        record.__dict__[f"{key}_" if key in STANDARD else key] = value
    return record


def caller() -> FrameType:
    """Find the frame of the code that logs, outside of this library and structlog."""
    frame = sys._getframe(1)  # noqa: SLF001 - as logging does
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(
        ("pantheon_obs.", "structlog.")
    ):
        frame = frame.f_back
    return frame
