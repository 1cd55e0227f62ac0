"""Direct structlog's loggers to our handler: made before or after, cached or not."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import structlog

from pantheon_obs.sinks.logs import bound_logger
from pantheon_obs.sinks.logs.bound_logger import BoundLogger

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from pantheon_obs.sinks.logs.handler import ObsHandler


class _Before(NamedTuple):
    """The application's configuration of structlog when we took it over."""

    configured: bool
    config: dict[str, Any]
    processors: list[Any]


_before: list[_Before] = []


def install(handler: ObsHandler) -> None:
    """Direct all of structlog to our handler, loggers that hold the earlier processors included."""
    bound_logger.handler = handler
    config = structlog.get_config()
    theirs = config["processors"]
    if theirs is bound_logger.processors:
        return
    _before.append(_Before(structlog.is_configured(), config, list(theirs)))
    if isinstance(theirs, list):
        theirs[:] = bound_logger.processors
    structlog.configure(
        processors=bound_logger.processors,
        wrapper_class=_wrap,  # type: ignore[arg-type]
        logger_factory=structlog.stdlib.LoggerFactory(),
        context_class=dict,
        cache_logger_on_first_use=True,
    )


def _wrap(logger: Any, processors: Any, context: Any) -> Any:  # noqa: ANN401 - as structlog calls it
    """Make our logger; structlog's own where only the factory has been configured anew since."""
    if isinstance(logger, logging.Logger):
        return BoundLogger(logger, processors, context)
    return _PLAIN(logger, processors, context)


_PLAIN: Any = structlog.make_filtering_bound_logger(logging.NOTSET)


def reinstall(handler: ObsHandler) -> None:
    """Install again where the application has configured structlog since; leave a capture alone."""
    last = list(structlog.get_config()["processors"])[-1:]
    if last and str(getattr(last[0], "__module__", "")) in _PRINTING:
        install(handler)


_PRINTING = ("structlog.dev", "structlog.processors", "structlog.stdlib")


def uninstall() -> None:
    """Configure structlog as the application had."""
    bound_logger.handler = None
    structlog.reset_defaults()
    for before in _before:
        if isinstance(before.config["processors"], list):
            before.config["processors"][:] = before.processors
        if before.configured:
            structlog.configure(**before.config)
    _before.clear()


def get_logger(name: str | None = None, **initial: object) -> FilteringBoundLogger:
    """Make a structured logger, before or after logging is configured.

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
    # Not structlog's lazy proxy: it costs more than the line, and this follows the configuration.
    logger: Any = BoundLogger(logging.getLogger(name), bound_logger.processors, initial)
    return cast("FilteringBoundLogger", logger)
