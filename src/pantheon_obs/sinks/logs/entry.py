"""One log line before it is rendered, and the way from a `LogRecord` to it."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass, field
from itertools import islice
from threading import get_ident
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

from pantheon_obs.core.context import trace_on
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.trace_id import validate
from pantheon_obs.products import PRODUCTS
from pantheon_obs.sinks.logs import odd
from pantheon_obs.sinks.redact.plain import RAISED, described, let_signals_through

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import TracebackType

    from pantheon_obs.core.events import Event


class _LevelNames(dict[int, str]):
    """The names of levels in lower case, as lines show them."""

    def __missing__(self, level: int) -> str:
        """Return the name of a level of the application's."""
        return described(logging.getLevelName(level)).lower() or f"level {level}"


LEVEL_NAMES = _LevelNames(
    (getattr(logging, name.upper()), name)
    for name in ("debug", "info", "warning", "error", "critical")
)
# Not `makeLogRecord`: it asks the application's factory, whose fields are not standard.
ATTRIBUTES = tuple(vars(logging.LogRecord("", 0, "", 0, "", (), None)))
_BEFORE_LAST, _LAST = len(ATTRIBUTES) - 1, ATTRIBUTES[-1]
STANDARD = frozenset(ATTRIBUTES) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's copy of the message with terminal escapes
}
_OF_STRUCTLOG = ("_logger", "_name", "_record", "_from_structlog")  # of its ProcessorFormatter
# None where somebody has replaced the method before: then it is asked for each record.
_GET_MESSAGE = logging.LogRecord.getMessage
_get_message = _GET_MESSAGE if odd.is_of_logging(_GET_MESSAGE) else None
_WITH_TASKS = {row.name for row in PRODUCTS if row.tasks_on_records}
_WITH_REQUESTS = {row.name for row in PRODUCTS if row.requests_on_records}
_COLOUR = re.compile("\x1b\\[[0-9;]*m")

NO_TRACE = "-"
"""Stands in place of the trace id on the records that other handlers see outside a trace."""


class BoundThen(dict[str, Any]):
    """The fields that were bound when a record was logged; its line has none bound later."""

    __slots__ = ("attributes", "trace_id")
    trace_id: str
    attributes: Mapping[str, Any]  # that we have put on the record: these fields and the trace id


placed: WeakKeyDictionary[logging.LogRecord, BoundThen] = WeakKeyDictionary()

like_fields = re.compile(r"(?:\s|^)[^\s=]+=").findall


class Interpolated(str):
    """A message with an equals sign that has got its arguments; `template` is without them."""

    __slots__ = ("template",)
    template: str

    def __new__(cls, text: str, template: str) -> Self:
        """Keep the application's own text beside the message."""
        made = super().__new__(cls, text)
        made.template = template
        return made

    def is_forged(self) -> bool:
        """Whether an argument has brought a part that looks like a field; JSON does not ask."""
        return len(like_fields(self)) > len(like_fields(self.template))


