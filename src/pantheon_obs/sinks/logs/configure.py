"""Set up logging: one handler, one renderer, for everything that logs in this process."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.guard import own_lines
from pantheon_obs.core.mistakes import warn_of_problems
from pantheon_obs.core.parsing import level_number
from pantheon_obs.core.settings import Settings, resolve
from pantheon_obs.core.switch import turned_off
from pantheon_obs.products import ACCESS
from pantheon_obs.sinks.logs import (
    beside,
    delivery,
    hooks,
    noticing,
    structlog_bridge,
    takeover,
    writing,
)
from pantheon_obs.sinks.logs.handler import LogSink, ObsHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pantheon_obs.sinks.logs.emitter import Emitter

_PLAIN = "%(asctime)s %(levelname)-8s %(name)s %(message)s"

_handler: ObsHandler | None = None
_is_starting = False  # start-up has begun, and the first request is not here yet
_settings = Settings()
_level_before = logging.WARNING
_FIRST_REQUEST = "logs at the first request"


def configure_logging(settings: Settings | None = None, **overrides: object) -> None:
    """Write every log line of this process in one format, with the trace id.

    Standard library and structlog loggers, warnings, uncaught exceptions and the servers' own
    lines are taken over, whether they were made before or after. May be called at any time and
    again; the last call's settings apply.

    Args:
        settings: The settings; None reads the environment.
        overrides: Fields of `Settings` that win over both.

    Raises:
        ConfigError: An override is not a field, or its value is not accepted.

    Example:
        >>> from pantheon_obs import configure_logging
        >>> configure_logging(log_format="json", log_level="INFO")
    """
    resolved = resolve(settings, overrides)
    if not turned_off(resolved):
        _install(resolved)


def logging_config(settings: Settings | None = None, **overrides: object) -> dict[str, Any]:
    """Return the set-up of `configure_logging` as a `logging.config.dictConfig` dict.

    For uvicorn's `log_config`, gunicorn's `logconfig_dict` and Django's `LOGGING`.

    Args:
        settings: The settings; None reads the environment.
        overrides: Fields of `Settings` that win over both.

    Returns:
        A new dict; applying it is calling `configure_logging`.

    Raises:
        ConfigError: An override is not a field, or its value is not accepted.

    Example:
        >>> from logging.config import dictConfig
        >>> from pantheon_obs import logging_config
        >>> dictConfig(logging_config(log_format="json"))
    """
    resolved = resolve(settings, overrides)
    plain = {"format": "%(message)s"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        # Ours need none; uvicorn looks for these two when --use-colors is given.
        "formatters": {"default": dict(plain), "access": dict(plain)},
        "handlers": {
            "pantheon_obs": {"()": handler_for, "settings": settings, "overrides": overrides}
        },
        "root": {"handlers": ["pantheon_obs"], "level": level_number(resolved.log_level)},
        "loggers": {
            **{name: {"level": "NOTSET", "handlers": []} for name in takeover.LOGGERS},
            # If the library is off, no line of ours stands for an access line.
            **{name: {"propagate": resolved.disabled, "handlers": []} for name in ACCESS},
        },
    }


def handler_for(
    settings: Settings | None = None, overrides: Mapping[str, object] | None = None
) -> logging.Handler:
    """Configure logging and return its handler, for `logging_config` and `log_config.json`.

    If the library is off, the handler prints plain lines: the dict that names it has taken the
    servers' own handlers away.
    """
    resolved = resolve(settings, overrides or {})
    if not turned_off(resolved):
        return _install(resolved)
    logging.getLogger().setLevel(level_number(resolved.log_level))
    plain = logging.StreamHandler(sys.stdout)
    plain.setFormatter(logging.Formatter(_PLAIN))
    return plain


def _install(settings: Settings) -> ObsHandler:
    global _handler, _level_before, _settings, _is_starting  # noqa: PLW0603 - one per process
    _settings = replace(settings, id_generator=None)  # which may refer to the application
    if _handler is None:
        hooks.in_command = hooks.comes_from_command()
    if settings.log_stream == "auto":
        settings = replace(settings, log_stream="stderr" if hooks.in_command else "stdout")
    beside.stop()
    handler = _handler or ObsHandler()
    writing.start(handler, settings)
    if _handler is None:
        _handler, _level_before = handler, logging.getLogger().level
    _take_over(_handler, anew=True)
    _is_starting = False
    noticing.install(_handler, _notice)
    if settings.debug_on_error:
        from pantheon_obs.sinks.logs import below_level  # noqa: PLC0415 - only if asked for

        below_level.install(_handler)
    # Not every server reports the end of start-up.
    pipeline.add_sink(pipeline.Once(_FIRST_REQUEST, _end_start))
    structlog_bridge.install(_handler)
    hooks.install()
    if isinstance(logging.lastResort, logging.StreamHandler):  # else it is the application's
        logging.lastResort = _LastResort(logging.WARNING)
    warn_of_problems(settings)
    return _handler


def reassert() -> None:
    """Take over again: servers configure their loggers when they start."""
    if _handler is not None:
        _take_over(_handler, anew=False)


def take_back() -> None:
    """Take over again, and log who has taken logging away: the application's start-up, mostly."""
    global _is_starting  # noqa: PLW0603 - as above
    if _handler is None:
        return
    _is_starting = True
    by = _handler.closed_by
    if _take_over(_handler, anew=False):
        fields = {"by": by} if by else {}
        with own_lines:
            logging.getLogger("pantheon_obs.logs").warning("logging_taken_over", extra=fields)


