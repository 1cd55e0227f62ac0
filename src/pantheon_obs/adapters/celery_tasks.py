"""What runs a task: Celery's tracer, with a trace around it.

Celery's signals around a task come too early for it: the last of them is sent before the result is
stored, which may fail, and tells no error. So `build_tracer` is wrapped, as Sentry's integration
does; it makes what workers of every pool and eager calls run. Tasks of other apps are left alone.
"""

from __future__ import annotations

import sys
from functools import cache, wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any

from celery.app import trace  # type: ignore[import-untyped]
from celery.exceptions import Ignore, Reject, Retry  # type: ignore[import-untyped]

from pantheon_obs.adapters.celery_tracing import (
    FIELDS,
    is_instrumented,
    tracing_of,
    without_ours,
)
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import begin, current_trace, current_trace_id, end
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.task import TaskRun, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.adapters.celery_tracing import Tracing
    from pantheon_obs.core.task_events import TaskState

_CONSUMER = "celery.worker.consumer.consumer"  # has a name of its own for it
_STATES: tuple[tuple[type[BaseException], TaskState], ...] = (
    (Retry, "RETRY"),
    (Ignore, "IGNORED"),
    (Reject, "REJECTED"),
)

_guard = Guard("celery task")


class PoolChild:
    """Whether this is a process of a pool: its parent tells how a task ended that killed it."""

    here = False


@cache
def patch() -> None:
    """Put a trace around the tasks of instrumented apps; a second call changes nothing."""
    modules: tuple[Any, ...] = (trace, sys.modules.get(_CONSUMER))
    for module in modules:
        if module is not None:  # each its own: others may have replaced one of them only
            module.build_tracer = _watched(module.build_tracer)


def _watched(build: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(build)
    def build_tracer(name: str, task: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        tracer = build(name, task, *args, **options)
        with _guard:
            if is_instrumented(task.app):
                eager = bool(options.get("eager"))
                return _traced(tracer, task, tracing_of(task.app), eager=eager)
        return tracer

    return build_tracer


def _traced(
    tracer: Callable[..., Any],
    task: Any,  # noqa: ANN401 - Celery has no types
    tracing: Tracing,
    *,
    eager: bool,
) -> Callable[..., Any]:
    @wraps(tracer)
    def trace_task(uuid: str, args: Any, kwargs: Any, request: Any = None) -> Any:  # noqa: ANN401
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


class _Run:
    """One try of a task, in a context of its own unless it is called in place."""

    def __init__(
        self, tracing: Tracing, name: str, task_id: str, request: dict[str, Any], *, eager: bool
    ) -> None:
        self._started = perf_counter()
        outer = current_trace_id.get() if eager else ""
        trace_id = outer or tracing.trace_of(request)
        self._run = TaskRun(trace_id, task_id, **tracing.describe(request, name))
        # An eager call is a part of what calls it: its fields and LLM calls are that one's.
        record = current_trace.get() if outer else None
        self._run.bound = tracing.crossing(request.get(FIELDS)) if record is None else record.bound
        self._is_own = not outer
        running.add(task_id)
        if self._is_own:
            begin(self._run)
            pipeline.started(self._run)

    def returned(self, result: Any) -> None:  # noqa: ANN401 - Celery has no types
        """The tracer has handled whatever happened, and says so in what it returns."""
        with _guard:
            info = result.info
            if info is None:
                self._finish("SUCCESS")
            else:
                self._finish(info.state, info.retval if info.state == "FAILURE" else None)

    def raised(self, error: BaseException) -> None:
        """The caller gets an error: an eager call, or what ends the process."""
        if PoolChild.here and not isinstance(error, Exception):
            return
        with _guard:
            state: TaskState
            for kind, state in _STATES:
                if isinstance(error, kind):
                    self._finish(state)
                    return
            self._finish("FAILURE", error)

    def _finish(self, state: TaskState, error: BaseException | None = None) -> None:
        self._run.finish(state, error, seconds=perf_counter() - self._started)

    def leave(self) -> None:
        """Give the context back."""
        running.discard(self._run.task_id)
        if self._is_own:
            end(self._run)
