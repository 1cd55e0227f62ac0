"""The structlog logger of `get_logger`, which writes through our handler."""
# ruff: noqa: SLF001 - the public ways to the same state take longer, and this runs for each line

from __future__ import annotations

import logging
import sys
import traceback
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING
from typing import TYPE_CHECKING, Any

import structlog

from pantheon_obs.core.guard import report
from pantheon_obs.sinks.logs.entry import Entry
from pantheon_obs.sinks.logs.odd import error_in, traceback_in
from pantheon_obs.sinks.logs.records import caller, record_for
from pantheon_obs.sinks.redact.plain import RAISED, described, let_signals_through

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.sinks.logs.handler import ObsHandler

LEVELS = {
    "debug": DEBUG,
    "info": INFO,
    "msg": INFO,
    "warning": WARNING,
    "warn": WARNING,
    "error": ERROR,
    "err": ERROR,
    "exception": ERROR,
    "failure": ERROR,
    "critical": CRITICAL,
    "fatal": CRITICAL,
}

handler: ObsHandler | None = None
"""The handler that writes the lines; None while logging is not configured."""

# structlog's present configuration: much faster than its public function, which copies it. The
# processors that it begins with add nothing that our lines do not have.
_module: Any = sys.modules[structlog.configure.__module__]
_config = _module._CONFIG
_PLAIN: list[Any] = list(_module._BUILTIN_DEFAULT_PROCESSORS)
_manager: Any = logging.Logger.manager  # its `disable` is a property, and slower


class BoundLogger(structlog.BoundLoggerBase):
    """A structlog logger that has the level of the standard library's logger of its name.

    So `log_level` and `logging.getLogger(name).setLevel` govern it at any time, and caching it is
    safe. The processors that structlog is configured with run on its events. Its methods are those
    of `structlog.typing.FilteringBoundLogger`.
    """

    _logger: logging.Logger

    def debug(self, event: object = None, *args: object, **fields: object) -> None:
        """Log an event at level DEBUG."""
        if self._logger.isEnabledFor(DEBUG) or (_manager._disable and self._processes(DEBUG)):
            self._write("debug", DEBUG, event, args, fields)

    def info(self, event: object = None, *args: object, **fields: object) -> None:
        """Log an event at level INFO."""
        if self._logger.isEnabledFor(INFO) or (_manager._disable and self._processes(INFO)):
            self._write("info", INFO, event, args, fields)

    def warning(self, event: object = None, *args: object, **fields: object) -> None:
        """Log an event at level WARNING."""
        if self._logger.isEnabledFor(WARNING) or (_manager._disable and self._processes(WARNING)):
            self._write("warning", WARNING, event, args, fields)

    def error(self, event: object = None, *args: object, **fields: object) -> None:
        """Log an event at level ERROR."""
        if self._logger.isEnabledFor(ERROR) or (_manager._disable and self._processes(ERROR)):
            self._write("error", ERROR, event, args, fields)

    def critical(self, event: object = None, *args: object, **fields: object) -> None:
        """Log an event at level CRITICAL."""
        if self._logger.isEnabledFor(CRITICAL) or (_manager._disable and self._processes(CRITICAL)):
            self._write("critical", CRITICAL, event, args, fields)

    def exception(self, event: object = None, *args: object, **fields: object) -> None:
        """Log an event at level ERROR with the traceback."""
        fields.setdefault("exc_info", True)
        self.error(event, *args, **fields)

    msg, warn, err, failure, fatal = info, warning, error, error, critical

    def log(self, level: int, event: object = None, *args: object, **fields: object) -> None:
        """Log an event at a level given by its number."""
        if self._logger.isEnabledFor(level) or (_manager._disable and self._processes(level)):
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

    def _processes(self, level: int) -> bool:
        """Whether processors run on an event that `logging.disable` hides: those of a test, say."""
        if _config.default_processors == _PLAIN:
            return False
        return self._logger.manager.disable >= level >= self._logger.getEffectiveLevel()

    def _write(
        self,
        method: str,
        level: int,
        event: object,
        args: tuple[object, ...],
        fields: dict[str, Any],
    ) -> None:
        if args:
            event = interpolated(event, args, fields)
        if _config.default_processors == _PLAIN:
            if self._context:
                for key, value in self._context.items():
                    fields.setdefault(key, value)
            write_event(self._logger, level, event, fields)
            return
        try:
            self._process_event(method, event, fields)  # type: ignore[arg-type]
        except structlog.DropEvent:
            return
        except Exception as failure:  # noqa: BLE001 - of a processor of the application's
            report("structlog processor", failure)
            write_event(self._logger, level, event, {**self._context, **fields})


