"""structlog's loggers, made before or after, cached or not, through our renderer."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from structlog.typing import FilteringBoundLogger

from pantheon_obs.sinks.logs.handler import dispatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from pantheon_obs.sinks.logs.handler import ObsHandler

_LEVELS = {
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

_Function = TypeVar("_Function", bound="Callable[..., Any]")

_handler: ObsHandler | None = None


class BoundLogger(structlog.BoundLoggerBase):
    """A structlog logger whose level is that of the standard library's logger of its name.

    So `log_level` and `logging.getLogger(name).setLevel` govern it at any time, and caching it is
    safe. Its methods are those of `structlog.typing.FilteringBoundLogger`.
    """

    _logger: logging.Logger

    def log(self, level: int, event: object = None, *args: object, **fields: object) -> None:
        """Log an event at a level given by its number."""
        if self._logger.isEnabledFor(level):
            name = logging.getLevelName(level).lower()
            self._write(name if name in _LEVELS else "info", level, event, args, fields)

    async def alog(self, level: int, event: object = None, *args: object, **fields: object) -> None:
        """Log an event at a level given by its number, from async code."""
        self.log(level, event, *args, **fields)

    def is_enabled_for(self, level: int) -> bool:
        """Whether an event of this level would be logged."""
        return self._logger.isEnabledFor(level)

    def get_effective_level(self) -> int:
        """The least level that is logged."""
        return self._logger.getEffectiveLevel()

    isEnabledFor = is_enabled_for  # noqa: N815 - the standard library's names, as structlog has them
    getEffectiveLevel = get_effective_level  # noqa: N815

    def _write(
        self, method: str, level: int, event: object, args: tuple[object, ...], fields: Any  # noqa: ANN401 - any fields
    ) -> None:
        processors = self._processors
        if args:
            event = _interpolated(event, args, fields)
        if len(processors) == 1 and processors[0] is take_over:
            _emit(self._logger, level, event, {**self._context, **fields} if self._context else fields)
            return
        # Somebody has put other processors there: structlog.testing.capture_logs, for one.
        try:
            self._process_event(method, event, fields)  # type: ignore[arg-type]
        except structlog.DropEvent:
            return


def _method(name: str) -> Callable[..., None]:
    level = _LEVELS[name]

    def log(self: BoundLogger, event: object = None, *args: object, **fields: object) -> None:
        if self._logger.isEnabledFor(level):
            if name == "exception":
                fields.setdefault("exc_info", True)
            self._write(name, level, event, args, fields)

    return _named(log, name, f"Log an event at level {logging.getLevelName(level)}.")


def _async_method(name: str) -> Callable[..., Awaitable[None]]:
    async def log(self: BoundLogger, *args: object, **fields: object) -> None:
        getattr(self, name)(*args, **fields)

    return _named(log, f"a{name}", f"`{name}` for async code.")


def _named(function: _Function, name: str, doc: str) -> _Function:
    function.__name__ = name
    function.__qualname__ = f"BoundLogger.{name}"
    function.__doc__ = doc
    return function


for _name in _LEVELS:
    setattr(BoundLogger, _name, _method(_name))
    setattr(BoundLogger, f"a{_name}", _async_method(_name))


def take_over(logger: object, method: str, event_dict: MutableMapping[str, Any]) -> Any:  # noqa: ANN401 - never returns
    """The only processor: write the line, whatever logger it came through, and stop there."""
    level = _LEVELS.get(method, logging.INFO)
    named = logger if isinstance(logger, logging.Logger) else logging.getLogger("structlog")
    if named.isEnabledFor(level):
        _emit(named, level, event_dict.pop("event", None), event_dict)
    raise structlog.DropEvent


_processors: list[Any] = [take_over]


def install(handler: ObsHandler) -> None:
    """Point all of structlog at our handler; loggers that hold the old processors included."""
    global _handler  # noqa: PLW0603 - structlog's configuration is global too
    _handler = handler
    before = structlog.get_config()["processors"]
    if before is not _processors and isinstance(before, list):
        before[:] = _processors
    structlog.configure(
        processors=_processors,
        wrapper_class=BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        context_class=dict,
        cache_logger_on_first_use=True,
    )


def uninstall() -> None:
    """Give structlog its defaults back."""
    global _handler  # noqa: PLW0603 - as above
    _handler = None
    structlog.reset_defaults()


def get_logger(name: str | None = None, **initial: object) -> FilteringBoundLogger:
    """A structured logger; it may be made before logging is configured.

    Args:
        name: The logger's name; None means the caller's module.
        initial: Fields on each of its lines.

    Returns:
        A structlog logger.

    Example:
        >>> from pantheon_obs import get_logger
        >>> log = get_logger("shop")
        >>> log.info("order_placed", order_id=17)
    """
    if name is None:
        name = str(sys._getframe(1).f_globals.get("__name__", "root"))  # noqa: SLF001 - as logging does
    logger: FilteringBoundLogger = structlog.get_logger(name, **initial)
    return logger


def _emit(logger: logging.Logger, level: int, event: object, fields: MutableMapping[str, Any]) -> None:
    error = None
    if "exc_info" in fields:
        error = _exception(fields.pop("exc_info"))
    if "stack_info" in fields and fields.pop("stack_info"):
        fields["stack"] = "".join(traceback.format_stack(sys._getframe(1)))  # noqa: SLF001 - as logging does
    if _handler is not None:
        text = event if type(event) is str else str(event)
        dispatch(_handler, logger, level, text, fields, error=error)


def _exception(exc_info: object) -> BaseException | None:
    """The exception that `exc_info` stands for: True, an exception, or a triple."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if len(exc_info) > 1 else None
    return sys.exc_info()[1] if exc_info else None


def _interpolated(event: object, args: tuple[object, ...], fields: dict[str, Any]) -> object:
    try:
        return str(event) % (args[0] if len(args) == 1 and isinstance(args[0], dict) else args)
    except (TypeError, ValueError, KeyError):  # arguments that do not fit: lose nothing
        fields["positional_args"] = list(args)
        return event
