"""The worker's main process: messages that come in, and tasks that the pool has lost.

A task whose process was killed, for a time limit for example, cannot report its end: the main
process does, in the task's trace.
"""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from functools import wraps
from time import time
from typing import TYPE_CHECKING, Any

from celery import bootsteps  # type: ignore[import-untyped]
from celery.exceptions import Reject  # type: ignore[import-untyped]
from celery.utils.imports import symbol_by_name  # type: ignore[import-untyped]

from pantheon_obs.adapters.celery_tracing import FIELDS, tracing_of
from pantheon_obs.core.context import begin, current_trace, end
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.task import TaskRun
from pantheon_obs.propagation.jobs import trace_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.core.task_events import TaskState

_PROGRAM = "celery.apps.worker"

_guard = Guard("celery worker")


class TraceMessages(bootsteps.StartStopStep):  # type: ignore[misc]
    """Handles each message in its trace, as Celery's documentation extends a worker.

    https://docs.celeryq.dev/en/stable/userguide/extending.html
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        with _guard:
            for task in parent.app.tasks.values():
                task.Request = _traced_request(symbol_by_name(task.Request))

    def start(self, parent: Any) -> None:
        """Wrap the strategies, one per task; Celery makes them anew after each reconnection."""
        with _guard:
            strategies = parent.strategies
            for name, strategy in strategies.items():
                strategies[name] = _in_trace(strategy, parent.app)


def _in_trace(strategy: Callable[..., Any], app: Any) -> Callable[..., Any]:
    tracing: Any = tracing_of(app)

    @wraps(strategy)
    def handle(message: Any, *args: Any, **options: Any) -> Any:
        trace_id = None
        with _guard:
            trace_id = tracing.mark(message.headers)
        with trace_context(trace_id):
            return strategy(message, *args, **options)

    return handle


class _LostRun(TaskRun):
    """A try whose end the main process may have to report.

    Attributes:
        request: Celery's request, which outlives this object.
    """

    request: Any


def _traced_request(base: Any) -> Any:
    if issubclass(base, _TracedRequest):
        return base
    return type(base.__name__, (_TracedRequest, base), {"__module__": base.__module__})


def _in_trace_of_task(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        with _trace_of(self):
            return getattr(super(_TracedRequest, self), name)(*args, **options)

    return method


class _TracedRequest:
    """Put in front of Celery's `Request`: methods that log or signal run in the task's trace."""

    reported = False

    on_failure = _in_trace_of_task("on_failure")  # the pool has lost the task, or the task failed
    on_timeout = _in_trace_of_task("on_timeout")  # a soft or a hard time limit was reached
    revoked = _in_trace_of_task("revoked")  # asks before the start: it may also have expired
    terminate = _in_trace_of_task("terminate")  # it is revoked while it runs
    cancel = _in_trace_of_task("cancel")  # the broker is gone, and the task comes again


@contextmanager
def _trace_of(request: Any) -> Iterator[None]:
    run = None
    with _guard:
        headers = request.request_dict
        tracing: Any = tracing_of(request.app)
        facts = tracing.describe(headers, request.task.name)
        lost = _LostRun(tracing.trace_of(headers), request.id, **facts)
        lost.bound = tracing.crossing(headers.get(FIELDS))
        lost.request = request
        begin(lost)
        run = lost
    try:
        yield
    finally:
        if run is not None:
            end(run)


def log_what_signal_handlers_print() -> None:
    """Log the texts that the worker's signal handlers write to the descriptor of stdout.

    They could appear in the middle of a log line.
    """
    program: Any = sys.modules.get(_PROGRAM)  # beat does not import it
    if program is not None:
        program.safe_say = _say


def _say(msg: object, *_: object) -> None:
    logging.getLogger(_PROGRAM).info("%s", msg)


def on_failure(exception: BaseException | None = None, **_: object) -> None:
    """Report a task that failed; the task's own process has reported a rejected one."""
    if not isinstance(exception, Reject):
        _report("FAILURE", exception)


def on_revoked(**_: object) -> None:
    """Report a task that was revoked or has expired."""
    _report("REVOKED")


def on_retry(**_: object) -> None:
    """Report a task that comes again because the broker or its process was lost."""
    _report("RETRY")


def _report(state: TaskState, error: BaseException | None = None) -> None:
    """Emit `task_finished`, once, and only in a method of the main process's request."""
    run = current_trace.get()
    if not isinstance(run, _LostRun) or run.request.reported:
        return
    run.request.reported = True
    since = run.request.time_start
    run.finish(state, error, seconds=None if since is None else time() - since)
