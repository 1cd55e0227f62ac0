"""Look at the handlers of a logger before each of its records, and give them the trace.

Libraries add handlers when they are first used. They are seen with the logger's next record, before
they can print it. The place is the logger's filter: it has returned when the handlers are called,
so that they find the caller of `logging` on the stack as ever.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard
from pantheon_obs.sinks.logs.entry import placed
from pantheon_obs.sinks.logs.odd import is_of_logging, level_of
from pantheon_obs.sinks.logs.records import place_context

if TYPE_CHECKING:
    from collections.abc import Callable

_Logger, _Record = logging.Logger, logging.LogRecord

_handler_guard = Guard("new handler")
_context_guard = Guard("record's context")

make_record: Any = None
call_handlers: Any = None
"""The methods of loggers while nobody has replaced them, else None; compared for each line."""

_alone: list[logging.Handler] | None = None
"""Our handler; None while it is not installed."""

_notice: Callable[[logging.Logger], bool]


def install(handler: logging.Handler, notice: Callable[[logging.Logger], bool]) -> None:
    """Call `notice` with each logger that has other handlers than ours, before they get a record.

    It returns whether they may stay.
    """
    global _alone, _notice
    _alone, _notice = [handler], notice
    _Logger.filter = _filter  # type: ignore[assignment,method-assign]


def look_at_methods() -> None:
    """Look for replaced methods of loggers and records; tracing libraries replace them."""
    global make_record, call_handlers  # noqa: PLW0603 - as above
    own = all(map(is_of_logging, (_Logger.makeRecord, _Logger.handle, _Record.getMessage)))
    make_record = _Logger.makeRecord if own else None
    call_handlers = _Logger.callHandlers if is_of_logging(_Logger.callHandlers) else None


def handlers_of(logger: logging.Logger) -> list[logging.Handler]:
    """List the handlers that get the records of a logger."""
    while not logger.handlers and logger.propagate and logger.parent is not None:
        logger = logger.parent
    if logger.parent is None or not logger.propagate:
        return logger.handlers
    return [*logger.handlers, *handlers_of(logger.parent)]


def keeps_methods(kind: type[logging.Logger]) -> bool:
    """Whether a class of loggers has no way of its own to make and handle records."""
    names = ("makeRecord", "handle", "filter", "callHandlers")
    return all(getattr(kind, name) is getattr(_Logger, name) for name in names)


def uninstall() -> None:
    """Leave loggers alone."""
    global _alone, make_record, call_handlers  # noqa: PLW0603 - as above
    _alone = make_record = call_handlers = None
    placed.clear()
    if _Logger.__dict__.get("filter") is _filter:
        del _Logger.filter


def _filter(self: logging.Logger, record: logging.LogRecord) -> Any:  # noqa: ANN401 - as the filters answer
    """Run a logger's filters as logging does, after a look at its handlers."""
    if handlers_of(self) != _alone and _look_at_handlers(self):
        with _context_guard:  # another library's variables may be anything
            place_context(record)
    passed: Any = True
    if self.filters:
        passed = logging.Filterer.filter(self, record)
        given = record
        record = passed if isinstance(passed, logging.LogRecord) else given  # since Python 3.12
        if given in placed:
            placed[record] = placed[given]
    level = getattr(record, "levelno", None)
    if type(level) is not int or level < 0:  # a mistake: logging compares it
        with suppress(AttributeError):  # a factory may even have made something else
            record.levelno = level_of(record)
    return passed


def _look_at_handlers(logger: logging.Logger) -> bool:
    """Notice the handlers of a logger and those above it; return whether any but ours stay."""
    others = False
    node: logging.Logger | None = logger if _alone is not None else None
    while node is not None:
        if node.handlers and node.handlers != _alone:
            with _handler_guard:  # a handler may be any object
                others = _notice(node) or others
        node = node.parent if node.propagate else None
    return others
