"""The facts that leave core. A sink gets each of them once, as one value.

`fields()` gives the keys of an event's log line, in the order of the schema; an unknown fact is
omitted, unless the schema promises the key. `outside` names the fields whose text is not ours:
it may contain a secret.
"""

from __future__ import annotations

from logging import DEBUG, ERROR, INFO, WARNING
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pantheon_obs.core.facts import CLIENT_ERROR, SERVER_ERROR
from pantheon_obs.core.failure_events import BackgroundFailed, LifespanFailed
from pantheon_obs.core.llm_events import LlmCallFinished, llm_fields
from pantheon_obs.core.measurements import Fact
from pantheon_obs.core.outcome import FAILED

if TYPE_CHECKING:
    from pantheon_obs.core.llm_events import LlmTotals
    from pantheon_obs.core.outcome import Outcome
    from pantheon_obs.core.spans import Spans

__all__ = ["BackgroundFailed", "Event", "LifespanFailed", "LlmCallFinished", "RequestFinished"]
__all__ += ["TaskFinished", "TaskState", "WebsocketFinished", "llm_fields"]

TaskState = Literal["SUCCESS", "FAILURE", "RETRY", "IGNORED", "REJECTED", "REVOKED"]

_TASK_LEVELS = {"FAILURE": ERROR, "RETRY": WARNING}


