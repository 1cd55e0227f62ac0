"""One try of a background task from its first step to its event."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.context import Trace
from pantheon_obs.core.events import TaskFinished
from pantheon_obs.core.failures import escape
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.times import NOTHING
from pantheon_obs.core.timing import sums_of

if TYPE_CHECKING:
    from pantheon_obs.core.events import TaskState
    from pantheon_obs.core.times import Sums

running: list[str] = []
"""Ids of the tasks that run here and whose end `task_finished` will report, one for each try."""

_guard = Guard("task_finished")


class TaskRun(Trace):
    """The trace of one try of a task, with the facts of its event."""

    caller: Trace | None = None
    """The trace that an eager call is a part of, in place of one of its own."""

    times_before: Sums = NOTHING
    """The sums of that trace when the call began; its own share is the increase since then."""

    def __init__(  # noqa: PLR0913 - the facts of its message
        self,
        trace_id: str,
        task_id: str,
        *,
        task: str,
        queue: str | None,
        retries: int,
        quiet: bool,
        bound: dict[str, Any],
    ) -> None:
        super().__init__(trace_id)
        self.task_id = task_id
        self.task = task
        self.queue = queue
        self.retries = retries
        self.quiet = quiet
        self.bound = bound

    def called_by(self, caller: Trace) -> None:
        """It is an eager call: fields, times and LLM calls belong to its caller."""
        self.caller = caller
        self.bound = caller.bound
        if (times := sums_of(caller)) is not None:
            self.times, self.times_before = times, times.sums()

    @property
    def outer(self) -> Trace | None:
        """The trace around this one; None without one."""
        return self.caller or super().outer

    def finish(
        self, state: TaskState, error: BaseException | None = None, *, seconds: float | None
    ) -> None:
        """Emit `task_finished`; `seconds` is None for a try that never started."""
        self.finish_open_calls()
        latency_ms = None if seconds is None else round(max(seconds, 0) * 1000, 3)
        now = perf_counter()
        with _guard:
            if error is not None:
                escape(error, self, covered=True)
            pipeline.finished(
                self,
                TaskFinished(
                    trace_id=self.trace_id,
                    bound=self.bound,
                    task=self.task,
                    state=state,
                    latency_ms=latency_ms,
                    queue=self.queue,
                    retries=self.retries,
                    task_id=self.task_id,
                    error=error,
                    llm=self.llm_with_open(),
                    times=None
                    if self.times is None
                    else self.times.fields(latency_ms, self.started_at, now, self.times_before),
                    spans=self.spans,
                    quiet=self.quiet,
                ),
            )
