"""The structlog logger of `get_logger`, which writes through our handler."""

from __future__ import annotations

import logging
import sys
import traceback
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

# structlog's present configuration: much faster than its public function, which copies it. The
# processors that it begins with add nothing that our lines do not have.
_module: Any = sys.modules[structlog.configure.__module__]
_config = _module._CONFIG  # noqa: SLF001 - as above
_PLAIN: list[Any] = list(_module._BUILTIN_DEFAULT_PROCESSORS)  # noqa: SLF001 - as above
# Keyword arguments that say how an event is logged, and are no fields.
_ASIDE = frozenset({"stacklevel", "exc_info", "stack_info"})
_manager: Any = logging.Logger.manager  # its `disable` is a property, and slower


class BoundLogger(structlog.BoundLoggerBase):
    """A structlog logger that has the level of the standard library's logger of its name.

    So `log_level` and `logging.getLogger(name).setLevel` govern it at any time, and caching it is
    safe. The processors that structlog is configured with run on its events. Its methods are those
    of `structlog.typing.FilteringBoundLogger`.
    """

    _logger: logging.Logger

    def log(self, level: int, event: object = None, *args: object, **fields: object) -> None:
        """Log an event at a level given by its number."""
        if self._logger.isEnabledFor(level) or (
            _manager._disable and _is_watched(self._logger, level)  # noqa: SLF001 - as above
        ):
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


def _add_methods(name: str, level: int) -> None:
    """Add the methods of one level to the logger, for sync and for async code."""
    adds_traceback = name == "exception"
    method = "error" if adds_traceback else name

    def log(self: BoundLogger, event: object = None, *args: object, **fields: Any) -> None:  # noqa: ANN401 - any fields
        if self._logger.isEnabledFor(level) or (
            _manager._disable and _is_watched(self._logger, level)  # noqa: SLF001 - as above
        ):
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


def _is_watched(logger: logging.Logger, level: int) -> bool:
    """Whether processors, a test's capture mostly, see an event that `logging.disable` hides."""
    if _config.default_processors == _PLAIN:
        return False
    return logger.manager.disable >= level >= logger.getEffectiveLevel()


def write_event(logger: logging.Logger, level: int, event: object, fields: dict[str, Any]) -> None:
    """Write the line of an event whose level is enabled."""
    stacklevel = 1
    if type(event) is str and _ASIDE.isdisjoint(fields):
        entry = Entry(level, event, logger.name, fields)  # most lines, without another call
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
    entry = Entry(level, event, logger.name, fields, error)
    if found is not None:
        entry.traceback = found
    return entry


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
