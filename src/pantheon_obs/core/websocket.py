"""The state machine of one websocket."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.core.events import WebsocketFinished
from pantheon_obs.core.exchange import Exchange

if TYPE_CHECKING:
    from pantheon_obs.core.outcome import Outcome

_NO_STATUS = 1005  # RFC 6455, section 7.4.1
_ABNORMAL = 1006


class WebsocketExchange(Exchange):
    """One websocket from its handshake to its event."""

    is_request = False
    accepted = False  # else it was refused
    messages_in = 0  # received by the application
    messages_out = 0  # sent by it

    def opened(self) -> None:
        """The handshake was accepted."""
        self.started(None)
        self.accepted = True

    def received(self) -> None:
        """The application has received a message."""
        self.messages_in += 1

    def sent(self) -> None:
        """A message of the application was handed to the server."""
        self.messages_out += 1

    @property
    def failed_in_handshake(self) -> bool:
        """Whether the application has failed before it has answered the handshake."""
        return self.unhandled is not None and not self.response_started

    def application_closed(self, close_code: int | None) -> None:
        """The application has closed, or refused the handshake; the first close counts."""
        if self.close_code is None and not self.failed_in_handshake:
            self.close_code = close_code

    def client_left(self, close_code: int | None = None) -> None:
        """The other side has closed, or the connection has broken; the first close counts."""
        if self.close_code is None:
            self.client_gone = True
            self.close_code = _NO_STATUS if close_code is None else close_code

    def send_failed(self, error: OSError) -> None:
        """The server has reported with an exception that the connection is broken."""
        super().send_failed(error)
        self.client_left(_ABNORMAL)

    def returned(self) -> None:
        """The application's call has returned: the server closes a connection that is open."""
        super().returned()
        self.response_complete = self.response_started

    def _event(self, outcome: Outcome, error: BaseException | None) -> WebsocketFinished:
        now = perf_counter()
        latency_ms = round((now - self.started_at) * 1000, 3)
        return WebsocketFinished(
            trace_id=self.trace_id,
            bound=self.bound,
            path=self.path,
            route=self.route(),
            close_code=self.close_code,
            latency_ms=latency_ms,
            messages_in=self.messages_in,
            messages_out=self.messages_out,
            outcome=outcome,
            error=error,
            llm=self.llm_with_open(),
            times=None
            if self.times is None
            else self.times.fields(latency_ms, self.started_at, now),
            quiet=self.quiet,
            accepted=self.accepted,
            spans=self.spans,
        )
