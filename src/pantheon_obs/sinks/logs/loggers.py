"""The structured loggers of the library."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, cast

import structlog  # noqa: F401 - before ours: its import may be waited for, and imports them itself

from pantheon_obs.sinks.logs.bound_logger import BoundLogger

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


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
    logger: Any = BoundLogger(logging.getLogger(name), (), initial)
    return cast("FilteringBoundLogger", logger)
