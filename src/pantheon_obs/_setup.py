"""Start logging and Sentry, and announce it; adapters reach the sinks through this module only."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pantheon_obs.core.switch import is_off, turned_off
from pantheon_obs.sinks import sentry
from pantheon_obs.sinks.logs import configure as logs
from pantheon_obs.sinks.metrics import registry as metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings

start_logging = logs.configure_logging
in_command, serve = logs.in_command, logs.serve
metrics_page, metrics_status = metrics.page_app, metrics.status
worker_died = metrics.worker_died
take_over = logs.reassert  # the loggers that were set up since logging was configured, if it was


def start(
    settings: Settings, reread: Callable[[], Settings], *, anew: bool = True
) -> Callable[[], None]:
    """Set up logging (`anew`: again where it is configured already) and Sentry, unless off.

    The function that it returns is to be called when the server starts the application, whose
    environment may have a DSN by then.
    """
    if turned_off(settings):
        return lambda: None
    if anew or logs.active_emitter() is None:
        logs.configure_logging(settings)
    else:
        logs.reassert()
    sentry.start(settings)
    metrics.start(settings)

    def on_startup() -> None:
        logs.reassert()
        # The DSN may have come into the environment since, or the application have started Sentry.
        sentry.start(reread())

    return on_startup


def announce(settings: Settings, *, adapter: str) -> None:
    """Log `observability_configured`, what is on and why the rest is off, unless all is off."""
    if is_off():
        return
    fields = {
        "adapter": adapter,
        "log_format": logs.active_format(),
        "log_level": settings.log_level,
        "sentry": sentry.status(),
        "metrics": metrics.status(),
    }
    logging.getLogger("pantheon_obs").info("observability_configured", extra=fields)


def announce_serving(
    settings: Settings, *, adapter: str, on_startup: Callable[[], None]
) -> Callable[[], None]:
    """Announce it now, or in a command when the application is started, by what this returns."""
    if not logs.in_command():
        announce(settings, adapter=adapter)
        return on_startup
    waiting = [adapter]

    def on_startup_in_command() -> None:
        logs.serve_if_begun()
        on_startup()
        while waiting:
            announce(settings, adapter=waiting.pop())

    return on_startup_in_command
