"""The state of one RPC: when it is over, with which code, and its event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.adapters.grpc_events import RpcFinished
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import begin, current_trace, end
from pantheon_obs.core.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from pantheon_obs.core.outcome import Outcome


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
