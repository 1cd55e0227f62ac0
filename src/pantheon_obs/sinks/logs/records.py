"""Make the `LogRecord` of an entry for code that sees records, and read back its changes."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import trace_on
from pantheon_obs.core.failures import trace_id_of
from pantheon_obs.core.installed import imported
from pantheon_obs.core.serving import active
from pantheon_obs.core.structured import in_flight
from pantheon_obs.sinks.logs import odd
from pantheon_obs.sinks.logs.entry import NO_TRACE, STANDARD, BoundThen, Entry, placed
from pantheon_obs.sinks.logs.structlog_fields import bound_fields
from pantheon_obs.sinks.logs.tracebacks import spoils_a_parse, traceback_of
from pantheon_obs.sinks.redact.plain import described

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import FrameType


def record_for(
    entry: Entry, logger: logging.Logger | None = None, stacklevel: int = 1
) -> logging.LogRecord:
    """Make a record as a logger does, from where the application's code called.

    A field that has the name of an attribute of logging's gets an underscore.
    """
    frame, error = caller(stacklevel), entry.error
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    fields = {_attribute(key): value for key, value in entry.fields.items()}
    make: Any = (logger or logging.getLogger(entry.logger)).makeRecord
    code = frame.f_code
    parts: tuple[Any, ...] = (entry.logger, entry.level, code.co_filename, frame.f_lineno)
    parts += (entry.event, (), exc_info, code.co_name)
    try:
        record: logging.LogRecord = make(*parts, fields)
    except KeyError:  # a record factory has set an attribute of the same name
        record = make(*parts)
        record.__dict__.update(fields)
    if error is not None and spoils_a_parse():
        record.exc_text = traceback_of(error)  # other handlers need not format it
    return record


def _attribute(key: object) -> Any:  # noqa: ANN401 - mostly a text, but any key of a dict
    return f"{key}_" if key in STANDARD else key


def read_back(entry: Entry, record: logging.LogRecord) -> None:
    """Repeat in an entry the changes of filters, factories and logger classes to its record."""
    attributes = record.__dict__
    entry.level, entry.created = odd.level_of(record), odd.moment_of(record.created)
    entry.logger = described(record.name)
    entry.error = odd.error_in(record.exc_info)
    message = described(record.getMessage())
    names = {key: _attribute(key) for key in entry.fields}
    fields = {key: attributes[name] for key, name in names.items() if name in attributes}
    known = STANDARD.union(names.values())
    fields |= added_to(record, known)
    given = entry.fields
    if message != entry.event or list(map(id, fields.values())) != list(map(id, given.values())):
        # Text that is not ours: all of it may contain a secret.
        entry.event, entry.fields, entry.outside = message, fields, None


def place_context(record: logging.LogRecord) -> None:
    """Put the trace id and the bound fields on a record, unless it has such attributes.

    A bound value that could not be pickled, or not be read by another process, is put there as its
    text: a handler may send the record to another process.
    """
    attributes = record.__dict__
    placed[record] = then = _bound_now(record)
    then.attributes = {
        name: value if _is_portable(value) else described(value)
        for name, value in (*then.items(), ("trace_id", then.trace_id or NO_TRACE))
        if name not in STANDARD and name not in attributes
    }
    attributes.update(then.attributes)


def _bound_now(record: logging.LogRecord) -> BoundThen:
    """Collect the bound fields, and find the trace id, that a record belongs to."""
    entry = in_flight.get(id(record))
    trace_id, trace = active()
    bound: Mapping[str, Any] = trace.bound if trace is not None else {}
    if isinstance(entry, Entry) and entry.trace_id is not None:
        trace_id, bound = entry.trace_id, entry.bound or {}
    elif (of_request := trace_on(record.__dict__.get("request"))) is not None:
        trace_id, bound = of_request.trace_id, of_request.bound
    elif exc_info := record.__dict__.get("exc_info"):
        trace_id = trace_id_of(odd.error_in(exc_info)) or trace_id
    then = BoundThen(bound)
    for name, value in bound_fields().items():
        then.setdefault(name, value)
    then.trace_id = trace_id
    return then


def added_to(record: logging.LogRecord, known: Collection[str]) -> dict[str, Any]:
    """Return the attributes that others have given to a record, besides the known ones."""
    ours = placed[record].attributes if record in placed else {}
    return {
        name: value
        for name, value in record.__dict__.items()
        if name not in known and ours.get(name, ours) is not value
    }


def _is_portable(value: object, depth: int = 8) -> bool:
    """Whether any process can unpickle a value; one that is deeper may contain itself."""
    kind = type(value)
    if isinstance(value, (dict, list, tuple)) and kind.__module__ == "builtins":
        parts = (*value, *value.values()) if isinstance(value, dict) else value
        return depth > 0 and all(_is_portable(part, depth - 1) for part in parts)
    return f"{kind.__module__}.{kind.__name__}" in _PORTABLE


_PORTABLE = frozenset({
    *("builtins.str", "builtins.bytes", "builtins.int", "builtins.float", "builtins.bool"),
    *("builtins.NoneType", "datetime.datetime", "datetime.date", "datetime.time"),
    *("datetime.timedelta", "decimal.Decimal", "uuid.UUID"),
})  # fmt: skip


def caller(stacklevel: int = 1) -> FrameType:
    """Find the frame of the code that logs, outside of this library and structlog.

    `stacklevel` counts as in `logging`: 2 is the caller of that code.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - as logging does
    structlog: Any = imported("structlog.contextvars")
    if structlog is not None:  # its async methods log in a thread of their own
        frame = structlog._ASYNC_CALLING_STACK.get(frame)  # noqa: SLF001 - it has no other way
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(
        ("pantheon_obs.", "structlog.")
    ):
        frame = frame.f_back
    while frame.f_back is not None and stacklevel > 1:
        frame = frame.f_back
        stacklevel -= 1
    return frame
