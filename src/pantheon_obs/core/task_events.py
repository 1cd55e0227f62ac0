"""The fact of one try of a background task."""

from __future__ import annotations

from dataclasses import dataclass
from logging import ERROR, INFO, WARNING
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pantheon_obs.core.llm_events import llm_fields

if TYPE_CHECKING:
    from pantheon_obs.core.llm_events import LlmTotals

TaskState = Literal["SUCCESS", "FAILURE", "RETRY", "IGNORED", "REJECTED", "REVOKED"]

_LEVELS = {"FAILURE": ERROR, "RETRY": WARNING}


@dataclass(slots=True, eq=False, kw_only=True)
class TaskFinished:
    """One try of a task has ended, whichever way.

    Attributes:
        trace_id: The task's trace id.
        bound: The fields that `bind()` has put on the task, and those that came with its message.
        task: The task's name.
        state: How it ended, in the queue's own term.
        latency_ms: From the try's start to its end; None for one that never started.
        queue: The queue that it came through; None for one that was called in place.
        retries: How many tries came before this one.
        task_id: The id of the task, which all its tries share.
        error: The exception that it failed with.
        llm: Totals of the LLM calls that had finished; None if there were none.
    """

    event: ClassVar[str] = "task_finished"
    logger: ClassVar[str] = "pantheon_obs.task"
    outside: ClassVar[tuple[str, ...]] = ("task", "queue", "task_id")

    trace_id: str
    bound: dict[str, Any]
    task: str
    state: TaskState
    latency_ms: float | None
    queue: str | None
    retries: int
    task_id: str
    error: BaseException | None = None
    llm: LlmTotals | None = None

    @property
    def level(self) -> int:
        """ERROR for a failure, WARNING for a retry, else INFO."""
        return _LEVELS.get(self.state, INFO)

    def fields(self) -> dict[str, Any]:
        """The event's own fields, in the order of the schema."""
        fields: dict[str, Any] = {"task": self.task, "state": self.state}
        if self.latency_ms is not None:
            fields["latency_ms"] = self.latency_ms
        if self.queue is not None:
            fields["queue"] = self.queue
        fields["retries"] = self.retries
        fields["task_id"] = self.task_id
        if self.error is not None:
            fields["error_type"] = type(self.error).__name__
        if self.llm is not None:
            fields.update(llm_fields(self.llm))
        return fields
