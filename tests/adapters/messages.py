"""A stand-in for a server, for messages that no real server sends on request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn

from pantheon_obs import TraceIdMiddleware

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"all"}


class Server:
    """Stands in for a server: passes messages to the app, and keeps those that the app sends.

    Args:
        app: The app, which gets our middleware.
        messages: The messages that `receive` returns, in turn; after them it waits.
        refuse: A message type that `send` refuses, and the exception that it raises then.
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
        self.disconnected: bool | None = None  # uvicorn's report on the client
        self.scope = {"type": "http", "method": "GET", "path": "/", "headers": [], **scope}

    async def receive(self) -> dict[str, Any]:
        """Return the next message, or wait forever."""
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message: dict[str, Any]) -> None:
        """Keep a message, or refuse it."""
        if self.refuse and message["type"] == self.refuse[0]:
            fail(self.refuse[1])
        self.sent.append(message)

    def serve(self) -> BaseException | None:
        """Serve one connection; return the error that escapes to the server, if any."""
        try:
            asyncio.run(self.app(self.scope, self.receive, self.send))
        except BaseException as error:  # noqa: BLE001 - a server takes whatever comes
            return error
        return None

    @property
    def ids(self) -> list[bytes]:
        """The values of the trace id's headers on the first message."""
        return [value for name, value in self.sent[0]["headers"] if name == b"x-trace-id"]


def fail(error: BaseException) -> NoReturn:
    """Raise an exception; a cancellation comes from a server, which cancels the task."""
    if isinstance(error, asyncio.CancelledError):
        task: Any = asyncio.current_task()
        task.cancel()
    raise error


def endings(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the event, outcome and status of each exchange."""
    return [
        (event["event"], event["outcome"], event.get("status_code", event.get("close_code")))
        for event in events
        if event["event"] in ("request_finished", "websocket_finished")
    ]


def sends(*messages: dict[str, Any]) -> Callable[..., Awaitable[None]]:
    """Make an app that sends these messages."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


def raises(error: BaseException, *messages: dict[str, Any]) -> Callable[..., Awaitable[None]]:
    """Make an app that sends these messages and then fails."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        fail(error)

    return app
