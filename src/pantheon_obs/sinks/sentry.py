"""Sentry: started when there is a DSN, private by default, every event tagged with the trace id.

`sentry_sdk` is imported only then.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.extras import require
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.settings import Settings, resolve
from pantheon_obs.sinks.sentry_apps import AsgiApp, WsgiApp
from pantheon_obs.sinks.sentry_imports import no_more_imports
from pantheon_obs.sinks.sentry_options import add_integrations, options_for
from pantheon_obs.sinks.sentry_scope import SentrySink, tag

# Their errors are the host's exceptions, which Sentry gets where they end.
_NEVER_EVENTS = (
    "pantheon_obs.request",
    "pantheon_obs.task",
    "pantheon_obs.llm",
    "pantheon_obs.health",
    "pantheon_obs.guard",
)

_AROUND = {"asgi": AsgiApp, "wsgi": WsgiApp}

_log = logging.getLogger("pantheon_obs.sentry")
_guard = Guard("sentry integrations")
_on = False
_ours = False
_status = "off: not started"


def init_sentry(settings: Settings | None = None, **overrides: object) -> bool:
    """Start Sentry if there is a DSN; without one `sentry_sdk` is not even imported.

    A second call is a no-op, and so is the first where the host has started Sentry itself: its
    events get the trace id all the same.

    Args:
        settings: The settings; None reads the environment.
        overrides: Fields of `Settings` that win over both.

    Returns:
        Whether Sentry is on.

    Raises:
        ConfigError: A setting is not accepted.
        MissingExtraError: A DSN was given as an argument, but `sentry_sdk` is not installed.

    Example:
        >>> from pantheon_obs import init_sentry
        >>> init_sentry(sentry_dsn=None)
        False
    """
    resolved = resolve(settings, overrides)
    return start(resolved, required="sentry_dsn" in resolved.given)


def start(settings: Settings, *, required: bool) -> bool:
    """Start Sentry once.

    Args:
        settings: The settings.
        required: Whether a missing package is an error of the caller's, not of the environment's.

    Returns:
        Whether Sentry is on.
    """
    global _on  # noqa: PLW0603 - Sentry is one per process
    if not (_on or _started_by_host() or _start(settings, required=required)):
        return False
    if not _on:
        _on = True
        _note("on")
        _watch()
    elif _ours:
        with _guard, no_more_imports():
            add_integrations(sys.modules["sentry_sdk"])
    return True


def around(app: Any, protocol: str) -> Any:  # noqa: ANN401 - any app
    """Put Sentry's middleware around an app that no integration of its own stands around.

    Args:
        app: An ASGI or WSGI callable.
        protocol: Which of them: `asgi` or `wsgi`.

    Returns:
        A callable that decides at its first request whether Sentry is on.
    """
    return _AROUND[protocol](app, lambda: sys.modules["sentry_sdk"] if _on else None)


def _started_by_host() -> bool:
    sdk = sys.modules.get("sentry_sdk")
    return sdk is not None and bool(sdk.is_initialized())


def _start(settings: Settings, *, required: bool) -> bool:
    global _ours  # noqa: PLW0603 - as above
    if settings.sentry_dsn is None:
        _note("off: no DSN")
        return False
    try:
        sdk = require("sentry_sdk", extra="sentry", feature="sentry_dsn")
    except ImportError as error:
        if required:
            raise
        return _refused(str(error))
    try:
        with no_more_imports():
            sdk.init(**options_for(settings))
    except ValueError:  # sentry_sdk.utils.BadDsn; its text repeats the DSN, which is a secret
        return _refused("the DSN is malformed: use the URL with key and project that Sentry shows")
    except Exception as error:  # noqa: BLE001 - whatever Sentry meets, the host runs
        return _refused(f"sentry_sdk.init raised {type(error).__name__}")
    _ours = True
    rate = settings.sentry_traces_sample_rate
    _log.info("sentry_initialized", extra={"traces_sample_rate": rate})
    return True


def status() -> str:
    """Whether Sentry is on, and why it is not."""
    return _status


def reset() -> None:
    """Forget that Sentry was started (used by `pantheon_obs.testing.reset`)."""
    global _on, _ours  # noqa: PLW0603 - as above
    _on = _ours = False
    _note("off: not started")
    pipeline.remove_sink(SentrySink.name)


def _note(status: str) -> None:
    global _status  # noqa: PLW0603 - as above
    _status = status


def _refused(reason: str) -> bool:
    if _status != f"off: {reason}":  # said once, though start-up tries again
        _note(f"off: {reason}")
        _log.error("sentry_disabled", extra={"reason": reason})
    return False


def _watch() -> None:
    """Tell Sentry which trace an event is of, and keep our own lines from becoming events."""
    ignore_logger = import_module("sentry_sdk.integrations.logging").ignore_logger
    for name in _NEVER_EVENTS:
        ignore_logger(name)
    logging.getLogger("urllib3.connectionpool").addFilter(_is_not_of_sentry)
    scope = import_module("sentry_sdk.scope")
    if tag not in scope.global_event_processors:
        scope.add_global_event_processor(tag)
    pipeline.add_sink(SentrySink(sys.modules["sentry_sdk"]))


def _is_not_of_sentry(record: logging.LogRecord) -> bool:
    """Keep what a host that cannot be reached is worth to Sentry's own client off the lines."""
    return not str(record.threadName).startswith("sentry-sdk.")
