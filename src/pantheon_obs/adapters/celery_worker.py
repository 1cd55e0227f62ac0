"""A worker's own process: what it says of a message, and of a task that its pool has lost.

A task whose process was killed, for a time limit for example, cannot tell of its end: the worker
does, in the task's trace.
"""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from functools import wraps
from time import time
from typing import TYPE_CHECKING, Any

from celery import bootsteps, signals  # type: ignore[import-untyped]
from celery.exceptions import Reject  # type: ignore[import-untyped]
from celery.utils.imports import symbol_by_name  # type: ignore[import-untyped]

from pantheon_obs.adapters.celery_tracing import FIELDS, tracing_of
from pantheon_obs.core.context import begin, current_trace, end
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.task import TaskRun
from pantheon_obs.propagation.jobs import trace_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.adapters.celery_tracing import Tracing
    from pantheon_obs.core.task_events import TaskState

_PROGRAM = "celery.apps.worker"

_guard = Guard("celery worker")


class TraceMessages(bootsteps.StartStopStep):  # type: ignore[misc]
    """Handles each message in its trace, by Celery's own way of extending a worker.

    https://docs.celeryq.dev/en/stable/userguide/extending.html
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:  # noqa: ANN401 - Celery has no types
        super().__init__(parent, **options)
        with _guard:
            for task in parent.app.tasks.values():
                task.Request = _traced_request(symbol_by_name(task.Request))

    def start(self, parent: Any) -> None:  # noqa: ANN401 - as above
        """The strategies, one per task, have been made: also after each reconnection."""
        with _guard:
            tracing = tracing_of(parent.app)
            strategies = parent.strategies
            for name, strategy in strategies.items():
                strategies[name] = _in_trace(strategy, tracing)


def _in_trace(strategy: Callable[..., Any], tracing: Tracing) -> Callable[..., Any]:
    @wraps(strategy)
    def handle(message: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        trace_id = None
        with _guard:
            trace_id = tracing.mark(message.headers)
        with trace_context(trace_id):
            return strategy(message, *args, **options)

    return handle


class LostRun(TaskRun):
    """A try whose end the worker itself may have to tell.

    Attributes:
        request: Celery's request, which outlives what is said of it.
    """

    request: Any


def _traced_request(base: Any) -> Any:  # noqa: ANN401 - as above
    if issubclass(base, _Traced):
        return base
    return type(base.__name__, (_Traced, base), {"__module__": base.__module__})


class _Traced:
    """Put in front of Celery's `Request`: what it does when a task is lost or revoked."""

    told = False

    def on_failure(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        """The pool has lost the task, or the task has failed and said so."""
        with _trace_of(self):
            return super().on_failure(*args, **options)  # type: ignore[misc]

    def on_timeout(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        """A time limit was reached, a soft or a hard one."""
        with _trace_of(self):
            return super().on_timeout(*args, **options)  # type: ignore[misc]

    def revoked(self) -> Any:  # noqa: ANN401 - as above
        """Asked before the task starts: it may have been revoked or have expired."""
        with _trace_of(self):
            return super().revoked()  # type: ignore[misc]

    def terminate(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        """It is revoked while it runs."""
        with _trace_of(self):
            return super().terminate(*args, **options)  # type: ignore[misc]

    def cancel(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        """It is stopped because the broker is gone, and comes again."""
        with _trace_of(self):
            return super().cancel(*args, **options)  # type: ignore[misc]


@contextmanager
def _trace_of(request: Any) -> Iterator[None]:  # noqa: ANN401 - as above
    run = None
    with _guard:
        headers = request.request_dict
        tracing = tracing_of(request.app)
        known = tracing.describe(headers, request.task.name)
        lost = LostRun(tracing.trace_of(headers), request.id, **known)
        lost.bound = tracing.crossing(headers.get(FIELDS))
        lost.request = request
        begin(lost)
        run = lost
    try:
        yield
    finally:
        if run is not None:
            end(run)


def say_in_lines() -> None:
    """Log what the worker says in its signal handlers, instead of writing it to the descriptor.

    Our lines may be written in the middle of one another, so also from there.
    """
    program: Any = sys.modules.get(_PROGRAM)  # not in beat
    if program is not None:
        program.safe_say = _say


def _say(msg: object, *_: object) -> None:
    logging.getLogger(_PROGRAM).info("%s", msg)


def connect() -> None:
    """Listen to what Celery says of tasks that their own process could not tell of."""
    uid = "pantheon_obs"
    signals.task_failure.connect(_on_failure, weak=False, dispatch_uid=uid)
    signals.task_revoked.connect(_on_revoked, weak=False, dispatch_uid=uid)
    signals.task_retry.connect(_on_retry, weak=False, dispatch_uid=uid)


def _on_failure(exception: BaseException | None = None, **_: object) -> None:
    if not isinstance(exception, Reject):  # the task's own process has told
        _tell("FAILURE", exception)


def _on_revoked(**_: object) -> None:
    _tell("REVOKED")


def _on_retry(**_: object) -> None:
    _tell("RETRY")


def _tell(state: TaskState, error: BaseException | None = None) -> None:
    """Emit the line, if this is the worker's own process and it has not told yet."""
    run = current_trace.get()
    if not isinstance(run, LostRun) or run.request.told:
        return
    run.request.told = True
    since = run.request.time_start
    run.finish(state, error, seconds=None if since is None else time() - since)
