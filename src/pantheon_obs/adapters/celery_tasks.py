"""Put a trace around each try of a task.

Celery sends its signals around a task too early: the last one comes before the result is stored,
which may fail, and has no error. So `build_tracer` is wrapped, as Sentry's integration does. It
makes the function that runs a task, for workers of every pool and for eager calls.
"""

from __future__ import annotations

import sys
from functools import cache, wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any

from celery.app import trace  # type: ignore[import-untyped]
from celery.exceptions import Ignore, Reject, Retry  # type: ignore[import-untyped]

from pantheon_obs.adapters.celery_tracing import process, tracing_of, without_ours
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import begin, end
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.serving import active
from pantheon_obs.core.spans import attach
from pantheon_obs.core.task import TaskRun, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.adapters.celery_tracing import Tracing
    from pantheon_obs.core.events import TaskState

_STATES: tuple[tuple[type[BaseException], TaskState], ...] = (
    (Retry, "RETRY"),
    (Ignore, "IGNORED"),
    (Reject, "REJECTED"),
    (BaseException, "FAILURE"),
)

_guard = Guard("celery task")


@cache
def patch() -> None:
    """Put a trace around the tasks of instrumented apps; a second call changes nothing."""
    consumer = sys.modules.get("celery.worker.consumer.consumer")  # imports the name
    modules: tuple[Any, ...] = (trace, consumer)
    for module in filter(None, modules):  # others may have replaced only one of the names
        module.build_tracer = _watched(module.build_tracer)


def _watched(build: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(build)
    def build_tracer(name: str, task: Any, *args: Any, **options: Any) -> Any:
        tracer = build(name, task, *args, **options)
        with _guard:
            tracing = tracing_of(task.app)
            if tracing is not None:
                return _traced(tracer, task, tracing, eager=bool(options.get("eager")))
        return tracer

    return build_tracer


def _traced(
    tracer: Callable[..., Any], task: Any, tracing: Tracing, *, eager: bool
) -> Callable[..., Any]:
    @wraps(tracer)
    def trace_task(uuid: str, args: Any, kwargs: Any, request: Any = None) -> Any:
        run: _Run | None = None
        with _guard:
            run = _Run(tracing, task.name, uuid, request or {}, eager=eager)
            request = without_ours(request or {})
        if run is None:
            return tracer(uuid, args, kwargs, request)
        try:
            result = tracer(uuid, args, kwargs, request)
        except BaseException as error:
            run.raised(error)
            raise
        else:
            run.returned(result)
            return result
        finally:
            run.leave()

    return trace_task


class _Run(TaskRun):
    """One try of a task: a trace of its own, or a part of the trace that calls it eagerly."""

    def __init__(
        self, tracing: Tracing, name: str, task_id: str, request: dict[str, Any], *, eager: bool
    ) -> None:
        caller_id, caller = active() if eager else ("", None)
        trace_id = caller_id or tracing.trace_id_of(request)
        super().__init__(trace_id, task_id, **tracing.describe(request, name))
        self._began = perf_counter()
        self._is_own = not caller_id
        if caller_id and caller is not None:
            self.called_by(caller)
        running.append(task_id)
        if self._is_own:
            attach(self, tracing.parent_of(request))
            begin(self)
            pipeline.started(self)

    def returned(self, result: Any) -> None:
        """Read how the task ended from the tracer's result."""
        with _guard:
            if (info := result.info) is None:
                self._finish("SUCCESS", None)
            else:
                self._finish(info.state, info.retval if info.state == "FAILURE" else None)

    def raised(self, error: BaseException) -> None:
        """An eager call raises the task's error; an exception may also end the process."""
        if process.is_pool_child and not isinstance(error, Exception):
            return
        with _guard:
            state: TaskState = next(state for kind, state in _STATES if isinstance(error, kind))
            self._finish(state, error if state == "FAILURE" else None)

    def _finish(self, state: TaskState, error: BaseException | None) -> None:
        self.finish(state, error, seconds=perf_counter() - self._began)

    def leave(self) -> None:
        """Restore the context."""
        running.remove(self.task_id)
        if self._is_own:
            end(self)
