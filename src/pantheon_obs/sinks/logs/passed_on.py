"""Keep the events of structlog whose records the application's own loggers make.

Such a record has the text or dict that structlog's processors have made as its message. Nothing of
ours is on it: the event is found here by the message, when the record has come to our handler.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.logs.entry import STANDARD
from pantheon_obs.sinks.logs.odd import level_of, moment_of
from pantheon_obs.sinks.logs.records import added_to
from pantheon_obs.sinks.redact.plain import described

if TYPE_CHECKING:
    from logging import LogRecord

    from pantheon_obs.sinks.logs.entry import Entry

    Call = tuple[tuple[Any, ...], dict[str, Any]]

_MOST = 64  # at a time; a record that a filter refuses never comes

passed_on: OrderedDict[int, tuple[object, Entry, tuple[str, ...]]] = OrderedDict()
"""By the id of a message: itself, its event, and the attributes that structlog gives its record."""


def pass_on(call: Call, entry: Entry) -> Call:
    """Keep the event of a call of a standard logger, and return the call.

    The message is the first positional argument, or the keyword argument `msg`.
    """
    args, options = call
    message = args[0] if args else options.get("msg")
    if type(message) is str:
        message = f"{message} "[:-1]  # another object: the application may log a constant twice
    elif type(message) is not dict:
        return call
    while len(passed_on) >= _MOST:
        passed_on.popitem(last=False)
    passed_on[id(message)] = message, entry, tuple(options.get("extra") or ())
    return ((message, *args[1:]), options) if args else (args, {**options, "msg": message})


def entry_behind(record: LogRecord) -> Entry:
    """Take the event of a record, with the changes and additions of filters and factories."""
    _, entry, beside = passed_on.pop(id(record.msg))
    known = STANDARD.union(beside, entry.fields)
    return replace(
        entry,
        level=level_of(record),
        logger=described(record.name),
        created=moment_of(record.created),
        fields={**entry.fields, **added_to(record, known)},
    )
