"""Requests whose work is a function of the test, and the line of each."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from pantheon_obs import instrument
from pantheon_obs.testing import capture_events
from tests.support.lines import validate_line

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER = (
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "http.response.body", "body": b"ok"},
)


async def aask(work: Callable[[], Any], scope: dict[str, Any] | None = None) -> dict[str, Any]:
    """Do some work, sync or async, in a request; return its `request_finished`."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        done = work()
        if inspect.isawaitable(done):
            await done
        for message in ANSWER:
            await send(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None:
        """Send nothing."""

    given = {"type": "http", "method": "GET", "path": "/", "headers": [], **(scope or {})}
    with capture_events() as events:
        await instrument(app, log_format="json")(given, receive, send)
    for event in events:
        validate_line(event)
    (line,) = [event for event in events if event["event"] == "request_finished"]
    return line


def ask(work: Callable[[], Any]) -> dict[str, Any]:
    """Ask from code that is not async."""
    return asyncio.run(aask(work))


def times(line: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a line that count something."""
    return {name: value for name, value in line.items() if name.endswith("_calls")}


def adds_up(line: dict[str, Any]) -> bool:
    """Whether the parts of a request that came one after the other, and its own time, are all."""
    parts = sum(
        value
        for name, value in line.items()
        if name.endswith("_ms") and name not in {"latency_ms", "ttfb_ms", "loop_blocked_ms"}
    )
    return bool(abs(parts - line["latency_ms"]) < 0.01)
