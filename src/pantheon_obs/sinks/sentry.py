"""Sentry: started when there is a DSN, private by default, every event tagged with the trace id.

`sentry_sdk` is imported only then.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.context import current_trace_id
from pantheon_obs.core.extras import require
from pantheon_obs.core.failures import trace_of
from pantheon_obs.core.settings import Settings, resolve
from pantheon_obs.sinks.redact import REDACTED, Redactor

if TYPE_CHECKING:
    from types import ModuleType

    from pantheon_obs.core.context import Record
    from pantheon_obs.core.events import Event

# Only for what the host has imported already: an integration imports its framework.
_INTEGRATIONS = (
    ("starlette", "StarletteIntegration"),
    ("fastapi", "FastApiIntegration"),
    ("flask", "FlaskIntegration"),
    ("django", "DjangoIntegration"),
)
# Their errors are the host's exceptions, which Sentry gets where they end.
_NEVER_EVENTS = (
    "pantheon_obs.request",
    "pantheon_obs.llm",
    "pantheon_obs.health",
    "pantheon_obs.guard",
)

_log = logging.getLogger("pantheon_obs.sentry")
_on = False
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
    required = settings is not None or "sentry_dsn" in overrides
    return start(resolve(settings, overrides), required=required)


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
    return True


def _started_by_host() -> bool:
    sdk = sys.modules.get("sentry_sdk")
    return sdk is not None and bool(sdk.is_initialized())


def _start(settings: Settings, *, required: bool) -> bool:
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
        sdk.init(**_options(settings))
    except ValueError:  # sentry_sdk.utils.BadDsn; its text repeats the DSN, which is a secret
        return _refused("the DSN is malformed: use the URL with key and project that Sentry shows")
    except Exception as error:  # noqa: BLE001 - whatever Sentry meets, the host runs
        return _refused(f"sentry_sdk.init raised {type(error).__name__}")
    rate = settings.sentry_traces_sample_rate
    _log.info("sentry_initialized", extra={"traces_sample_rate": rate})
    return True


def status() -> str:
    """Whether Sentry is on, and why it is not."""
    return _status


def reset() -> None:
    """Forget that Sentry was started (used by `pantheon_obs.testing.reset`)."""
    global _on  # noqa: PLW0603 - as above
    _on = False
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


def _options(settings: Settings) -> dict[str, Any]:
    atexit = import_module("sentry_sdk.integrations.atexit")
    integrations = [
        getattr(import_module(f"sentry_sdk.integrations.{module}"), name)()
        for module, name in _INTEGRATIONS
        if _is_used(module)
    ]
    options: dict[str, Any] = {
        "dsn": settings.sentry_dsn,
        "environment": settings.environment,
        "release": settings.release,
        "traces_sample_rate": settings.sentry_traces_sample_rate,
        "include_local_variables": False,
        "max_request_body_size": "never",
        "auto_enabling_integrations": False,
        # Its default prints to standard error while the last events are sent.
        "integrations": [*integrations, atexit.AtexitIntegration(callback=lambda *_: None)],
        "before_send": _Masking(settings),
        "before_send_transaction": _Masking(settings),
    }
    if settings.sentry_send_default_pii:  # given even as False, it is called deprecated by 2.75
        options["send_default_pii"] = True
    return options


def _is_used(framework: str) -> bool:
    """Whether the host uses it, and not only sentry_sdk, which imports half of Django by itself."""
    if framework != "django":
        return framework in sys.modules
    apps = sys.modules.get("django.apps")
    return apps is not None and bool(apps.apps.apps_ready)


class _Masking:
    """Takes secrets and query values out of an event, just before it is sent."""

    def __init__(self, settings: Settings) -> None:
        # What calls to others carry in their query strings is in breadcrumbs and spans.
        self._redactor = Redactor((*settings.redact_keys, "http.query"))

    def __call__(self, event: dict[str, Any], _hint: dict[str, Any]) -> dict[str, Any]:
        request = event.get("request") or {}
        if request.get("query_string"):
            # Integrations put it in after the event processors have run.
            request["query_string"] = _without_values(str(request["query_string"]))
        masked: dict[str, Any] = self._redactor.clean(event)
        return masked


def _without_values(query: str) -> str:
    """A query string with its names only."""
    parts = (part.partition("=") for part in query.split("&"))
    return "&".join(f"{name}={REDACTED}" if equals else REDACTED for name, equals, _ in parts)


def _watch() -> None:
    """Tag what Sentry sends, and keep our own lines from becoming events."""
    ignore_logger = import_module("sentry_sdk.integrations.logging").ignore_logger
    for name in _NEVER_EVENTS:
        ignore_logger(name)
    scope = import_module("sentry_sdk.scope")
    if _tag not in scope.global_event_processors:
        scope.add_global_event_processor(_tag)
    pipeline.add_sink(SentrySink(sys.modules["sentry_sdk"]))


def _tag(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any]:
    """Tag an event with the trace of this context, or with the one that its exception left."""
    exc_info = hint.get("exc_info") or (None, None)
    trace_id = current_trace_id.get() or trace_of(exc_info[1])
    if trace_id:
        event.setdefault("tags", {}).setdefault("trace_id", trace_id)
    return event


class SentrySink:
    """Tags the scope of a request that Sentry has opened around us.

    Sentry captures an unhandled error outside of our middleware, when our context is reset.

    Args:
        sdk: The module `sentry_sdk`.
    """

    name = "sentry"

    def __init__(self, sdk: ModuleType) -> None:
        self._sdk = sdk

    def started(self, record: Record) -> None:
        """Put the trace id on the scope, if it is this request's own."""
        scope = self._sdk.get_isolation_scope()
        # The name is private to sentry_sdk; the span is None in some of its tracing modes.
        own = getattr(scope, "_name", None) in ("asgi", "wsgi", "django")
        if own or self._sdk.get_current_span() is not None:
            scope.set_tag("trace_id", record.trace_id)

    def handle(self, event: Event) -> None:
        """No fact of ours becomes a Sentry event."""
