"""Direct structlog's loggers to our handler: made before or after, cached or not.

This module imports neither structlog nor our modules that need it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.late_imports import forget, when_imported
from pantheon_obs.sinks.logs.structlog_fields import read_register

if TYPE_CHECKING:
    from pantheon_obs.sinks.logs.handler import ObsHandler

_handler: ObsHandler | None = None


def install(handler: ObsHandler) -> None:
    """Direct all of structlog to our handler, as soon as the application imports it."""
    global _handler  # noqa: PLW0603 - logging is one per process
    _handler = handler
    when_imported("structlog", _direct)


def _direct() -> None:
    from pantheon_obs.sinks.logs import structlog_events  # noqa: PLC0415 - see above

    structlog_events.install(_handler)


def uninstall() -> None:
    """Leave structlog as the application has configured it."""
    global _handler  # noqa: PLW0603 - as above
    _handler = None
    forget("structlog", _direct, read_register)
    events: Any = sys.modules.get("pantheon_obs.sinks.logs.structlog_events")
    if events is not None:
        events.uninstall()
