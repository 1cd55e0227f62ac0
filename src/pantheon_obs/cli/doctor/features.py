"""Examine the features that an application uses once it is imported: LLM calls, Sentry, tasks."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pantheon_obs.cli.doctor.finding import Finding, fault
from pantheon_obs.cli.stories.tracebacks import is_own
from pantheon_obs.llm.instrument import is_observed
from pantheon_obs.llm.sdks import SDKS, sdk_of
from pantheon_obs.sinks.sentry.options import dsn_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.settings import Settings


def examine_features(settings: Settings) -> Iterator[Finding]:
    """Examine the features that the imported modules of the application use."""
    yield from _llm(settings)
    yield from _sentry_client(settings)
    yield from _celery()


def _llm(settings: Settings) -> Iterator[Finding]:
    imported = [sdk.package for sdk in SDKS if sdk.package in sys.modules]
    if not imported:
        yield Finding("llm", "off", "no SDK of an LLM is imported")
        return
    bare = [name for name, value in _globals() if _is_bare(value)]
    if bare and not settings.llm:
        why = f"the calls of {bare[0]} are no events: nobody sees their time and cost"
        yield fault("llm", why, f"instrument_llm({bare[0]})")
    else:
        yield Finding("llm", "on", f"imported: {', '.join(imported)}")
    if find_spec("genai_prices") is None:
        yield Finding(
            "list prices", "off", "pip install 'pantheon-obs[prices]' brings a price list"
        )


def _globals() -> Iterator[tuple[str, Any]]:
    """List the global variables of the application's own modules."""
    for module in [*sys.modules.values()]:
        path = getattr(module, "__file__", None)
        if path and is_own(path):
            yield from [*vars(module).items()]


def _is_bare(value: Any) -> bool:
    """Whether a value is a client of an SDK whose calls are not observed."""
    try:
        sdk = None if isinstance(value, type(sys) | type) else sdk_of(value)
        return sdk is not None and not is_observed(value, sdk)
    except Exception:  # noqa: BLE001 - any object of the application
        return False


def _sentry_client(settings: Settings) -> Iterator[Finding]:
    sdk = sys.modules.get("sentry_sdk")
    if sdk is None or not sdk.is_initialized():
        return
    client = sdk.get_client()
    if not client.dsn:
        why = "the application's own sentry_sdk.init has no DSN, so Sentry is off"
        if dsn_of(settings) is not None:
            yield fault("sentry client", why, "remove sentry_sdk.init(...): instrument starts it")
        return
    options = client.options
    wanted = {
        "default_integrations": (False, True, "errors that are logged make no events"),
        "sample_rate": (0, 1.0, "no error is sent"),
        "send_default_pii": (not settings.sentry_send_default_pii, False, "personal data is sent"),
        "include_local_variables": (True, False, "local variables are sent, with secrets in them"),
    }
    found = [
        fault("sentry client", f"{name}={bad!r}: {why}", f"sentry_sdk.init({name}={good!r}, ...)")
        for name, (bad, good, why) in wanted.items()
        if bad is not good and options.get(name) == bad
    ]
    yield from found or [Finding("sentry client", "on", "errors are sent, without personal data")]


def celery_class() -> Any:
    """Return the class of Celery's apps; None if Celery is not imported."""
    return getattr(sys.modules.get("celery"), "Celery", None)


def examine_celery(app: Any) -> Iterator[Finding]:
    """Examine a Celery app, or a proxy of one, that is the application itself."""
    if _has_tracing(getattr(app, "_get_current_object", lambda: app)()):
        yield Finding("tracing", "on", "the Celery app is instrumented")
    else:
        why = "tasks have no trace id, and no task_finished"
        yield fault("tracing", why, "instrument_celery(app)")


def _celery() -> Iterator[Finding]:
    """Examine the Celery apps that the application has made."""
    kind = celery_class()
    for name, value in _globals() if kind else ():
        if issubclass(type(value), kind) and not _has_tracing(value):
            why = f"tasks sent to {name} do not carry the trace id"
            yield fault("celery", why, f"instrument_celery({name})")
            return


def _has_tracing(app: Any) -> bool:
    from pantheon_obs.adapters.celery_tracing import tracing_of  # noqa: PLC0415 - where there is Celery

    return tracing_of(app) is not None
