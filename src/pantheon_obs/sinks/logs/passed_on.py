"""Keep the events of structlog whose records the application's own loggers make.

Such a record has the text or dict that structlog's processors have made as its message. Nothing of
ours is on it: the event is found here by the message, when the record has come to our handler.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from threading import local
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.logs.entry import STANDARD
from pantheon_obs.sinks.logs.odd import level_of, moment_of
from pantheon_obs.sinks.logs.records import added_to
from pantheon_obs.sinks.redact.plain import described

if TYPE_CHECKING:
    from logging import LogRecord

    from pantheon_obs.sinks.logs.entry import Entry

    Call = tuple[tuple[Any, ...], dict[str, Any]]

# A filter that logs brings a second event while the first one waits. One whose record is refused
# waits until others have come: so there are few of them, as each may refer to an exception.
_MOST = 4


class PassedOn(local):
    """The events that this thread has passed on: the record is made and handled in it.

    Attributes:
        events: Each with its message, and with the attributes that structlog gives to its record.
    """

    def __init__(self) -> None:
        self.events: deque[tuple[object, Entry, tuple[str, ...]]] = deque(maxlen=_MOST)


passed_on = PassedOn()


def pass_on(call: Call, entry: Entry) -> Call:
    """Keep the event of a call of a standard logger, and return the call.

    The message is the first positional argument, or the keyword argument `msg`.
    """
    args, options = call
    message = args[0] if args else options.get("msg")
    if type(message) is str and len(message) > 1:  # Python has only one object for a shorter text
        message = f"{message} "[:-1]  # another object: the application may log a constant twice
    elif type(message) is not dict:
        return call
    passed_on.events.append((message, entry, tuple(options.get("extra") or ())))
    return ((message, *args[1:]), options) if args else (args, {**options, "msg": message})


def is_passed_on(record: LogRecord) -> bool:
    """Whether the event of a record waits here."""
    return any(record.msg is message for message, _, _ in passed_on.events)


def entry_behind(record: LogRecord) -> Entry:
    """Take the event of a record, with the changes and additions of filters and factories."""
    waiting = next(each for each in passed_on.events if record.msg is each[0])
    passed_on.events.remove(waiting)
    _, entry, beside = waiting
    known = STANDARD.union(beside, entry.fields)
    return replace(
        entry,
        level=level_of(record),
        logger=described(record.name),
        created=moment_of(record.created),
        fields={**entry.fields, **added_to(record, known)},
    )
