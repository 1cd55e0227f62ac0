"""One task serves all calls of a session, in the context of the session's first request."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar, copy_context
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pantheon_obs import bind, carry, inject, instrument, llm_call
from pantheon_obs.core.context import KEY
from tests.adapters.messages import Server

if TYPE_CHECKING:
    from starlette.requests import Request

Events = list[dict[str, Any]]
running: ContextVar[Any] = ContextVar("running")
"""The context of the call that is running, with its request, as MCP's `request_ctx` is."""


@llm_call(model="small")
async def think() -> str:
    """Be an LLM."""
    return "so"


async def call(number: int) -> dict[str, str]:
    """Be a tool: log, bind, call an LLM, and make headers."""
    logging.getLogger("shop").info("called")
    bind(number=number)
    await think()
    headers: dict[str, str] = {}
    inject(headers)
    return headers


class Session:
    """Serves its calls in one task, which the first request starts."""

    def __init__(self, *, knows_request: bool) -> None:
        self.knows_request = knows_request
        self.calls: asyncio.Queue[tuple[Request, asyncio.Future[Any]]] = asyncio.Queue()
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Serve one call after the other."""
        number = 0
        while True:
            request, answer = await self.calls.get()
            number += 1
            if self.knows_request:
                running.set(SimpleNamespace(request=request))
            answer.set_result(await call(number))

    async def endpoint(self, request: Request) -> PlainTextResponse:
        """Hand a request to the session, and wait for its answer."""
        if not self.tasks:
            self.tasks.add(asyncio.create_task(self.serve()))
        answer = asyncio.get_running_loop().create_future()
        await self.calls.put((request, answer))
        return PlainTextResponse((await answer)["X-Trace-ID"])


def ask(session: Session) -> list[tuple[str, str]]:
    """Send three requests; return their ids, and the ids that the calls have sent on."""

    async def send() -> list[tuple[str, str]]:
        app = instrument(Starlette(routes=[Route("/", session.endpoint)]))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            responses = [await client.get("/") for _ in range(3)]
        for task in session.tasks:
            task.cancel()
        return [(response.headers["x-trace-id"], response.text) for response in responses]

    return asyncio.run(send())


def test_a_call_has_the_id_of_the_request_that_it_is_served_for(events: Events) -> None:
    """Lines, fields, LLM calls and headers belong to the running request where it is known."""
    answered = ask(Session(knows_request=True))

    ids = [trace_id for trace_id, _ in answered]
    assert ids == [sent for _, sent in answered]
    assert 3 == len(set(ids))
    for name in ("called", "llm.think"):
        assert ids == [event["trace_id"] for event in events if event["event"] == name]
    finished = [event for event in events if event["event"] == "request_finished"]
    assert [1, 2, 3] == [event["number"] for event in finished]
    assert [1, 1, 1] == [event["llm_calls"] for event in finished]


def test_without_the_running_request_the_first_one_s_id_stays(events: Events) -> None:
    """Nothing else is known about the call."""
    answered = ask(Session(knows_request=False))

    first = answered[0][0]
    assert [first] * 3 == [sent for _, sent in answered]
    assert [first] * 3 == [event["trace_id"] for event in events if event["event"] == "called"]


class Hostile:
    """A value that answers no question."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize("scope", [{}, {KEY: "no trace"}, None])
def test_a_variable_that_tells_no_request_changes_nothing(events: Events, scope: Any) -> None:
    """A variable may hold anything."""
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(copy_context())
        await PlainTextResponse("ok")(scope, receive, send)

    Server(app).serve()
    [context] = found
    context.run(ContextVar("hostile").set, Hostile())  # type: ignore[arg-type]
    context.run(running.set, SimpleNamespace(scope=scope))
    context.run(logging.getLogger("shop").info, "later")

    finished, later = events
    assert finished["trace_id"] == later["trace_id"]


def test_what_carry_has_brought_stays_with_its_request(events: Events) -> None:
    """Work that was given a trace deliberately keeps it, whatever is served meanwhile."""
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        log = logging.getLogger("shop")
        found.append(carry(lambda: log.info("carried")))
        if len(found) > 1:
            running.set(SimpleNamespace(scope=scope))
            found[0]()
        await PlainTextResponse("ok")(scope, receive, send)

    Server(app).serve()
    Server(app).serve()

    first, carried, _ = (event["trace_id"] for event in events)
    assert first == carried
