"""One HTTP request from its first step to its line; every adapter fills in the same value."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.core import pipeline
from pantheon_obs.core.context import Record
from pantheon_obs.core.events import BackgroundFailed, RequestFinished
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.events import Outcome

_guard = Guard("request_finished")


class Request(Record):
    """What an adapter learns of a request while it runs.

    Attributes:
        status_code: Set when the response starts.
        first_byte: Clock time of the first byte of a streaming body.
        last_byte: Clock time at which the last byte was handed to the server.
        reported: Whether its line has been written.
    """

    __slots__ = ("first_byte", "last_byte", "method", "path", "quiet", "reported", "status_code")

    def __init__(self, trace_id: str, method: str, path: str, *, quiet: bool) -> None:
        super().__init__(trace_id)
        self.method = method
        self.path = path
        self.quiet = quiet
        self.status_code: int | None = None
        self.first_byte: float | None = None
        self.last_byte: float | None = None
        self.reported = False

    def finish(
        self,
        outcome: Outcome,
        *,
        error: BaseException | None = None,
        route: Callable[[], str | None] | None = None,
    ) -> None:
        """Emit `request_finished`; only the first call does.

        Args:
            outcome: How the exchange ended.
            error: The exception that escaped, if one did.
            route: Gives the route's template; called only where a line is written.
        """
        if self.reported or not pipeline.sinks:
            self.reported = True
            return
        self.reported = True
        last = self.last_byte or perf_counter()
        with _guard:
            pipeline.emit(
                RequestFinished(
                    trace_id=self.trace_id,
                    bound=self.bound,
                    method=self.method,
                    path=self.path,
                    status_code=self.status_code,
                    latency_ms=round((last - self.started) * 1000, 3),
                    outcome=outcome,
                    route=route() if route else None,
                    ttfb_ms=round((self.first_byte - self.started) * 1000, 3)
                    if self.first_byte
                    else None,
                    error=error,
                    llm=self.llm,
                    quiet=self.quiet,
                )
            )

    def background_failed(self, error: BaseException) -> None:
        """Emit `background_failed`: work after the response has raised."""
        with _guard:
            pipeline.emit(
                BackgroundFailed(trace_id=self.trace_id, bound=self.bound, error=error)
            )
