"""Link messages that the application's structlog has rendered to the event behind them.

Other handlers see an ordinary text or dict, as structlog's processors have made it. A pickled or
copied message is an ordinary text or dict again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.logs.entry import STANDARD
from pantheon_obs.sinks.logs.odd import level_of, moment_of
from pantheon_obs.sinks.logs.records import added_to
from pantheon_obs.sinks.redact.plain import described

if TYPE_CHECKING:
    from collections.abc import Collection
    from logging import LogRecord

    from pantheon_obs.sinks.logs.entry import Entry

    Call = tuple[tuple[Any, ...], dict[str, Any]]


class Rendered:
    """A message with its event.

    Attributes:
        entry: The event.
        beside: The names of the attributes that structlog itself gives to the record.
    """

    entry: Entry
    beside: Collection[str]


class RenderedText(str, Rendered):  # noqa: SLOT000 - it has two attributes
    """A text, as most of structlog's renderers make."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as a plain text."""
        return str, (str(self),)


class RenderedDict(dict[str, Any], Rendered):
    """A dict, which a `ProcessorFormatter` renders for its handler."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as a plain dict."""
        return dict, (dict(self),)


def link(call: Call, entry: Entry) -> Call:
    """Put the event on the message in the arguments of a call of a standard logger, if it can be.

    The message is the first positional argument, or the keyword argument `msg`.
    """
    args, options = call
    message = args[0] if args else options.get("msg")
    linked: RenderedText | RenderedDict
    if type(message) is str:
        linked = RenderedText(message)
    elif type(message) is dict:
        linked = RenderedDict(message)
    else:
        return call
    linked.entry, linked.beside = entry, tuple(options.get("extra") or ())
    return ((linked, *args[1:]), options) if args else (args, {**options, "msg": linked})


def entry_behind(record: LogRecord, message: Rendered) -> Entry:
    """Return the event of a record, with the changes and additions of filters and factories."""
    entry = message.entry
    known = STANDARD.union(message.beside, entry.fields)
    return replace(
        entry,
        level=level_of(record),
        logger=described(record.name),
        created=moment_of(record.created),
        fields={**entry.fields, **added_to(record, known)},
    )