@dataclass(slots=True, eq=False, repr=False)
class Entry:
    """Everything that one log line says, wherever it comes from.

    Attributes:
        event: The event's name, or the message.
        trace_id: The trace; None means the current context's trace, as for `bound`.
        outside: The fields whose text comes from outside and may contain a secret; None means all.
        created: When it happened, in seconds since the epoch; None means now.
        traceback: The traceback of `error`, if the exception does not have it any more.
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
    traceback: TracebackType | None = None


@dataclass(slots=True, eq=False, repr=False)
class FactEntry(Entry):
    """The entry of an event of this library that becomes a record, because others will see it.

    Where nobody else does, the event goes the same way as it is: it has all that its line needs.

    Attributes:
        fact: The event.
        written: Whether its record has reached our handler.
    """

    fact: Event = field(kw_only=True)
    written: bool = False


def entry_from(record: logging.LogRecord, error: BaseException | None) -> Entry:
    """Read any record, also one that was pickled in another process; `error` is its exception."""
    attributes = record.__dict__
    # A record begins with its standard attributes; the application's attributes follow.
    added = islice(attributes.items(), _BEFORE_LAST, None)
    is_whole = next(added, ("", None))[0] == _LAST  # nobody has removed one
    fields: dict[Any, Any] = dict(added if is_whole else attributes)
    if not STANDARD.isdisjoint(fields):
        for key in STANDARD.intersection(fields):
            del fields[key]
    level, message, name = record.levelno, record.msg, record.name
    created: float | None = record.created
    if type(level) is not int or not 0 <= level < odd.LARGEST:
        level = odd.level_of(record)
    if type(created) is not float or not 0 <= created < odd.END:
        created = odd.moment_of(created)
    if record.args or type(message) is not str or type(record).getMessage is not _get_message:
        message = message_in(record, fields)
    if type(name) is not str:
        name = described(name)
    entry = Entry(level, message, name, fields, error, None, None, None, created)
    if record.exc_info or record.exc_text or record.stack_info or "message" in attributes:
        _add_texts(entry, record, fields)
    if fields:
        _recognise(entry, record, fields)
    return entry


def uncoloured(text: str) -> str:
    """Remove the codes with which a server colours its messages for a terminal."""
    return _COLOUR.sub("", text)


def message_in(record: logging.LogRecord, fields: dict[Any, Any]) -> str:
    """Read the message of a record; the items of one that is a dict become `fields`."""
    message, args = record.msg, record.args
    if not args and type(record).getMessage is _get_message:
        return _message_of(message, fields) if isinstance(message, dict) else described(message)
    try:
        text = described(record.getMessage())
        return Interpolated(text, described(message)) if "=" in text else text
    except RAISED as error:  # arguments that do not fit: say both, lose nothing
        let_signals_through(error)
        given = args if isinstance(args, tuple) else (args,)
        return f"{described(message)} % ({', '.join(described(arg, repr) for arg in given)})"


def _message_of(message: dict[Any, Any], fields: dict[Any, Any]) -> str:
    """Make fields of a dict that was logged in place of a message; its `event` is the message."""
    if "_logger" in fields:
        for key in _OF_STRUCTLOG:
            fields.pop(key, None)
    added = dict(fields)
    fields.clear()
    fields.update(message)
    fields.update(added)
    event = fields.pop("event", "")
    return event if type(event) is str else described(event)


def _add_texts(entry: Entry, record: logging.LogRecord, fields: dict[Any, Any]) -> None:
    """Add the stack and the traceback, in whichever form the record has them."""
    if record.stack_info:
        fields["stack"] = record.stack_info
    # As logging does, from the record: the exception may have lost its own.
    found = odd.traceback_in(record.exc_info)
    if entry.error is not None:
        entry.traceback = found
    elif record.exc_text:  # it was pickled
        fields["traceback"] = record.exc_text
    elif found is not None:
        fields["traceback"] = odd.text_without_error(record.exc_info)
    elif record.__dict__.get("message") is record.msg:  # a `QueueHandler` has prepared it
        entry.event, text = odd.without_traceback(entry.event)
        if text:
            fields["traceback"] = text


def _recognise(entry: Entry, record: logging.LogRecord, fields: dict[Any, Any]) -> None:
    """Read the fields that say more of a record than its own attributes."""
    if "trace_id" in fields:
        _take_context(entry, record, fields)
    if "data" in fields and _product_of(entry) in _WITH_TASKS and isinstance(fields["data"], dict):
        task = fields.pop("data")  # without the arguments of its call
        fields["task"], fields["task_id"] = task.get("name"), task.get("id")
    if "request" in fields:
        _place_in_trace(entry, fields)


def _product_of(entry: Entry) -> str:
    return entry.logger.partition(".")[0]


def _take_context(entry: Entry, record: logging.LogRecord, fields: dict[Any, Any]) -> None:
    """Take what we have put on a record, in whichever thread or process, from the fields."""
    if record.thread == get_ident() and record.process == os.getpid():
        if (then := placed.get(record)) is not None:
            for name, value in then.attributes.items():
                if fields.get(name, placed) is value:
                    del fields[name]
            entry.trace_id, entry.bound = then.trace_id, then
        return
    trace_id = fields["trace_id"]
    if trace_id == NO_TRACE:
        del fields["trace_id"]
    elif type(trace_id) is str and validate(trace_id.encode("utf-8", "replace")):
        entry.trace_id = fields.pop("trace_id")


def _place_in_trace(entry: Entry, fields: dict[str, Any]) -> None:
    """Put a record that carries its request into the request's trace, which may have ended.

    The request object is replaced by its method and path: its text has the query string.
    """
    trace = trace_on(fields["request"])
    if isinstance(trace, Exchange):
        fields["request"] = f"{trace.method} {trace.path}"
    elif _product_of(entry) in _WITH_REQUESTS:  # the socket of a request that was none
        del fields["request"]
    if trace is not None and entry.bound is None:
        entry.trace_id, entry.bound = trace.trace_id, trace.bound
