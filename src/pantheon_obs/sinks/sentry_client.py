"""Start `sentry_sdk`, and watch its events: imported only if there is a DSN or a client.

The options that it is started with are defaults, and the application's own win.
"""

from __future__ import annotations

import codecs
import logging
import os
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.guard import Guard
from pantheon_obs.sinks.sentry_claims import keep_headers_in
from pantheon_obs.sinks.sentry_delivery import begin_afresh
from pantheon_obs.sinks.sentry_masking import masking
from pantheon_obs.sinks.sentry_options import dsn_of
from pantheon_obs.sinks.sentry_scope import forget, tag, tag_log
from pantheon_obs.sinks.sentry_sink import SentrySink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from pantheon_obs.core.settings import Settings

# The exceptions on these loggers' lines reach Sentry where they escape.
_OURS = ("request", "task", "llm", "health", "guard", "lifespan")
_NEVER_EVENTS = {f"pantheon_obs.{name}" for name in _OURS}
_URLLIB3 = "urllib3.connectionpool"

_LOG_HOOK = "before_send_log"
_HOOKS = ("before_send", "before_send_transaction", _LOG_HOOK, "before_send_metric")
_SPAN_HOOK = "before_send_span"  # the SDK warns of it unless spans are sent one by one

_logs_guard = Guard("sentry logs")
_fork_guard = Guard("sentry after a fork")
_watched: ModuleType | None = None  # the SDK, while its events are watched


def options_for(settings: Settings) -> dict[str, Any]:
    """Build the arguments of `sentry_sdk.init`."""
    given: Mapping[str, Any] = settings.sentry_options or {}
    options: dict[str, Any] = {
        "environment": settings.environment,
        "release": settings.release,
        # None turns tracing off. With 0, Sentry would still follow each caller's own decision.
        "traces_sample_rate": settings.sentry_traces_sample_rate or None,
        "include_local_variables": False,
        "max_request_body_size": "never",
        # They import every framework that is installed; `sentry_integrations` adds those in use.
        "auto_enabling_integrations": False,
    }
    if settings.sentry_send_default_pii:  # deprecated since 2.75, which warns even of False
        options["send_default_pii"] = True
    options |= {**given, "dsn": dsn_of(settings)}
    mask = masking(settings)
    hooks = [*_HOOKS, _SPAN_HOOK] if given.get("trace_lifecycle") == "stream" else _HOOKS
    known = import_module("sentry_sdk.consts").DEFAULT_OPTIONS
    for hook in filter(known.__contains__, hooks):
        own = given.get(hook) or (given.get("_experiments") or {}).get(hook)
        last = _tagged(mask) if hook == _LOG_HOOK else mask
        options[hook] = last if own is None else _masked_after(own, last)
    integrations = list(given.get("integrations") or ())
    has_own = any(integration.identifier == "atexit" for integration in integrations)
    if given.get("default_integrations", True) and not has_own:
        # The default callback prints to standard error while the last events are sent.
        atexit = import_module("sentry_sdk.integrations.atexit")
        integrations.append(atexit.AtexitIntegration(callback=lambda *_: None))
    options["integrations"] = integrations
    return options


def _tagged(mask: Callable[[Any, Any], Any]) -> Any:  # noqa: ANN401 - a hook of Sentry's
    """Put the trace on a log before it is masked; event processors do that for events."""

    def hook(log: Any, hint: Any) -> Any:  # noqa: ANN401 - Sentry's
        with _logs_guard:
            tag_log(log)
        return mask(log, hint)

    return hook


def _masked_after(own: Callable[[Any, Any], Any], mask: Callable[[Any, Any], Any]) -> Any:  # noqa: ANN401 - a hook of Sentry's
    """Let the application's own hook change or drop an event before it is masked."""

    def hook(event: Any, hint: Any) -> Any:  # noqa: ANN401 - Sentry's
        kept = own(event, hint)
        return None if kept is None else mask(kept, hint)

    return hook


def watch(sdk: ModuleType) -> None:
    """Tag Sentry's events with our trace, and keep our own lines from becoming events."""
    global _watched  # noqa: PLW0603 - Sentry is one per process
    _watched = sdk
    # Its first lookup is an import. A process that is forked while the transport's thread does it
    # would wait for that import's lock for ever.
    codecs.lookup("idna")
    ignore_logger = import_module("sentry_sdk.integrations.logging").ignore_logger
    for name in _NEVER_EVENTS:
        ignore_logger(name)
    logging.getLogger(_URLLIB3).addFilter(_is_not_from_sentry)
    keep_headers_in(sdk)
    # First: it decides which failures are new before the SDK compares exception objects.
    import_module("sentry_sdk.scope").global_event_processors.insert(0, tag)
    pipeline.add_sink(SentrySink(sdk))


def unwatch(sdk: ModuleType) -> None:
    """Undo `watch`."""
    global _watched  # noqa: PLW0603 - as above
    _watched = None
    pipeline.remove_sink(SentrySink.name)
    with suppress(ValueError):  # the application may have taken it out itself
        sdk.scope.global_event_processors.remove(tag)
    logging.getLogger(_URLLIB3).removeFilter(_is_not_from_sentry)
    sdk.integrations.logging._IGNORED_LOGGERS.difference_update(_NEVER_EVENTS)  # noqa: SLF001 - 2.35 has no public way


def _is_not_from_sentry(record: logging.LogRecord) -> bool:
    """Drop urllib3's retry warnings from Sentry's transport thread."""
    return not str(record.threadName).startswith("sentry-sdk.")


def _after_fork() -> None:
    if _watched is not None:
        begin_afresh(_watched.get_client())
        with _fork_guard:
            forget(_watched)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
