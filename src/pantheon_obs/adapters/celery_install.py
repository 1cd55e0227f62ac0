"""Instrument a Celery app: once per app, and what is one per process once per process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import signals  # type: ignore[import-untyped]

from pantheon_obs import _setup
from pantheon_obs.adapters import celery_tasks, celery_worker
from pantheon_obs.adapters.celery_tracing import Tracing, attach, is_instrumented
from pantheon_obs.core.context import current_trace, current_trace_id
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pantheon_obs.core.settings import Settings

_UID = "pantheon_obs"

_guard = Guard("celery")


class _Process:
    """The app whose tasks this process is to run, and what its children do at their start."""

    def __init__(self) -> None:
        self.tracing: Tracing | None = None
        self.on_startup: Callable[[], None] | None = None


_process = _Process()


def install(
    app: Any,  # noqa: ANN401 - Celery has no types
    settings: Settings | None,
    overrides: Mapping[str, object],
    bound_fields: frozenset[str],
) -> None:
    """Instrument an app, unless it is.

    Args:
        app: The app, not a proxy of it.
        settings: The settings, if the host gave any.
        overrides: Fields of `Settings` that win.
        bound_fields: Names of the fields that cross.
    """
    if is_instrumented(app):
        return
    tracing = Tracing(app, settings, overrides, bound_fields)
    attach(tracing)

    def send_task(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - as Celery's
        with _guard:
            options["headers"] = tracing.headers(options.get("headers"))
        # Asked for late: Sentry replaces the method of the class, before this or after.
        return type(app).send_task(app, *args, **options)

    def on_import_modules(**_: object) -> None:
        _process.tracing = tracing

    app.send_task = send_task
    app.steps["consumer"].add(celery_worker.TraceMessages)
    # Sent by what is about to run an app's tasks, or its schedule.
    signals.import_modules.connect(on_import_modules, sender=app, weak=False, dispatch_uid=_UID)
    celery_tasks.patch()
    celery_worker.connect()
    # The last that Celery sends of its set-up of logging; its handlers are replaced after it, so
    # that what the host hooks into it, and a --logfile, are as ever.
    signals.after_setup_task_logger.connect(_on_logging, weak=False, dispatch_uid=_UID)
    signals.worker_process_init.connect(_on_child, weak=False, dispatch_uid=_UID)


def _on_logging(**_: object) -> None:
    """Celery has configured logging: this process is a worker or beat, maybe of another app."""
    tracing = _process.tracing
    if tracing is None:  # a worker within a test's process, for one
        _setup.take_over()
        return
    celery_worker.say_in_lines()
    settings = tracing.settings()
    given = tracing.given is not None or bool(tracing.overrides)
    _process.on_startup = _setup.start(settings, tracing.settings, anew=given)
    _setup.announce(settings, adapter="celery")


def _on_child(**_: object) -> None:
    """A process of the pool has started, maybe while the worker handled a message."""
    celery_tasks.PoolChild.here = True
    current_trace_id.set("")
    current_trace.set(None)
    if _process.on_startup is not None:
        _process.on_startup()
