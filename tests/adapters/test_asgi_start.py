"""`on_startup` runs when the server starts the app, with a lifespan or without one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pantheon_obs.adapters.asgi import TraceIdMiddleware


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


async def ignore(_message: Any) -> None:
    """Ignore a message."""


def serve(app: Any, *kinds: str, **scope: Any) -> None:
    """Send the app connections of these types."""
    for kind in kinds:
        asyncio.run(app({"type": kind, "method": "GET", "path": "/", **scope}, ignore, ignore))


@pytest.mark.parametrize(
    "kinds",
    [
        ("lifespan", "http", "http"),
        ("http", "http"),
        ("websocket", "http"),
        ("lifespan",),
        ("http", "a type of tomorrow"),
    ],
    ids=" ".join,
)
def test_the_start_is_the_first_that_the_server_sends(kinds: tuple[str, ...]) -> None:
    """The app starts with its lifespan, or with the first connection if there is no lifespan."""
    started: list[str] = []
    app = TraceIdMiddleware(answer, on_startup=lambda: started.append("once"))

    serve(app, *kinds)

    assert ["once"] == started


def test_an_app_within_another_is_started_by_its_first_request() -> None:
    """Each of them is started once."""
    started: list[str] = []
    inner = TraceIdMiddleware(answer, on_startup=lambda: started.append("inner"))
    outer = TraceIdMiddleware(inner, on_startup=lambda: started.append("outer"))

    serve(outer, "http", "http")

    assert ["outer", "inner"] == started


def test_a_first_request_has_its_header() -> None:
    """The first request is served like any other, even if the start-up fails."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    def fail() -> None:
        raise ValueError

    app = TraceIdMiddleware(answer, on_startup=fail)
    headers = [(b"x-trace-id", b"first")]
    asyncio.run(app({"type": "http", "path": "/", "headers": headers}, ignore, send))

    assert [(b"x-trace-id", b"first")] == sent[0]["headers"]
