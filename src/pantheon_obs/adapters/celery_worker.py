"""Instrument a Celery app and this process: messages that go out and come in, and lost tasks.

A task whose process was killed, for a time limit for example, cannot report its end: the worker's
main process does, in the task's trace.
"""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from functools import wraps
from time import time
from typing import TYPE_CHECKING, Any

from billiard import current_process  # type: ignore[import-untyped]
from billiard.exceptions import (  # type: ignore[import-untyped]
    TimeLimitExceeded,
    WorkerLostError,
)
from celery import bootsteps, signals  # type: ignore[import-untyped]
from celery.exceptions import Reject  # type: ignore[import-untyped]
from celery.utils.imports import symbol_by_name  # type: ignore[import-untyped]

from pantheon_obs import _setup
from pantheon_obs.adapters import celery_tasks
from pantheon_obs.adapters.celery_tracing import process, tracing_of
from pantheon_obs.core.context import begin, current_trace, end
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.spans import attach
from pantheon_obs.core.task import TaskRun
from pantheon_obs.propagation.jobs import trace_context
from pantheon_obs.propagation.prepare import prepare_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.adapters.celery_tracing import Tracing
    from pantheon_obs.core.events import TaskState

_PROGRAM = "celery.apps.worker"
_MAIN = "MainProcess"  # billiard's name
_LOST = (TimeLimitExceeded, WorkerLostError)

_publish_guard = Guard("celery")
_guard = Guard("celery worker")


def install(tracing: Tracing) -> None:
    """Instrument an app that is not yet instrumented."""
    app = tracing.app
    prepare_process()

    def send_task(*args: Any, **options: Any) -> Any:
        with _publish_guard:
            options["headers"] = tracing.headers(options.get("headers"))
        # Looked up at each call: Sentry replaces the method of the class, before this or after.
        return type(app).send_task(app, *args, **options)

    def on_import_modules(**_: object) -> None:
        process.tracing = tracing

    app.send_task = send_task
    app.steps["consumer"].add(TraceMessages)
    _connect(signals.import_modules, on_import_modules, sender=app)
    celery_tasks.patch()
    # Celery's last signal while it sets up logging: the application's own hooks have run by then.
    _connect(signals.after_setup_task_logger, _on_logging)
    # They do not come where the application has a receiver of `setup_logging`. These come later.
    _connect(signals.celeryd_after_setup, _on_set_up)
    _connect(signals.beat_init, _on_set_up)
    _connect(signals.worker_process_init, _on_pool_child)
    _connect(signals.task_failure, _on_failure)
    _connect(signals.task_revoked, lambda **_: _report("REVOKED"))  # or expired
    # It comes again because the broker or its process was lost.
    _connect(signals.task_retry, lambda **_: _report("RETRY"))


def _connect(signal: Any, handler: Callable[..., None], **options: object) -> None:
    signal.connect(handler, weak=False, dispatch_uid="pantheon_obs", **options)


def _on_set_up(**_: object) -> None:
    """Set up Sentry and our events, where the application has set up logging itself."""
    if process.on_startup is None and process.tracing is not None:
        _start(is_kept=True)


def _on_logging(**_: object) -> None:
    """Set up logging and Sentry: this process is a worker or beat."""
    if process.tracing is None:  # of an app that is not instrumented, or within a test's process
        _setup.take_over()
    else:
        _start(is_kept=False)


def _start(*, is_kept: bool) -> None:
    tracing: Any = process.tracing
    program: Any = sys.modules.get(_PROGRAM)  # beat does not import it
    if program is not None:
        # Its signal handlers write to the descriptor of stdout, in the middle of a log line.
        program.safe_say = _say
    settings = tracing.settings()
    prepare_process()
    given = tracing.given is not None or bool(tracing.overrides)
    process.on_startup = _setup.start(settings, tracing.settings, anew=given, is_kept=is_kept)
    _setup.announce(settings, adapter="celery")


def _on_pool_child(**_: object) -> None:
    """Set up a process of the pool; its context was cleared when it was forked."""
    # The solo pool sends the signal, too, and runs its tasks in the worker's own process.
    process.is_pool_child = current_process().name != _MAIN
    _on_set_up()  # a process that was not forked knows nothing yet
    if process.on_startup is not None:
        process.on_startup()


