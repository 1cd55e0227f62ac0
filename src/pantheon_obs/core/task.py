"""One try of a background task from its first step to its event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core import pipeline
from pantheon_obs.core.context import Trace
from pantheon_obs.core.failures import escape
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.task_events import TaskFinished

if TYPE_CHECKING:
    from pantheon_obs.core.task_events import TaskState

running: set[str] = set()
"""Ids of the tasks that run here and whose end `task_finished` will report."""

_guard = Guard("task_finished")


class TaskRun(Trace):
    """The trace of one try of a task.

    Attributes:
        caller: The trace that an eager call is a part of, in place of one of its own.

    Args:
        trace_id: Its trace.
        task_id: The id of the task, which all its tries share.
        task: The task's name.
        queue: The queue that it came through, if any.
        retries: How many tries came before this one.
    """

    caller: Trace | None = None

    def __init__(
        self, trace_id: str, task_id: str, *, task: str, queue: str | None, retries: int
    ) -> None:
        super().__init__(trace_id)
        self.task_id = task_id
        self.task = task
        self.queue = queue
        self.retries = retries

    @property
    def outer(self) -> Trace | None:
        """The trace around this one; None without one."""
        return self.caller or super().outer

    def finish(
        self, state: TaskState, error: BaseException | None = None, *, seconds: float | None
    ) -> None:
        """Emit `task_finished`.

        Args:
            state: How the try ended.
            error: The exception that it failed with; None if it did not fail.
            seconds: How long it ran; None if it never started.
        """
        self.finish_open_calls()
        with _guard:
            if error is not None:
                escape(error, self, covered=True)
            pipeline.emit(
                TaskFinished(
                    trace_id=self.trace_id,
                    bound=self.bound,
                    task=self.task,
                    state=state,
                    latency_ms=None if seconds is None else round(max(seconds, 0) * 1000, 3),
                    queue=self.queue,
                    retries=self.retries,
                    task_id=self.task_id,
                    error=error,
                    llm=self.llm,
                )
            )
