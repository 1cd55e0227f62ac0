"""The state of one RPC, when it is over, and its event: a request's, with a code for its status."""

from __future__ import annotations

from logging import DEBUG, ERROR, INFO, WARNING
from typing import TYPE_CHECKING, Any, ClassVar

from pantheon_obs.core import pipeline
from pantheon_obs.core.context import begin, current_trace, end
from pantheon_obs.core.events import Finished, RequestFinished
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.outcome import FAILED

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from pantheon_obs.core.outcome import Outcome

# https://opentelemetry.io/docs/specs/semconv/rpc/grpc/: the codes that make a server span an error
_SERVER_FAULTS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)


class RpcFinished(RequestFinished):
    """One RPC has ended.

    Attributes:
        grpc_code: The name of its status code, as `NOT_FOUND`.
    """

    uncaptured: ClassVar[str] = "grpc"  # error trackers get it from few kinds of handlers

    own_fields = ("method", "path", "route", "grpc_code", "latency_ms", "ttfb_ms", "outcome")
    fields = Finished.fields

    grpc_code: str = "OK"

    @property
    def level(self) -> int:
        """ERROR for a server's fault and an escaped exception, INFO for OK, else WARNING."""
        if self.quiet:
            return DEBUG
        if self.grpc_code in _SERVER_FAULTS or self.outcome in FAILED:
            return ERROR
        return INFO if self.grpc_code == "OK" else WARNING


class Rpc(Exchange):
    """One RPC from its arrival to its event.

    gRPC gives each RPC a context of its own, which ends with the RPC and so may keep the trace.
    """

    is_request = False
    owns_context = True
    departures = frozenset({"RpcError"})  # raised by the stream of requests of a cancelled RPC

    code = "OK"
    aborted = False  # whether the application has ended it with `context.abort`
    ended_by_grpc = False
    called = False  # whether gRPC has called the method
    running = False  # whether code of the application runs
    context: Context

    def arrive(self, path: str, quiet_paths: frozenset[str]) -> None:
        """Become the trace of the RPC's context."""
        self._open = [self]
        begin(self)
        self.watch("POST", path, "", quiet_paths)  # as HTTP/2 carries it
        pipeline.started(self)

    def route(self) -> str:
        """Return the method's full name, of which there are only as many as the server has."""
        return self.path

    def run(self, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call plain code of the application in the RPC's context, which a bare thread lacks."""
        self.running = True
        try:
            if current_trace.get() is self:
                return work(*arguments, **named)
            return self.context.run(work, *arguments, **named)
        finally:
            self.running = False

    def answered(self, *, in_time: bool = True) -> None:
        """The application has given its whole answer, or has aborted."""
        if self.ended_by_grpc or not (in_time or self.aborted):
            self.client_left()
        else:
            self.started(None)
            self.complete()
        self.close()

    def failed(self, error: BaseException, code: str, *, in_time: bool = True) -> None:
        """GRPC gets an exception: it answers with this code, unless the application has set one."""
        if self.aborted:
            self.answered()
            return
        if self.ended_by_grpc or not in_time:
            self.client_left()
        if self.code == "OK":
            self.code = code
        self.escaped(error)
        if isinstance(error, SystemExit):  # a thread of gRPC's pool goes on, without an answer
            self.note_unhandled(error)
        self.close()

    def terminated(self, *_: object) -> None:
        """GRPC has ended the RPC: before the application did, unless the event is out."""
        self.ended_by_grpc = True
        if not self.running:
            self.client_left()
            self.close()

    def released(self) -> None:
        """GRPC has released the method: a client that left before its request was not served."""
        if not self.called:
            self.terminated()

    def abandon(self) -> None:
        """End the trace without an event: the application does not answer this RPC."""
        self._open.clear()
        end(self, suspended=True)

    def close(self) -> None:
        """Emit the event and end the trace, once."""
        try:
            self._open.pop()
        except IndexError:
            return
        self.finish()
        end(self, suspended=True)  # in whatever context this runs: the RPC's context is over

    def _event(self, outcome: Outcome, error: BaseException | None) -> RpcFinished:
        left = outcome in ("client_disconnected", "cancelled")
        code = "CANCELLED" if left else self.code
        return RpcFinished(**vars(super()._event(outcome, error)), grpc_code=code)
