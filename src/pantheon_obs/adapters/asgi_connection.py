"""The common part of HTTP exchanges and websockets over ASGI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core.exchange import Exchange

if TYPE_CHECKING:
    from pantheon_obs.core.asgi_types import Receive, Scope, Send
    from pantheon_obs.core.response_headers import ResponseHeaders


class AsgiConnection(Exchange):
    """An exchange that stands between an ASGI server and the application.

    Args:
        trace_id: The connection's trace id.
        headers: Puts the id on the response.
        scope: The connection's scope.
        receive: The server's receive.
        send: The server's send.
    """

    def __init__(
        self,
        trace_id: str,
        headers: ResponseHeaders[bytes],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        super().__init__(trace_id)
        self._response_headers = headers
        self.scope = scope
        self._receive = receive
        self._send = send