class Finished(Fact):
    """A request, a websocket or a task has ended.

    Attributes:
        trace_id: Its trace id.
        bound: The fields that `bind()` has put on it, and those that came with a task's message.
        error: The exception that escaped, if one did.
        llm: Totals of the LLM calls; None if there were none.
        times: Where the time went, as the line's fields; None if nothing was measured.
        spans: Its own span and its caller's; None where neither is known.
        quiet: Whether it is a probe, a scrape, or a poll of a queue's own.
        extra: Further fields of the line, which `pipeline.before_end` has added.
        unwritten: Whether the line is left out: the rate of requests that are kept has decided so.
    """

    trace_id: str
    bound: dict[str, Any]
    error: BaseException | None = None
    llm: LlmTotals | None = None
    times: dict[str, Any] | None = None
    spans: Spans | None = None
    quiet: bool = False
    extra: dict[str, Any] | None = None
    unwritten: bool = False

    own_fields: ClassVar[tuple[str, ...]]  # on the line, in the order of the schema

    @property
    def level(self) -> int:
        """DEBUG if quiet, else INFO: the level of a good end."""
        return DEBUG if self.quiet else INFO

    def fields(self, line: dict[str, Any] | None = None) -> dict[str, Any]:
        """The event's own fields, in the order of the schema, added to the fields of a line."""
        fields: dict[str, Any] = {} if line is None else line
        for name in self.own_fields:
            value = getattr(self, name)
            if value is not None:
                fields[name] = value
        if self.level == ERROR:
            fields["failed"] = True
        return self._with_common(fields)

    def _with_common(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Add the fields at the end of the line that all of them have in common."""
        if self.error is not None:
            fields["error_type"] = type(self.error).__name__
        if self.llm is not None:
            fields.update(llm_fields(self.llm))
        if self.spans is not None:
            fields.update(self.spans.fields())
        if self.times is not None:
            fields.update(self.times)
        if self.extra is not None:
            fields.update(self.extra)
        return fields


class RequestFinished(Finished):
    """One HTTP exchange has ended.

    Attributes:
        method: The method, as sent.
        path: The path without its query string.
        status_code: The status that was sent; None if none was.
        latency_ms: From the request's first step to the last byte handed to the server.
        outcome: How the exchange ended, not its status: a handled 503 is `ok`.
        route: The route's full template; None where nothing matched.
        ttfb_ms: To the first byte of the body, for streaming responses.
    """

    event: ClassVar[str] = "request_finished"
    logger: ClassVar[str] = "pantheon_obs.request"
    outside: ClassVar[tuple[str, ...]] = ("method", "path", "db_repeated")

    method: str
    path: str
    status_code: int | None
    latency_ms: float
    outcome: Outcome
    route: str | None = None
    ttfb_ms: float | None = None

    @property
    def level(self) -> int:
        """ERROR for a 5xx and an escaped exception, WARNING for a 4xx, DEBUG if quiet."""
        if self.quiet:
            return DEBUG
        status = self.status_code or 0
        if status >= SERVER_ERROR or self.outcome in FAILED:
            return ERROR
        return WARNING if status >= CLIENT_ERROR else INFO

    def fields(self, line: dict[str, Any] | None = None) -> dict[str, Any]:
        """The event's own fields, in the order of the schema, added to the fields of a line.

        A dict of their own, copied to the line, would take 2 % of the whole request.
        """
        fields: dict[str, Any] = {} if line is None else line
        fields["method"], fields["path"] = self.method, self.path
        status, outcome = self.status_code, self.outcome
        if self.route is not None:
            fields["route"] = self.route
        if status is not None:
            fields["status_code"] = status
        fields["latency_ms"] = self.latency_ms
        if self.ttfb_ms is not None:
            fields["ttfb_ms"] = self.ttfb_ms
        fields["outcome"] = outcome
        # The usual request has neither, and is not asked for its level.
        if (outcome != "ok" or status is None or status >= SERVER_ERROR) and self.level == ERROR:
            fields["failed"] = True
        return self._with_common(fields)


class WebsocketFinished(Finished):
    """One websocket has been closed, or was denied.

    Attributes:
        path: The path without its query string.
        latency_ms: From the first step to the end of the application's work.
        messages_in: Messages received by the application.
        messages_out: Messages sent by the application.
        outcome: How it ended, as for a request.
        route: The route's full template; None where nothing matched.
        close_code: RFC 6455 close code, of whichever side closed first; None if neither did.
        accepted: Whether the application has accepted the handshake.
    """

    event: ClassVar[str] = "websocket_finished"
    logger: ClassVar[str] = "pantheon_obs.request"
    outside: ClassVar[tuple[str, ...]] = ("path", "db_repeated")
    own_fields = (
        *("path", "route", "close_code", "latency_ms"),
        *("messages_in", "messages_out", "outcome"),
    )

    path: str
    latency_ms: float
    messages_in: int
    messages_out: int
    outcome: Outcome
    route: str | None = None
    close_code: int | None = None
    accepted: bool = True

    @property
    def level(self) -> int:
        """ERROR for an escaped exception and for no answer, DEBUG if quiet, else INFO."""
        return ERROR if self.outcome in FAILED and not self.quiet else super().level


class TaskFinished(Finished):
    """One try of a task has ended, whichever way.

    Attributes:
        task: The task's name.
        state: How it ended, in the queue's own term.
        latency_ms: From the try's start to its end; None for one that never started.
        queue: The queue that it came through; None for one that was called in place.
        retries: How many tries came before this one.
        task_id: The id of the task, which all its tries share.
    """

    event: ClassVar[str] = "task_finished"
    logger: ClassVar[str] = "pantheon_obs.task"
    outside: ClassVar[tuple[str, ...]] = ("task", "queue", "task_id", "db_repeated")
    own_fields = ("task", "state", "latency_ms", "queue", "retries", "task_id")

    task: str
    state: TaskState
    latency_ms: float | None
    queue: str | None
    retries: int
    task_id: str

    @property
    def level(self) -> int:
        """ERROR for a failure; else DEBUG if quiet, WARNING for a retry, INFO for all others."""
        level = _TASK_LEVELS.get(self.state, INFO)
        return DEBUG if self.quiet and level < ERROR else level


Ended = RequestFinished | WebsocketFinished | TaskFinished
Event = Ended | BackgroundFailed | LlmCallFinished | LifespanFailed
