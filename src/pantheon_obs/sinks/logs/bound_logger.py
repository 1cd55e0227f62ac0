"""The structlog logger that writes through our handler, and the processor for other loggers."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any

import structlog

from pantheon_obs.sinks.logs.entry import Entry
from pantheon_obs.sinks.logs.odd import traceback_in
from pantheon_obs.sinks.logs.records import caller, record_for
from pantheon_obs.sinks.redact_plain import described

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from pantheon_obs.sinks.logs.handler import ObsHandler

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "msg": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "err": logging.ERROR,
    "exception": logging.ERROR,
    "failure": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}

handler: ObsHandler | None = None
"""The handler that writes the lines; None while logging is not configured."""

processors: list[Any] = []
"""The processors of all our loggers: `write_line`, unless a test has replaced it."""


class BoundLogger(structlog.BoundLoggerBase):
    """A structlog logger that has the level of the standard library's logger of its name.

    So `log_level` and `logging.getLogger(name).setLevel` govern it at any time, and caching it is
    safe. Its methods are those of `structlog.typing.FilteringBoundLogger`.
    """

    _logger: logging.Logger
    _processors: list[Any]

    def log(self, level: int, event: object = None, *args: object, **fields: object) -> None:
        """Log an event at a level given by its number."""
        if self._logger.isEnabledFor(level):
            name = logging.getLevelName(level).lower()
            self._write(name if name in LEVELS else "info", level, event, args, fields)

    async def alog(self, level: int, event: object = None, *args: object, **fields: object) -> None:
        """Log an event at a level given by its number, from async code."""
        self.log(level, event, *args, **fields)

    def is_enabled_for(self, level: int) -> bool:
        """Whether an event of this level would be logged."""
        return self._logger.isEnabledFor(level)

    def get_effective_level(self) -> int:
        """Return the least level that is logged."""
        return self._logger.getEffectiveLevel()

    isEnabledFor = is_enabled_for  # noqa: N815 - the standard library's names, as structlog has them
    getEffectiveLevel = get_effective_level  # noqa: N815

    def _write(
        self,
        method: str,
        level: int,
        event: object,
        args: tuple[object, ...],
        fields: dict[str, Any],
    ) -> None:
        if args:
            event = _interpolated(event, args, fields)
        if self._processors == _ONLY_OURS:
            if self._context:
                for key, value in self._context.items():
                    fields.setdefault(key, value)
            _emit(self._logger, level, event, fields)
            return
        # Somebody has put other processors there, structlog.testing.capture_logs for example.
        try:
            self._process_event(method, event, fields)  # type: ignore[arg-type]
        except structlog.DropEvent:
            return


def _add_methods(name: str, level: int) -> None:
    """Add the methods of one level to the logger, for sync and for async code."""
    adds_traceback = name == "exception"
    method = "error" if adds_traceback else name

    def log(self: BoundLogger, event: object = None, *args: object, **fields: Any) -> None:  # noqa: ANN401 - any fields
        if self._logger.isEnabledFor(level):
            if adds_traceback:
                fields.setdefault("exc_info", True)
            self._write(method, level, event, args, fields)

    async def alog(self: BoundLogger, *args: object, **fields: object) -> None:
        getattr(self, name)(*args, **fields)

    with_traceback = " with the traceback" if adds_traceback else ""
    log.__doc__ = f"Log an event at level {logging.getLevelName(level)}{with_traceback}."
    alog.__doc__ = f"`{name}` for async code."
    for function, called in ((log, name), (alog, f"a{name}")):
        function.__name__ = called
        function.__qualname__ = f"BoundLogger.{called}"
        setattr(BoundLogger, called, function)


for _name, _level in LEVELS.items():
    _add_methods(_name, _level)


def write_line(logger: object, method: str, event_dict: MutableMapping[str, Any]) -> Any:  # noqa: ANN401 - never returns
    """Write the line, whatever logger it came through, and stop: no other processor follows."""
    level = LEVELS.get(method, logging.INFO)
    named = logger if isinstance(logger, logging.Logger) else logging.getLogger("structlog")
    if named.isEnabledFor(level):
        fields = dict(event_dict)
        event = fields.pop("event", None)
        if args := fields.pop("positional_args", None):  # of structlog.stdlib.BoundLogger
            event = _interpolated(event, args, fields)
        _emit(named, level, event, fields)
    raise structlog.DropEvent


_ONLY_OURS = [write_line]
processors += _ONLY_OURS


def _emit(logger: logging.Logger, level: int, event: object, fields: dict[str, Any]) -> None:
    error = found = None
    stacklevel = 1
    if "exc_info" in fields:
        exc_info = fields.pop("exc_info")
        error, found = _exception_of(exc_info), traceback_in(exc_info)
    if type(fields.get("stacklevel")) is int:
        stacklevel = fields.pop("stacklevel")
    if "stack_info" in fields and fields.pop("stack_info"):
        fields["stack"] = "".join(traceback.format_stack(caller(stacklevel))).rstrip("\n")
    if type(event) is not str:
        event = "" if event is None else described(event)
    entry = Entry(level, event, logger.name, fields, error)
    if found is not None:
        entry.traceback = found
    if handler is not None:
        handler.dispatch(logger, entry, stacklevel=stacklevel)
    else:  # logging was configured once, and has been reset
        logger.handle(record_for(entry))


def _exception_of(exc_info: object) -> BaseException | None:
    """Find the exception that `exc_info` stands for: True, an exception, or a triple."""
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1] if len(exc_info) > 1 else None
    elif exc_info and not isinstance(exc_info, BaseException):
        exc_info = sys.exc_info()[1]
    return exc_info if isinstance(exc_info, BaseException) else None


def _interpolated(event: object, args: tuple[object, ...], fields: dict[str, Any]) -> object:
    try:
        return str(event) % (args[0] if len(args) == 1 and isinstance(args[0], dict) else args)
    except Exception:  # noqa: BLE001 - arguments that do not fit: lose nothing
        fields["positional_args"] = list(args)
        return event
