"""What HTTP exchanges and websockets over ASGI share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core.exchange import Exchange

if TYPE_CHECKING:
    from pantheon_obs.core.asgi_types import Message, Receive, Scope, Send
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

    def watch_scope(self, quiet_paths: frozenset[str]) -> None:
        """Have an event emitted at the end, with what the scope says."""
        scope = self.scope
        self.watch(
            scope.get("method", ""), scope.get("path", ""), scope.get("root_path", ""), quiet_paths
        )

    def with_id(self, message: Message) -> Message:
        """Copy a message that starts a response, with the id on its headers."""
        headers = self._response_headers.on(
            message.get("headers") or (), self.trace_id.encode("ascii")
        )
        return {**message, "headers": headers}