def _awaited(name: str) -> Any:  # noqa: ANN401 - a method, as logging has it
    """Make the method of one level for async code."""

    async def alog(self: BoundLogger, *args: object, **fields: object) -> None:
        getattr(self, name)(*args, **fields)

    alog.__name__, alog.__qualname__ = f"a{name}", f"BoundLogger.a{name}"
    alog.__doc__ = f"`{name}` for async code."
    return alog


for _name in LEVELS:
    setattr(BoundLogger, f"a{_name}", _awaited(_name))


def are_built_in(processors: Iterable[Any]) -> bool:
    """Whether these are the processors that structlog begins with."""
    return processors == _PLAIN


def configured_processors() -> Iterable[Any]:
    """Return the processors that structlog is configured with now."""
    processors: Iterable[Any] = _config.default_processors
    return processors


def level_named(name: object) -> int | None:
    """Return the number of a level by the name of a method, or by a name that logging knows."""
    if not isinstance(name, str):
        return None
    return LEVELS.get(name) or logging.getLevelNamesMapping().get(name.upper())


def write_event(logger: logging.Logger, level: int, event: object, fields: dict[str, Any]) -> None:
    """Write the line of an event whose level is enabled."""
    stacklevel = 1
    # Most lines have none of these; three questions are quicker than one for a set.
    if type(event) is str and not (
        "exc_info" in fields or "stack_info" in fields or "stacklevel" in fields
    ):
        entry = Entry(level, event, logger.name, fields)
    else:
        stacklevel = stacklevel_in(fields)
        entry = entry_of(logger, level, event, fields, stacklevel)
    if handler is not None:
        handler.dispatch(logger, entry, stacklevel)
    else:  # logging was configured once, and has been reset
        logger.handle(record_for(entry))


def stacklevel_in(fields: dict[str, Any]) -> int:
    """Take the `stacklevel` out of an event's fields."""
    stacklevel = 1
    if type(fields.get("stacklevel")) is int:
        stacklevel = fields.pop("stacklevel")
    return stacklevel


def entry_of(
    logger: logging.Logger, level: int, event: object, fields: dict[str, Any], stacklevel: int = 1
) -> Entry:
    """Make the entry of an event from its fields, `exc_info` and `stack_info` included."""
    error = found = None
    if "exc_info" in fields:
        exc_info = fields.pop("exc_info")
        error, found = _exception_of(exc_info), traceback_in(exc_info)
    if "stack_info" in fields and fields.pop("stack_info"):
        fields["stack"] = "".join(traceback.format_stack(caller(stacklevel))).rstrip("\n")
    if type(event) is not str:
        event = "" if event is None else described(event)
    return Entry(level, event, logger.name, fields, error, traceback=found)


def _exception_of(exc_info: object) -> BaseException | None:
    """Find the exception that `exc_info` stands for: True, an exception, or a triple."""
    if exc_info and not isinstance(exc_info, BaseException | tuple):
        exc_info = sys.exc_info()[1]
    return error_in(exc_info)


def interpolated(event: object, args: tuple[object, ...], fields: dict[str, Any]) -> object:
    """Put positional arguments into an event; if they do not fit, they become a field."""
    try:
        return str(event) % (args[0] if len(args) == 1 and isinstance(args[0], dict) else args)
    except RAISED as error:  # arguments that do not fit: lose nothing
        let_signals_through(error)
        fields["positional_args"] = list(args)
        return event
