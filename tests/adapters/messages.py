"""A stand-in for a server, message by message: for what no real one sends when a test wants it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pantheon_obs import TraceIdMiddleware

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"all"}


class Server:
    """Stands in for a server: what the app receives, and what it has sent.

    Args:
        app: The app, which gets our middleware.
        messages: What `receive` returns, in turn; then it waits.
        refuse: A message type that `send` raises on, and what it raises.
    """

    def __init__(
        self,
        app: Any,
        *messages: dict[str, Any],
        refuse: tuple[str, BaseException] | None = None,
        **scope: Any,
    ) -> None:
        self.app = TraceIdMiddleware(app)
        self.messages = [*messages]
        self.refuse = refuse
        self.sent: list[dict[str, Any]] = []
        self.scope = {"type": "http", "method": "GET", "path": "/", "headers": [], **scope}

    async def receive(self) -> dict[str, Any]:
        """What comes next."""
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message: dict[str, Any]) -> None:
        """Take a message, or refuse it."""
        if self.refuse and message["type"] == self.refuse[0]:
            raise self.refuse[1]
        self.sent.append(message)

    def serve(self) -> BaseException | None:
        """Serve one connection; the error that the server got, if it got one."""
        try:
            asyncio.run(self.app(self.scope, self.receive, self.send))
        except BaseException as error:  # noqa: BLE001 - a server takes whatever comes
            return error
        return None

    @property
    def ids(self) -> list[bytes]:
        """The id's headers on the first message."""
        return [value for name, value in self.sent[0]["headers"] if name == b"x-trace-id"]


def endings(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Event, outcome and status of each story."""
    return [
        (event["event"], event["outcome"], event.get("status_code", event.get("close_code")))
        for event in events
        if event["event"] in ("request_finished", "websocket_finished")
    ]


def sends(*messages: dict[str, Any]) -> Callable[..., Awaitable[None]]:
    """An app that sends these."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


def raises(error: BaseException, *messages: dict[str, Any]) -> Callable[..., Awaitable[None]]:
    """An app that sends these, and then fails."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        raise error

    return app
