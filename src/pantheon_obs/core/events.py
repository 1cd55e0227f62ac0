"""The facts that leave core. A sink gets each of them once, as one value.

`fields()` gives the keys of an event's log line, in the order of the schema; an unknown fact is
omitted, unless the schema promises the key. `outside` names the fields whose text is not ours:
it may hold a secret.
"""

from __future__ import annotations

from logging import DEBUG, ERROR, INFO, WARNING
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pantheon_obs.core.llm_events import LlmCallFinished, llm_fields
from pantheon_obs.core.measurements import Fact
from pantheon_obs.core.task_events import TaskFinished, TaskState, with_error_and_totals

if TYPE_CHECKING:
    from pantheon_obs.core.llm_events import LlmTotals
    from pantheon_obs.core.spans import Spans

__all__ = ["BackgroundFailed", "Event", "LlmCallFinished", "Outcome", "RequestFinished"]
__all__ += ["TaskFinished", "TaskState", "WebsocketFinished", "llm_fields"]

Outcome = Literal["ok", "error", "client_disconnected", "cancelled", "no_response"]

_SERVER_ERROR = 500
_CLIENT_ERROR = 400


class RequestFinished:
    """One HTTP exchange has ended.

    Attributes:
        trace_id: The request's trace id.
        bound: The fields that `bind()` has put on the request.
        method: The method, as sent.
        path: The path without its query string.
        status_code: The status that was sent; None if none was.
        latency_ms: From the request's first step to the last byte handed to the server.
        outcome: How the exchange ended, not its status: a handled 503 is `ok`.
        route: The route's full template; None where nothing matched.
        ttfb_ms: To the first byte of the body, for streaming responses.
        error: The exception that escaped, if one did.
        llm: Totals of the LLM calls; None if there were none.
        quiet: Whether the path is one of a probe or a scraper.
        spans: The request's span and its caller's; None where neither is known.
        times: Where the time went, as the line's fields; None if nothing was measured.
        extra: Further fields of the line, which `pipeline.before_end` has added.
        unwritten: Whether the line is left out: the rate of requests that are kept has decided so.
        level: ERROR for a 5xx and an escaped exception, WARNING for a 4xx, DEBUG if quiet.
    """

    event: ClassVar[str] = "request_finished"
    logger: ClassVar[str] = "pantheon_obs.request"
    outside: ClassVar[tuple[str, ...]] = ("method", "path", "db_repeated")

    __slots__ = (
        *("trace_id", "bound", "method", "path", "status_code", "latency_ms", "outcome", "route"),
        *("ttfb_ms", "error", "llm", "quiet", "spans", "times", "extra", "unwritten", "level"),
    )

    def __init__(  # noqa: PLR0913, PLR0917 - one for each field, by position for each request
        self,
        trace_id: str,
        bound: dict[str, Any],
        method: str,
        path: str,
        status_code: int | None,
        latency_ms: float,
        outcome: Outcome,
        route: str | None = None,
        ttfb_ms: float | None = None,
        error: BaseException | None = None,
        llm: LlmTotals | None = None,
        quiet: bool = False,  # noqa: FBT001, FBT002 - as above
        spans: Spans | None = None,
        times: dict[str, Any] | None = None,
        extra: dict[str, Any] | None = None,
        unwritten: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> None:
        self.trace_id = trace_id
        self.bound = bound
        self.method = method
        self.path = path
        self.status_code = status_code
        self.latency_ms = latency_ms
        self.outcome = outcome
        self.route = route
        self.ttfb_ms = ttfb_ms
        self.error = error
        self.llm = llm
        self.quiet = quiet
        self.spans = spans
        self.times = times
        self.extra = extra
        self.unwritten = unwritten
        status = status_code or 0
        if quiet:
            self.level = DEBUG
        elif status >= _SERVER_ERROR or outcome in ("error", "no_response"):
            self.level = ERROR
        else:
            self.level = WARNING if status >= _CLIENT_ERROR else INFO

    def fields(self, line: dict[str, Any] | None = None) -> dict[str, Any]:
        """The event's own fields, in the order of the schema, added to those of a line.

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
        if self.level == ERROR:
            fields["failed"] = True
        if (
            self.error is None
            and self.llm is None
            and self.spans is None
            and self.times is None
            and self.extra is None
        ):
            return fields
        return with_error_and_totals(fields, self)


class WebsocketFinished(Fact):
    """One websocket has been closed, or was denied.

    Attributes:
        trace_id: The connection's trace id.
        bound: The fields that `bind()` has put on the connection.
        path: The path without its query string.
        latency_ms: From the first step to the end of the application's work.
        messages_in: Messages received by the application.
        messages_out: Messages sent by the application.
        outcome: How it ended, as for a request.
        route: The route's full template; None where nothing matched.
        close_code: RFC 6455 close code, of whichever side closed first; None if neither did.
        error: The exception that escaped, if one did.
        llm: Totals of the LLM calls; None if there were none.
        times: Where the time went, as the line's fields; None if nothing was measured.
        quiet: Whether the path is a quiet one.
        accepted: Whether the application has accepted the handshake.
        spans: The connection's span and its caller's; None where neither is known.
        extra: As for a request, like `unwritten`.
        unwritten: Whether the line is left out.
    """

    event: ClassVar[str] = "websocket_finished"
    logger: ClassVar[str] = "pantheon_obs.request"
    outside: ClassVar[tuple[str, ...]] = ("path", "db_repeated")

    trace_id: str
    bound: dict[str, Any]
    path: str
    latency_ms: float
    messages_in: int
    messages_out: int
    outcome: Outcome
    route: str | None = None
    close_code: int | None = None
    error: BaseException | None = None
    llm: LlmTotals | None = None
    times: dict[str, Any] | None = None
    quiet: bool = False
    accepted: bool = True
    spans: Spans | None = None
    extra: dict[str, Any] | None = None
    unwritten: bool = False

    @property
    def level(self) -> int:
        """ERROR for an escaped exception and for no answer, DEBUG if quiet, else INFO."""
        if self.quiet:
            return DEBUG
        return ERROR if self.outcome in ("error", "no_response") else INFO

    def fields(self, line: dict[str, Any] | None = None) -> dict[str, Any]:
        """The event's own fields, as for a request."""
        fields: dict[str, Any] = (line or {}) | {"path": self.path}
        if self.route is not None:
            fields["route"] = self.route
        if self.close_code is not None:
            fields["close_code"] = self.close_code
        fields["latency_ms"] = self.latency_ms
        fields["messages_in"] = self.messages_in
        fields["messages_out"] = self.messages_out
        fields["outcome"] = self.outcome
        if self.level == ERROR:
            fields["failed"] = True
        return with_error_and_totals(fields, self)


class BackgroundFailed(Fact):
    """Work after the response has raised.

    Attributes:
        trace_id: The request's trace id.
        bound: The fields that `bind()` has put on the request.
        error: The exception.
    """

    event: ClassVar[str] = "background_failed"
    logger: ClassVar[str] = "pantheon_obs.request"
    outside: ClassVar[tuple[str, ...]] = ()
    level: ClassVar[int] = ERROR

    trace_id: str
    bound: dict[str, Any]
    error: BaseException

    def fields(self, line: dict[str, Any] | None = None) -> dict[str, Any]:
        """The event's own fields, as for a request."""
        return (line or {}) | {"error_type": type(self.error).__name__}


class LifespanFailed(Fact):
    """The start-up or the shutdown of the application has raised.

    Attributes:
        phase: `startup` or `shutdown`.
        error: The exception.
    """

    event: ClassVar[str] = "lifespan_failed"
    logger: ClassVar[str] = "pantheon_obs.lifespan"
    outside: ClassVar[tuple[str, ...]] = ()
    uncaptured: ClassVar[str] = "lifespan"  # no integration of an error tracker is around it
    level: ClassVar[int] = ERROR
    trace_id: ClassVar[None] = None  # it belongs to no request
    bound: ClassVar[None] = None

    phase: str
    error: BaseException

    def fields(self, line: dict[str, Any] | None = None) -> dict[str, Any]:
        """The event's own fields, as for a request."""
        return (line or {}) | {"phase": self.phase, "error_type": type(self.error).__name__}


Ended = RequestFinished | WebsocketFinished | TaskFinished
Event = Ended | BackgroundFailed | LlmCallFinished | LifespanFailed
