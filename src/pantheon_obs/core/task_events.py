"""The fact that a task has ended, and the fields at the end of every line of that kind."""

from __future__ import annotations

from logging import DEBUG, ERROR, INFO, WARNING
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pantheon_obs.core.llm_events import llm_fields
from pantheon_obs.core.measurements import Fact

if TYPE_CHECKING:
    from pantheon_obs.core.llm_events import LlmTotals
    from pantheon_obs.core.spans import Spans

TaskState = Literal["SUCCESS", "FAILURE", "RETRY", "IGNORED", "REJECTED", "REVOKED"]

_TASK_LEVELS = {"FAILURE": ERROR, "RETRY": WARNING}


class Ended(Protocol):
    """The end of a request, a websocket or a task."""

    error: BaseException | None
    llm: LlmTotals | None
    times: dict[str, Any] | None
    spans: Spans | None
    extra: dict[str, Any] | None


class TaskFinished(Fact):
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
        llm: Totals of the LLM calls; None if there were none.
        times: Where the time went, as the line's fields; None if nothing was measured.
        spans: The task's span and its sender's; None where neither is known.
        quiet: Whether it is a poll of the queue's own, which runs again and again.
        extra: As for a request, like `unwritten`.
        unwritten: Whether the line is left out.
    """

    event: ClassVar[str] = "task_finished"
    logger: ClassVar[str] = "pantheon_obs.task"
    outside: ClassVar[tuple[str, ...]] = ("task", "queue", "task_id", "db_repeated")

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
    times: dict[str, Any] | None = None
    spans: Spans | None = None
    quiet: bool = False
    extra: dict[str, Any] | None = None
    unwritten: bool = False

    @property
    def level(self) -> int:
        """ERROR for a failure; else DEBUG if quiet, WARNING for a retry, INFO for all others."""
        level = _TASK_LEVELS.get(self.state, INFO)
        return DEBUG if self.quiet and level < ERROR else level

    def fields(self, line: dict[str, Any] | None = None) -> dict[str, Any]:
        """The event's own fields, in the order of the schema, added to those of a line."""
        fields: dict[str, Any] = (line or {}) | {"task": self.task, "state": self.state}
        if self.latency_ms is not None:
            fields["latency_ms"] = self.latency_ms
        if self.queue is not None:
            fields["queue"] = self.queue
        fields["retries"] = self.retries
        fields["task_id"] = self.task_id
        return with_error_and_totals(fields, self)


def with_error_and_totals(fields: dict[str, Any], event: Ended) -> dict[str, Any]:
    """Add the fields that the ends of requests, websockets and tasks have in common."""
    if event.error is not None:
        fields["error_type"] = type(event.error).__name__
    if event.llm is not None:
        fields.update(llm_fields(event.llm))
    if event.spans is not None:
        fields.update(event.spans.fields())
    if event.times is not None:
        fields.update(event.times)
    if event.extra is not None:
        fields.update(event.extra)
    return fields