def _end_start() -> None:
    global _is_starting  # noqa: PLW0603 - as above
    take_back()
    _is_starting = False


def _notice(logger: logging.Logger) -> bool:
    """Take logging back before a record that start-up logs; then do as `takeover.notice`."""
    if _is_starting and _handler is not None and not takeover.stands(_handler):
        take_back()
    return takeover.notice(logger)


def _take_over(handler: ObsHandler, *, anew: bool) -> bool:
    taken = takeover.take_over(handler, level_number(_settings.log_level), anew=anew)
    noticing.look_at_methods()
    return taken


class _LastResort(logging.Handler):
    """Writes the warnings that reach no handler; logging's own would print them unmasked."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record."""
        return _handler is not None and _handler.handle(record)


def in_command() -> bool:
    """Whether logging was configured in a command that does not serve yet."""
    return hooks.in_command


def serve() -> None:
    """Write to standard output from now on: the command in which logging was configured serves."""
    if hooks.in_command:
        hooks.in_command = False
        _install(_settings)


def serve_if_begun() -> None:
    """Call `serve` if an application is started now by a command that serves, or without one."""
    if hooks.in_command and not hooks.comes_from_command():
        serve()


def active_format() -> str:
    """Return the name of the current format, `auto` decided; empty before configuration."""
    handler = _handler or beside.handler
    return handler.emitter.format_name if handler is not None else ""


def active_emitter() -> Emitter | None:
    """Return the emitter of the last `configure_logging`; None before the first."""
    return _handler.emitter if _handler is not None else None


def reset() -> None:
    """Undo the configuration as far as possible (used by `pantheon_obs.testing.reset`)."""
    global _handler, _is_starting
    beside.stop()
    writing.stop()
    structlog_bridge.uninstall()
    if _handler is None:
        return
    logging.getLogger().removeHandler(_handler)
    logging.getLogger().setLevel(_level_before)
    pipeline.remove_sink(LogSink.name)
    pipeline.remove_sink(_FIRST_REQUEST)
    noticing.uninstall()
    hooks.uninstall()
    if isinstance(logging.lastResort, _LastResort):
        logging.lastResort = logging._defaultLastResort  # type: ignore[attr-defined]  # noqa: SLF001 - logging's own
    hooks.in_command = False
    takeover.let_go()
    delivery.close()
    _handler, _is_starting = None, False
