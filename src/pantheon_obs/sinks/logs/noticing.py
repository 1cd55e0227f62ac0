"""Stand before the handlers of all loggers: notice new ones, and give the others the trace.

Libraries add handlers when they are first used. A logger's new handler is seen with the logger's
next record, before it can print it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report
from pantheon_obs.sinks.logs.entry import STANDARD, placed
from pantheon_obs.sinks.logs.odd import is_of_logging, level_of
from pantheon_obs.sinks.logs.records import context_of

if TYPE_CHECKING:
    from collections.abc import Callable

_Logger, _Record = logging.Logger, logging.LogRecord

methods = _Logger.__dict__
make_record: Any = None
call_handlers: Any = None
"""The methods of loggers while nobody but logging and this module has put any there, else None.

They are compared for each line with those in `methods`.
"""

plain_classes: set[type[logging.Logger]] = set()
"""Classes of loggers with these methods, as `is_plain` has found."""

_before: Callable[[logging.Logger, logging.LogRecord], None] | None = None
"""The method that ours stands in for; None while ours is not there."""

_alone: list[logging.Handler] | None = None
_notice: Callable[[logging.Logger], bool]


def install(handler: logging.Handler, notice: Callable[[logging.Logger], bool]) -> None:
    """Call `notice` with each logger that has other handlers than ours, before they get a record.

    It returns whether they may stay.
    """
    global _before, _alone, _notice  # noqa: PLW0603 - logging is one per process
    _alone, _notice = [handler], notice
    if _before is None:
        _before = _Logger.callHandlers
        _Logger.callHandlers = _call_handlers  # type: ignore[method-assign]
    look()


def look() -> None:
    """Look who has replaced methods of loggers and records, as tracing libraries do."""
    global make_record, call_handlers  # noqa: PLW0603 - as above
    own = (_Logger.makeRecord, _Logger.handle, _Logger.filter, _Record.getMessage)
    make_record = _Logger.makeRecord if all(map(is_of_logging, own)) else None
    call_handlers = _call_handlers if is_of_logging(_before) else None
    plain_classes.clear()


def is_plain(kind: type[logging.Logger]) -> bool:
    """Whether a class of loggers has no way of its own to make and handle records."""
    names = ("makeRecord", "handle", "filter", "callHandlers")
    found = all(getattr(kind, name) is getattr(_Logger, name) for name in names)
    if found:
        plain_classes.add(kind)
    return found


def uninstall() -> None:
    """Take our method away, or leave it without effect where somebody has wrapped it."""
    global _before, _alone, make_record, call_handlers  # noqa: PLW0603 - as above
    _alone = make_record = call_handlers = None
    plain_classes.clear()
    if _before is not None and _Logger.callHandlers is _call_handlers:
        _Logger.callHandlers = _before  # type: ignore[assignment,method-assign]
        _before = None


def _call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
    """Call a logger's handlers as logging does, after a look at them."""
    node = self
    while not node.handlers and node.propagate and node.parent is not None:
        node = node.parent
    if node.handlers == _alone and node.parent is None and call_handlers is not None:
        [ours] = _alone
        if not ours.level or record.levelno >= ours.level:
            ours.handle(record)
        return
    before: Any = _before
    if _alone is not None and _look_at_handlers(node):
        _with_context(before, self, record)
    else:
        before(self, record)


def _look_at_handlers(logger: logging.Logger) -> bool:
    """Notice the handlers of a logger and those above it; return whether any but ours stay."""
    others = False
    node: logging.Logger | None = logger
    while node is not None:
        if node.handlers and node.handlers != _alone:
            try:
                others = _notice(node) or others
            except Exception as error:  # noqa: BLE001 - a handler may be any object
                report("new handler", error)
        node = node.parent if node.propagate else None
    return others


def _with_context(call: Any, logger: logging.Logger, record: logging.LogRecord) -> None:  # noqa: ANN401 - the method
    """Call handlers with a record that has the trace id and the bound fields as attributes."""
    key = id(record)
    try:
        attributes = record.__dict__
        if type(record.levelno) is not int:  # a filter's mistake: logging compares it
            record.levelno = level_of(record)
        if "trace_id" not in attributes:
            placed.add(key)
        for name, value in context_of(record).items():
            if name not in STANDARD:
                attributes.setdefault(name, value)
    except Exception as error:  # noqa: BLE001 - another library's variables may be anything
        report("record's context", error)
    try:
        call(logger, record)
    finally:
        placed.discard(key)
