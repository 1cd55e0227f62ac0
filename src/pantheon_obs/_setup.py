"""Start logging and Sentry, and announce it; adapters reach the sinks through this module only."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pantheon_obs.sinks import sentry
from pantheon_obs.sinks.logs import configure as logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings

_NAME = "pantheon_obs"


def start(
    settings: Settings, reread: Callable[[], Settings], *, anew: bool = True
) -> Callable[[], None]:
    """Set up logging and Sentry.

    Args:
        settings: The settings.
        reread: Reads the settings again when the server starts: the environment may have a DSN by
            then.
        anew: Whether to configure logging again where it is configured already.

    Returns:
        A function to call when the server starts the application.

    Raises:
        MissingExtraError: The application has set a DSN itself, but `sentry_sdk` is missing.
    """
    if anew or logs.active_emitter() is None:
        logs.configure_logging(settings)
    else:
        logs.reassert()
    sentry.start(settings)

    def on_startup() -> None:
        logs.reassert()
        # The DSN may have come into the environment since, or the application have started Sentry.
        sentry.start(reread())

    return on_startup


def start_logging() -> None:
    """Set up logging by the environment."""
    logs.configure_logging()


def take_over() -> None:
    """Take over the loggers that were set up since logging was configured, if it was."""
    logs.reassert()


def announce(settings: Settings, *, adapter: str) -> None:
    """Log `observability_configured`: what is on, and why the rest is off.

    Args:
        settings: The settings.
        adapter: The adapter's name.
    """
    logging.getLogger(_NAME).info(
        "observability_configured",
        extra={
            "adapter": adapter,
            "log_format": logs.active_format(),
            "log_level": settings.log_level,
            "sentry": sentry.status(),
        },
    )
