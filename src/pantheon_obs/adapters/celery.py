"""Celery: the id crosses from publisher to task, and each try of a task ends in one log line.

    app = instrument_celery(Celery("shop", broker=…))

A process that publishes only gets the message headers; the application sets up its logging. In a
process that runs tasks, a worker or beat, logging and Sentry are set up as in a web server.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from pantheon_obs.adapters.celery_tracing import Tracing, tracing_of
from pantheon_obs.core.errors import refuse, require
from pantheon_obs.core.mistakes import report_ignored
from pantheon_obs.core.settings import resolve
from pantheon_obs.core.switch import turned_off

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.core.settings import Settings

_App = TypeVar("_App")

_EXTRAS = (
    ("sentry_dsn", "sentry_sdk", "sentry"),
    ("metrics_path", "prometheus_client", "prometheus"),
    ("metrics_port", "prometheus_client", "prometheus"),
)


def instrument_celery(
    app: _App,
    settings: Settings | None = None,
    *,
    bound_fields: Iterable[str] = (),
    **overrides: object,
) -> _App:
    """Let a Celery app's tasks carry the trace id, and log how each of them ended.

    Call it where the app is made, before or after its tasks are declared, in the module that
    publishers and workers import. A second call is a no-op; if it asks for other options, it logs
    the WARNING `instrument_ignored`.

    Args:
        app: A Celery app.
        settings: The settings of the processes that run tasks; None reads the environment there,
            and leaves logging alone where the application has configured it by then.
        bound_fields: Names of the `bind()` fields that go with a message to its task. Only text of
            up to 1024 characters, numbers, booleans and None cross.
        overrides: Fields of `Settings` that replace those of `settings`.

    Returns:
        The app itself.

    Raises:
        ConfigError: An argument is not accepted.
        MissingExtraError: `sentry_dsn`, `metrics_path` or `metrics_port` was given as an argument,
            but the package of its extra is missing.

    Example:
        >>> from pantheon_obs.adapters.celery import instrument_celery
        >>> def make_app():
        ...     from celery import Celery
        ...     return instrument_celery(Celery("shop"), bound_fields=("user_id",))
    """
    celery = sys.modules.get("celery")
    if celery is None or not isinstance(app, celery.Celery):
        refuse("app", app, "a Celery app")
    names = _names(bound_fields)
    resolved = resolve(settings, overrides)  # errors are raised here, not in a worker
    for feature, package, extra in _EXTRAS:
        if feature in resolved.given and getattr(resolved, feature) is not None:
            require(package, extra=extra, feature=feature)
    if turned_off(resolved):
        return app
    from pantheon_obs.adapters import celery_worker  # noqa: PLC0415 - imports celery

    # `celery.current_app` is a proxy.
    real: Any = getattr(app, "_get_current_object", lambda: app)()
    tracing = tracing_of(real)
    if tracing is None:
        celery_worker.install(Tracing(real, settings, overrides, names))
    else:
        others = ["bound_fields"] if names and names != tracing.bound_fields else []
        report_ignored("celery", tracing.settings(), resolved, *others)
    return app


def _names(given: Any) -> frozenset[str]:
    names = None if isinstance(given, str) else frozenset(given)
    if names is None or not all(isinstance(name, str) for name in names):
        refuse("bound_fields", given, "names, as ('user_id',)")
    return names