class TraceMessages(bootsteps.StartStopStep):  # type: ignore[misc]
    """Handles each message in its trace, as Celery's documentation extends a worker.

    https://docs.celeryq.dev/en/stable/userguide/extending.html
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        with _guard:
            # Of a message whose task the worker does not know.
            parent.on_unknown_task = _in_trace(parent.on_unknown_task, parent.app, 1)
            for task in parent.app.tasks.values():
                base: Any = symbol_by_name(task.Request)
                if not issubclass(base, _TracedRequest):
                    own = {"__module__": base.__module__}
                    task.Request = type(base.__name__, (_TracedRequest, base), own)

    def start(self, parent: Any) -> None:
        """Wrap the strategies, one per task; Celery makes them anew after each reconnection."""
        with _guard:
            strategies = parent.strategies
            for name, strategy in strategies.items():
                strategies[name] = _in_trace(strategy, parent.app, 0)


def _in_trace(handler: Callable[..., Any], app: Any, position: int) -> Callable[..., Any]:
    tracing: Any = tracing_of(app)

    @wraps(handler)
    def handle(*args: Any, **options: Any) -> Any:
        trace_id = None
        with _guard:
            trace_id = tracing.mark(args[position].headers)
        with trace_context(trace_id):
            return handler(*args, **options)

    return handle


class _LostRun(TaskRun):
    """A try whose end the main process may have to report."""

    request: Any  # Celery's, which outlives this object


def _in_trace_of_task(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        with _trace_of(self):
            return getattr(super(_TracedRequest, self), name)(*args, **options)

    return method


class _TracedRequest:
    """Put in front of Celery's `Request`: methods that log or signal run in the task's trace."""

    reported = False

    on_timeout = _in_trace_of_task("on_timeout")  # a soft or a hard time limit was reached
    revoked = _in_trace_of_task("revoked")  # asks before the start: it may also have expired
    terminate = _in_trace_of_task("terminate")  # it is revoked while it runs

    def cancel(self: Any, *args: Any, **options: Any) -> Any:
        """Cancel a task, which is a retry to Celery, for which it may send nothing."""
        with _trace_of(self):
            parent: Any = super()
            done = parent.cancel(*args, **options)
            with _guard:
                if self.time_start:
                    _report("RETRY")
            return done

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        """Handle a task that failed, or that the pool has lost, for which Celery may send nothing.

        Since Celery 5.7 it looks whether the result had been stored before.
        """
        with _trace_of(self):
            parent: Any = super()
            done = parent.on_failure(exc_info, *args, **options)
            with _guard:
                error = exc_info.exception
                if isinstance(getattr(error, "exc", error), _LOST):
                    is_stored = getattr(self, "_success_was_stored", bool)()
                    _report("SUCCESS" if is_stored else "RETRY")
            return done


@contextmanager
def _trace_of(request: Any) -> Iterator[None]:
    run = None
    with _guard:
        headers = request.request_dict
        tracing: Any = tracing_of(request.app)
        facts = tracing.describe(headers, request.task.name)
        lost = _LostRun(tracing.trace_id_of(headers), request.id, **facts)
        lost.request = request
        attach(lost, tracing.parent_of(headers))
        begin(lost)
        run = lost
    try:
        yield
    finally:
        if run is not None:
            end(run)


def _say(msg: object, *_: object) -> None:
    logging.getLogger(_PROGRAM).info("%s", msg)


def _on_failure(exception: BaseException | None = None, **_: object) -> None:
    if not isinstance(exception, Reject):  # the task's own process has reported that one
        _report("FAILURE", exception)


def _report(state: TaskState, error: BaseException | None = None) -> None:
    """Emit `task_finished`, once, and only in a method of the main process's request."""
    run = current_trace.get()
    if not isinstance(run, _LostRun) or run.request.reported:
        return
    run.request.reported = True
    since = run.request.time_start
    run.finish(state, error, seconds=None if since is None else time() - since)
