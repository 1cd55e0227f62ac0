"""One HTTP request from its first step to its line; every adapter fills in the same value."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.core import pipeline
from pantheon_obs.core.context import Trace
from pantheon_obs.core.events import BackgroundFailed, RequestFinished
from pantheon_obs.core.failures import escape
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from pantheon_obs.core.events import Outcome

_CARRIED = "_pantheon_obs_record"

_guard = Guard("request_finished")


class Request(Trace):
    """What an adapter learns of a request while it runs.

    Attributes:
        method: The method, as sent.
        path: The path without its query string.
        quiet: Whether its line is at DEBUG.
        status_code: Set when the response starts.
        first_byte: Clock time of the first byte of a streaming body.
        last_byte: Clock time at which the last byte was handed to the server.
        reported: Whether its line has been written.
        unhandled: What nobody handled and the framework has answered, instead of raising it.
    """

    method = ""
    path = ""
    quiet = False
    status_code: int | None = None
    first_byte: float | None = None
    last_byte: float | None = None
    reported = False
    unhandled: BaseException | None = None

    def route(self) -> str | None:
        """The route's template; adapters that can tell override it."""
        return None

    def note_unhandled(self, error: BaseException) -> None:
        """The framework will answer an error that nobody handled, and not raise it."""
        self.unhandled = error
        escape(error, self, covered=not (self.reported or self.quiet))

    def finish(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Emit `request_finished`; only the first call does.

        Args:
            outcome: How the exchange ended; an unhandled error counts, whatever became of its
                answer.
            error: The exception that escaped, if one did.
        """
        if self.reported:
            return
        self.reported = True
        if error is None and self.unhandled is not None:
            outcome, error = "error", self.unhandled
        self.unhandled = None  # no cycle of exception, traceback, frame and record is left
        if not pipeline.sinks:
            return
        last, first = self.last_byte or perf_counter(), self.first_byte
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
                    route=self.route(),
                    ttfb_ms=None if first is None else round((first - self.started) * 1000, 3),
                    error=error,
                    llm=self.llm,
                    quiet=self.quiet,
                )
            )

    def background_failed(self, error: BaseException) -> None:
        """Emit `background_failed`: work after the response has raised."""
        with _guard:
            pipeline.emit(BackgroundFailed(trace_id=self.trace_id, bound=self.bound, error=error))


def carry(request: object, record: Trace) -> None:
    """Leave the record on a framework's request object, for what is said of it later."""
    request.__dict__[_CARRIED] = record


def carried_by(request: object) -> Trace | None:
    """The record that a framework's request object carries."""
    attributes = getattr(request, "__dict__", None)
    return attributes.get(_CARRIED) if type(attributes) is dict else None
