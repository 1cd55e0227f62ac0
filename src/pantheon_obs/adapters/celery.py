"""Celery: the id crosses from publisher to task, and each try of a task ends in one line.

    app = instrument_celery(Celery("shop", broker=…))

The process that publishes gets nothing but the message headers: its logging is its own affair. What
runs tasks, a worker or beat, has its logging and Sentry set up as a web server's process has.
"""

from __future__ import annotations

import reprlib
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.extras import require
from pantheon_obs.core.settings import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.core.settings import Settings

_App = TypeVar("_App")


def instrument_celery(
    app: _App,
    settings: Settings | None = None,
    *,
    bound_fields: Iterable[str] = (),
    **overrides: object,
) -> _App:
    """Let a Celery app's tasks carry the trace id, and say how each of them ended.

    Call it where the app is made, before or after its tasks are declared, in the module that
    publishers and workers import. A second call is a no-op.

    Args:
        app: A Celery app.
        settings: The settings of the processes that run tasks; None reads the environment there,
            and leaves logging alone where the host has configured it by then.
        bound_fields: Names of the `bind()` fields that go with a message to its task. Only text of
            up to 1024 characters, numbers, booleans and None cross.
        overrides: Fields of `Settings` that win over both.

    Returns:
        The app itself.

    Raises:
        ConfigError: `app` is no Celery app, or an argument is not accepted.
        MissingExtraError: `sentry_dsn` was given as an argument, but `sentry_sdk` is missing.

    Example:
        >>> from pantheon_obs.adapters.celery import instrument_celery
        >>> def make_app():
        ...     from celery import Celery
        ...     return instrument_celery(Celery("shop"), bound_fields=("user_id",))
    """
    celery = sys.modules.get("celery")
    if celery is None or not isinstance(app, celery.Celery):
        msg = f"app={reprlib.repr(app)} is not accepted: use a Celery app"
        raise ConfigError(msg)
    names = _names(bound_fields)
    resolved = resolve(settings, overrides)  # whatever is wrong is reported here, not in a worker
    if resolved.sentry_dsn is not None and "sentry_dsn" in resolved.given:
        require("sentry_sdk", extra="sentry", feature="sentry_dsn")
    from pantheon_obs.adapters import celery_install  # noqa: PLC0415 - imports celery

    real: Any = app
    # `celery.current_app` is a proxy of the app.
    real = getattr(real, "_get_current_object", lambda: app)()
    celery_install.install(real, settings, overrides, names)
    return app


def _names(given: Any) -> frozenset[str]:  # noqa: ANN401 - whatever the host has given
    names = None if isinstance(given, str) else frozenset(given)
    if names is None or not all(isinstance(name, str) for name in names):
        msg = f"bound_fields={reprlib.repr(given)} is not accepted: use names, as ('user_id',)"
        raise ConfigError(msg)
    return names
