"""The context is restored after each request, however it ends."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from pantheon_obs import bind, current_trace_id, llm_call
from tests.adapters.messages import BODY, START, Server, endings, sends
from tests.support.garbage import collect_garbage
from tests.support.server import run_python

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def test_an_inner_request_gives_the_outer_ones_back(events: list[dict[str, Any]]) -> None:
    """A request that is served within another one restores that one's context."""
    seen: list[object] = []
    inner = Server(sends(START, BODY))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        structlog.contextvars.bind_contextvars(user="alice")
        bind(tenant="acme")
        before = current_trace_id.get()
        await inner.app(inner.scope, inner.receive, inner.send)
        seen.extend([current_trace_id.get() == before, structlog.contextvars.get_contextvars()])
        await send(START)
        await send(BODY)

    Server(app).serve()

    assert [True, {"user": "alice"}] == seen
    first, second = events
    assert "tenant" not in first
    assert ("acme", "alice") == (second["tenant"], second["user"])


def test_a_request_in_the_context_of_an_ended_one_inherits_nothing() -> None:
    """A context that a server leaks from an earlier request is not restored either."""
    seen: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((structlog.contextvars.get_contextvars(), current_trace_id.get()))
        structlog.contextvars.bind_contextvars(user="alice")
        if scope["path"] == "/first":
            scope["later"] = asyncio.get_running_loop().create_task(later())

    async def later() -> None:  # runs in a copy of the first request's context
        await asyncio.sleep(0)
        second = Server(app, headers=[(b"x-trace-id", b"second")])
        await second.app(second.scope, second.receive, second.send)
        seen.append((structlog.contextvars.get_contextvars(), current_trace_id.get()))

    async def serve() -> None:
        first = Server(app, path="/first", headers=[(b"x-trace-id", b"first")])
        await first.app(first.scope, first.receive, first.send)
        await first.scope["later"]

    asyncio.run(serve())

    assert [({}, "first"), ({}, "second"), ({}, "")] == seen


def test_a_request_that_the_garbage_collector_ends_does_no_harm(
    events: list[dict[str, Any]],
) -> None:
    """A coroutine that is dropped is closed in another context, and its line is written."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    server = Server(app)
    serving = [server.app(server.scope, server.receive, server.send)]

    async def begin() -> None:  # in the context of a task of its own
        serving[0].send(None)

    asyncio.run(begin())
    serving.clear()
    collect_garbage()

    assert [("request_finished", "cancelled", None)] == endings(events)
    assert "" == current_trace_id.get()


def test_the_scope_can_be_used_again(events: list[dict[str, Any]]) -> None:
    """A client that keeps its scope has each of its requests traced."""
    server = Server(sends(START, BODY))

    server.serve()
    server.serve()

    assert 2 == len(endings(events))


def test_an_app_may_empty_its_scope(events: list[dict[str, Any]]) -> None:
    """The app may change its scope, and its request is traced all the same."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.clear()
        await send(START)
        await send(BODY)

    assert Server(app).serve() is None
    assert [("request_finished", "ok", 200)] == endings(events)


def test_a_call_that_is_open_when_the_app_returns_is_closed_before_the_line_of_a_5xx(
    events: list[dict[str, Any]],
) -> None:
    """An open stream that the app keeps is ended with its request."""
    kept: list[Any] = []

    @llm_call(model="small", operation="stream")
    async def stream() -> AsyncIterator[str]:
        yield "one"
        yield "two"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(stream())
        await anext(kept[0])
        await send({**START, "status": 503})
        await send(BODY)

    Server(app).serve()

    call, story = events
    assert ("llm.stream", "closed") == (call["event"], call["outcome"])
    assert 1 == story["llm_calls"]


def test_the_id_alone_needs_no_structlog() -> None:
    """`TraceIdMiddleware` alone imports no package that the application does not use."""
    program = """
import asyncio, sys
from pantheon_obs import TraceIdMiddleware, current_trace_id

async def app(scope, receive, send):
    assert current_trace_id.get() == "mine"
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})

async def send(message):
    print(message)

scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"x-trace-id", b"mine")]}
asyncio.run(TraceIdMiddleware(app)(scope, None, send))
assert "structlog" not in sys.modules
"""
    done = run_python(program)

    assert 1 == done.stdout.count("(b'x-trace-id', b'mine')")


@pytest.mark.parametrize("copied", [dict, copy.copy, copy.deepcopy])
def test_a_copied_scope_that_outlives_its_request_is_a_request_of_its_own(
    events: list[dict[str, Any]], copied: Any
) -> None:
    """An application may keep a copy, and serve it again later."""
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(copied(scope))
        await send(START)
        await send(BODY)

    server = Server(app)
    server.serve()
    server.scope = kept[0]
    server.serve()

    assert [("request_finished", "ok", 200)] * 2 == endings(events)
    assert 2 == len({event["trace_id"] for event in events})
