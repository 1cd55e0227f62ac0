"""Start logging and Sentry, and announce it; adapters reach the sinks through this module only."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard, own_lines
from pantheon_obs.core.switch import is_off, turned_off
from pantheon_obs.sinks.logs import beside
from pantheon_obs.sinks.logs import configure as logs
from pantheon_obs.sinks.sentry import start as sentry
from pantheon_obs.sinks.sentry.options import refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings
    from pantheon_obs.llm.cost.price_list_loader import ListLoader

_METRICS = "pantheon_obs.sinks.metrics.registry"

_guard = Guard("sentry interceptor")

start_logging = logs.configure_logging
in_command, serve = logs.in_command, logs.serve
take_over = logs.reassert  # the loggers that were set up since logging was configured, if it was


def start(
    settings: Settings,
    reread: Callable[[], Settings],
    *,
    anew: bool = True,
    is_kept: bool = False,
) -> Callable[[], None]:
    """Set up logging (`anew`: again where it is configured already) and Sentry, unless off.

    `is_kept` says that the application sets up logging, and keeps it: then our own events are
    lines beside it, unless the library has configured logging before.
    The function that it returns is to be called when the server starts the application, whose
    environment may have a DSN by then.
    """
    check_options(settings)
    if turned_off(settings):
        return lambda: None
    is_configured = logs.active_emitter() is not None
    if is_kept and not is_configured:
        beside.write(settings)
    elif (anew and not is_kept) or not is_configured:
        logs.configure_logging(settings)
    else:
        logs.reassert()
    sentry.start(settings)
    if settings.metrics_path is not None or settings.metrics_port is not None:
        import_module(_METRICS).start(settings)
    if not logs.in_command():
        _open_port(settings)
    _observe_libraries(settings)

    def on_startup() -> None:
        _open_port(settings)
        _observe_libraries(settings)
        logs.take_back()
        # The DSN may have come into the environment since, or the application have started Sentry.
        sentry.start(reread())
        if (prices := _prices()) is not None:
            prices.load()

    if (prices := _prices()) is not None:
        prices.prepare()
    return on_startup


def _prices() -> ListLoader | None:
    """Return the loader of the price list, if the application uses that part of the library."""
    return getattr(sys.modules.get("pantheon_obs.llm.cost.price_list_loader"), "loader", None)


def check_options(settings: Settings) -> None:
    """Raise `ConfigError` for options that only a sink can recognise as wrong."""
    refuse_unknown(settings.sentry_options or ())


def _observe_libraries(settings: Settings) -> None:
    if settings.llm:
        import_module("pantheon_obs.llm.instrument").instrument_imported()
    if settings.measure_time:
        import_module("pantheon_obs.time.imported").patch_imported()


def _open_port(settings: Settings) -> None:
    if settings.metrics_port is not None and metrics_status() == "on":
        import_module("pantheon_obs.sinks.metrics.port").listen(settings.metrics_port)


def metrics_status() -> str:
    """Return `on`, or `off: ` and the reason; unless asked for nothing of the metrics is loaded."""
    loaded: Any = sys.modules.get(_METRICS)
    return "off: no metrics_path or metrics_port" if loaded is None else loaded.status()


def metrics_page(protocol: str) -> Callable[..., Any]:
    """Make the page of the metrics, an application of a protocol."""
    made: Callable[..., Any] = import_module(_METRICS).page_app(protocol)
    return made


def worker_died(pid: int) -> None:
    """Settle the metrics that a worker which has ended has left."""
    import_module(_METRICS).worker_died(pid)


def missing_interceptor(module: str) -> Any:  # noqa: ANN401 - gRPC's
    """Return the interceptor of a module of Sentry's that the running server lacks; else None."""
    with _guard:
        return sentry.missing_interceptor(module)


def announce(settings: Settings, *, adapter: str) -> None:
    """Log `observability_configured`: which parts are on, and why the others are off.

    Nothing is logged if all parts are off.
    """
    if is_off():
        return
    fields = {
        "adapter": adapter,
        "log_format": logs.active_format(),
        "log_level": settings.log_level,
        "sentry": sentry.status(),
        "metrics": metrics_status(),
    }
    with own_lines:
        logging.getLogger("pantheon_obs").info("observability_configured", extra=fields)


def announce_serving(
    settings: Settings, *, adapter: str, on_startup: Callable[[], None]
) -> Callable[[], None]:
    """Announce it now, or in a command when the application starts, by the returned function."""
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
