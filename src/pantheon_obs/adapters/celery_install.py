"""Instrument a Celery app once, and this process once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from billiard.exceptions import SoftTimeLimitExceeded  # type: ignore[import-untyped]
from celery import signals  # type: ignore[import-untyped]

from pantheon_obs import _setup
from pantheon_obs.adapters import celery_tasks, celery_worker
from pantheon_obs.adapters.celery_tracing import Tracing, process, tracing_of
from pantheon_obs.core import context
from pantheon_obs.core.guard import Guard, never_swallow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pantheon_obs.core.settings import Settings

_guard = Guard("celery")


def install(
    app: Any,
    settings: Settings | None,
    overrides: Mapping[str, object],
    bound_fields: frozenset[str],
) -> None:
    """Instrument an app; a second call changes nothing.

    Args:
        app: The app, not a proxy of it.
        settings: The settings that the application gave; None for those of the environment.
        overrides: Fields of `Settings` that replace those.
        bound_fields: Names of the fields that cross.
    """
    if tracing_of(app) is not None:
        return
    tracing = Tracing(app, settings, overrides, bound_fields)

    def send_task(*args: Any, **options: Any) -> Any:
        with _guard:
            options["headers"] = tracing.headers(options.get("headers"))
        # Looked up at each call: Sentry replaces the method of the class, before this or after.
        return type(app).send_task(app, *args, **options)

    def on_import_modules(**_: object) -> None:
        process.tracing = tracing

    app.send_task = send_task
    app.steps["consumer"].add(celery_worker.TraceMessages)
    _connect(signals.import_modules, on_import_modules, sender=app)
    # The signal handler of a soft time limit raises it in the middle of any code.
    never_swallow(SoftTimeLimitExceeded)
    celery_tasks.patch()
    # Celery's last signal while it sets up logging: the application's own hooks have run by then.
    _connect(signals.after_setup_task_logger, _on_logging)
    _connect(signals.worker_process_init, _on_pool_child)
    _connect(signals.task_failure, celery_worker.on_failure)
    _connect(signals.task_revoked, celery_worker.on_revoked)
    _connect(signals.task_retry, celery_worker.on_retry)


def _connect(signal: Any, handler: Callable[..., None], **options: object) -> None:
    signal.connect(handler, weak=False, dispatch_uid="pantheon_obs", **options)


def _on_logging(**_: object) -> None:
    """Set up logging and Sentry: this process is a worker or beat."""
    tracing = process.tracing
    if tracing is None:  # of an app that is not instrumented, or within the process of a test
        _setup.take_over()
        return
    celery_worker.log_what_signal_handlers_print()
    settings = tracing.settings()
    given = tracing.given is not None or bool(tracing.overrides)
    process.on_startup = _setup.start(settings, tracing.settings, anew=given)
    _setup.announce(settings, adapter="celery")


def _on_pool_child(**_: object) -> None:
    """Clear the context of a pool's process: it may be forked while a message is handled."""
    process.is_pool_child = True
    context.reset()
    if process.on_startup is not None:
        process.on_startup()
