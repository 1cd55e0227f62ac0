"""Make lines of the events of structlog's loggers, however the application has configured them.

All of structlog's loggers pass their events to `BoundLoggerBase._process_event`, those that were
cached long ago included. Ours runs the application's processors just as structlog does, and keeps
the event as it was before the application's renderer. So everything that the application has given
to structlog stays its own: processors, wrapper class, context class, factory.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from types import FunctionType
from typing import TYPE_CHECKING, Any

import structlog

from pantheon_obs.sinks.logs import bound_logger
from pantheon_obs.sinks.logs.bound_logger import (
    LEVELS,
    BoundLogger,
    are_built_in,
    configured_processors,
    write_event,
)
from pantheon_obs.sinks.logs.emitter import captures
from pantheon_obs.sinks.logs.passed_on import passed_on
from pantheon_obs.sinks.logs.structlog_run import (
    CapturedRun,
    LoggingRun,
    Run,
    is_console,
    standard_logger,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pantheon_obs.sinks.logs.handler import ObsHandler

_BASE: Any = structlog.BoundLoggerBase
_ORIGINAL = _BASE._process_event  # noqa: SLF001 - structlog documents both for wrapper classes
_CALLER = _BASE._proxy_to_logger.__code__  # noqa: SLF001 - as above

_configured: deque[Iterable[Any]] = deque(maxlen=32)
"""The processors that structlog has been configured with lately; loggers may have cached them."""


_FACTORIES: dict[Any, Any] = {
    factory: factory.__call__
    for factory in (
        structlog.PrintLoggerFactory,
        structlog.WriteLoggerFactory,
        structlog.BytesLoggerFactory,
    )
}


def install(handler: ObsHandler | None) -> None:
    """Make lines of the events of all of structlog's loggers that print, by our handler."""
    bound_logger.handler = handler
    _remember(configured_processors())
    _BASE._process_event = _PROCESS_EVENT  # noqa: SLF001 - as above
    for factory, make in _FACTORIES.items():
        factory.__call__ = _naming(make)


def uninstall() -> None:
    """Let structlog's loggers print by themselves again."""
    _BASE._process_event = _ORIGINAL  # noqa: SLF001 - as above
    for factory, make in _FACTORIES.items():
        factory.__call__ = make
    _configured.clear()
    passed_on.events.clear()
    bound_logger.handler = None


def _naming(make: Callable[..., Any]) -> Callable[..., Any]:
    """Have the loggers of a factory know the name that `structlog.get_logger` was given."""

    def call(self: Any, *args: Any) -> Any:  # noqa: ANN401 - as the factory's own
        logger = make(self, *args)
        if args:
            with suppress(AttributeError):  # structlog 26 does so itself, with slots
                logger.name = args[0]
        return logger

    return call


def _process_event(self: Any, method_name: str, event: Any, event_kw: dict[str, Any]) -> Any:  # noqa: ANN401 - structlog's signature
    """Run the processors, as structlog does; raise DropEvent if the line has been written."""
    run = _begin(self, method_name, event, event_kw)
    if run is None:
        return _ORIGINAL(self, method_name, event, event_kw)
    event_dict: Any = self._context.copy()
    event_dict.update(**event_kw)
    if event is not None:
        event_dict["event"] = event
    run.given = dict(event_dict)
    # In here, and not in a function of its own: processors look for their caller's frame.
    for processor in run.processors:
        if isinstance(event_dict, Mapping):
            run.last = dict(event_dict)
        event_dict = processor(self._logger, method_name, event_dict)
    return run.end(event_dict)


def _begin(bound: Any, method: str, event: object, fields: dict[str, Any]) -> Run | None:  # noqa: ANN401 - any of structlog's loggers
    """Begin to make a line of an event; None if structlog shall do all by itself.

    Raises:
        DropEvent: The line has been written, as there is nothing to run.
    """
    logger = bound._logger  # noqa: SLF001 - as above
    if isinstance(bound, BoundLogger):
        return Run(bound, method, fields, configured_processors(), is_awaited=True)
    # The caller mostly drops the event then, and calls no logger.
    is_awaited = sys._getframe(2).f_code is _CALLER  # noqa: SLF001 - as above
    kind = Run
    if isinstance(logger, logging.Logger | logging.LoggerAdapter):
        kind = LoggingRun
    elif not is_console(logger):
        if not captures:
            return None
        kind = CapturedRun
    processors = _processors_of(bound)
    if is_awaited and kind is Run and are_built_in(processors):
        level, standard = LEVELS.get(method, logging.INFO), standard_logger(logger)
        if standard.isEnabledFor(level):
            fields = {**bound._context, "exc_info": method == "exception", **fields}  # noqa: SLF001 - as above
            write_event(standard, level, event, fields)
        raise structlog.DropEvent
    return kind(bound, method, fields, processors, is_awaited=is_awaited)


def _processors_of(bound: Any) -> Iterable[Any]:  # noqa: ANN401 - as above
    """Return the processors for a logger: a cached one follows structlog's configuration, too.

    So the application's processors run on each line, and captures of tests see it.
    """
    own: Iterable[Any] = bound._processors  # noqa: SLF001 - as above
    current = configured_processors()
    _remember(current)
    return current if any(own is known for known in _configured) else own


def _remember(processors: Iterable[Any]) -> None:
    if not any(processors is known for known in _configured):
        _configured.append(processors)


# Processors and logging leave out the frames of structlog's modules to find who has logged.
_PROCESS_EVENT: Any = FunctionType(
    _process_event.__code__, {**globals(), "__name__": "structlog._base"}, "_process_event"
)
