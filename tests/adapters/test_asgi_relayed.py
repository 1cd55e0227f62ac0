"""Bodies that a task group relays: the error of a broken one comes after the end of the body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs.adapters import asgi_relays
from tests.adapters.messages import BODY, START, Server, endings

if TYPE_CHECKING:
    from collections.abc import Callable

Events = list[dict[str, Any]]
LAST = {"type": "http.response.body"}
PART = {**BODY, "more_body": True}


def relayed(app: Callable[..., Any]) -> Callable[..., Any]:
    """Make a middleware that runs an app in a task group, and always ends its body."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

        async def run() -> None:
            try:
                await app(scope, receive, messages.put)
            finally:
                await messages.put(None)

        async with asyncio.TaskGroup() as group:
            child = group.create_task(run())
            while (message := await messages.get()) is not None:
                await send(message)
            await send(LAST)
            await asyncio.wait({child})

    return middleware


def breaks(*messages: dict[str, Any]) -> Callable[..., Any]:
    """Make an app that fails in the middle of its body."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        raise ConnectionError

    return app


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param((START, PART), id="after-a-part"),
        pytest.param((START,), id="before-the-first"),
        pytest.param((START, PART, PART), id="after-two"),
    ],
)
@pytest.mark.parametrize("deep", [1, 3])
def test_a_broken_body_whose_end_a_task_group_has_sent_is_an_error(
    events: Events, messages: tuple[dict[str, Any], ...], deep: int
) -> None:
    """The line waits for the application's return, and has the traceback; there is no other."""
    app = breaks(*messages)
    for _ in range(deep):
        app = relayed(app)

    Server(app).serve()

    [line] = events
    assert ("request_finished", "error", 200) == (
        line["event"],
        line["outcome"],
        line["status_code"],
    )
    assert "ConnectionError" in line["exception"]


def test_an_error_that_a_mounted_application_answers_is_an_error(events: Events) -> None:
    """It raises the exception again when the task group has relayed the whole of its 500."""
    start = {**START, "status": 500, "headers": [(b"content-length", b"3")]}

    Server(relayed(breaks(start, PART))).serve()

    [line] = events
    assert [("request_finished", "error", 500)] == endings(events)
    assert "ConnectionError" in line["exception"]


def appending(app: Callable[..., Any]) -> Callable[..., Any]:
    """Make a middleware that puts content into the last part, as compression does."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def changed(message: dict[str, Any]) -> None:
            await send(message if message != LAST else {**LAST, "body": b"trailer"})

        await app(scope, receive, changed)

    return middleware


def test_a_broken_body_whose_end_has_content_is_an_error(events: Events) -> None:
    """A middleware around the task group compresses, and its last part is never empty."""
    Server(appending(relayed(breaks(START, PART)))).serve()

    [line] = events
    assert [("request_finished", "error", 200)] == endings(events)
    assert "ConnectionError" in line["exception"]


@pytest.mark.parametrize("around", [relayed, lambda app: appending(relayed(app))])
def test_a_client_that_leaves_a_relayed_body_has_missed_its_end(
    events: Events, around: Callable[..., Any]
) -> None:
    """The task group ends the body of an application that has stopped because of the client."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(PART)
        await handed.wait()
        assert (await receive())["type"] == "http.disconnect"

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        async def noted(message: dict[str, Any]) -> None:
            await send(message)
            if message == PART:
                handed.set()

        await around(app)(scope, receive, noted)

    handed = asyncio.Event()
    Server(noting, {"type": "http.disconnect"}).serve()

    assert [("request_finished", "client_disconnected", 200)] == endings(events)


def test_the_latency_of_a_relayed_body_ends_with_its_last_byte(events: Events) -> None:
    """Work after the response is not in it, however long the line waits."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(PART)
        await send(LAST)
        at_work.append(len(events))

    at_work: list[int] = []
    exchanges: list[Any] = []

    async def seen(scope: Any, receive: Any, send: Any) -> None:
        exchanges.append(scope["pantheon_obs.trace"])
        await relayed(app)(scope, receive, send)

    Server(seen).serve()

    [exchange] = exchanges
    [line] = events
    assert [("request_finished", "ok", 200)] == endings(events)
    assert round((exchange.last_byte - exchange.started_at) * 1000, 3) == line["latency_ms"]
    assert [0] == at_work  # the line has waited


@pytest.mark.parametrize(
    ("messages", "group", "early"),
    [
        pytest.param((START, PART, LAST), False, True, id="without-a-group"),
        pytest.param((START, BODY), True, True, id="an-end-with-content"),
        pytest.param(
            ({**START, "headers": [(b"content-length", b"3")]}, PART, LAST), True, True, id="whole"
        ),
        pytest.param(
            ({**START, "headers": [(b"content-length", b"0")]}, LAST), True, True, id="empty"
        ),
        pytest.param(({**START, "status": 204}, LAST), True, True, id="without-a-body"),
        pytest.param((START, PART, LAST), True, False, id="open"),
    ],
)
def test_the_line_waits_only_where_the_body_may_be_cut(
    events: Events, messages: tuple[dict[str, Any], ...], *, group: bool, early: bool
) -> None:
    """Otherwise the line comes with the last byte, before the work that follows."""
    seen: list[int] = []

    async def sends_all(send: Any) -> None:
        for message in messages:
            await send(message)
        seen.append(len(events))

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        await sends_all(send)

    async def within(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as tasks:
            await sends_all(send)
            assert tasks is not None

    Server(within if group else plain).serve()

    assert [int(early)] == seen
    assert ["ok"] == [outcome for _, outcome, _ in endings(events)]


def test_a_child_of_a_task_group_that_sends_the_body_itself_does_not_wait(events: Events) -> None:
    """Its error stops the body: Starlette streams in this way under most servers."""
    seen: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as group:

            async def child() -> None:
                async with asyncio.timeout(None):
                    await send(START)
                    await send(PART)
                    await send(LAST)
                seen.append(len(events))
                assert group is not None

            group.create_task(child())

    Server(app).serve()

    assert [1] == seen
    assert [("request_finished", "ok", 200)] == endings(events)


def test_a_task_group_around_the_server_s_call_does_not_count(events: Events) -> None:
    """Servers and test clients have their own task groups."""
    seen: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(PART)
        await send(LAST)
        seen.append(len(events))

    server = Server(app)

    async def serve() -> None:
        async with asyncio.TaskGroup() as group:
            await server.app(server.scope, server.receive, server.send)
            assert group is not None

    asyncio.run(serve())

    assert [1] == seen


def test_what_is_known_about_functions_is_limited(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application that makes functions without end fills no memory."""
    monkeypatch.setattr(asgi_relays, "_MOST_KNOWN", 1)
    monkeypatch.setattr(asgi_relays, "_known", {})

    Server(relayed(breaks(START, PART))).serve()

    assert [("request_finished", "error", 200)] == endings(events)
    assert 1 == len(asgi_relays._known)  # noqa: SLF001 - it has no other effect
