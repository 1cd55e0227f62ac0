"""The end of requests without an answer, without a client, or with a late failure."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from tests.adapters.messages import BODY, START, Server, endings, raises

DISCONNECT = {"type": "http.disconnect"}


class ClientDisconnect(Exception):  # noqa: N818 - Starlette's name
    """Starlette's exception for a body of which the client has sent only a part."""


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        pytest.param(None, "client_disconnected", id="returns"),
        pytest.param(asyncio.CancelledError(), "client_disconnected", id="is-cancelled"),
        pytest.param(ClientDisconnect(), "client_disconnected", id="says-so"),
        pytest.param(KeyError(), "error", id="fails-otherwise"),
    ],
)
def test_an_app_that_has_received_the_disconnect(
    events: list[dict[str, Any]], raised: BaseException | None, expected: str
) -> None:
    """An app that ends because of the disconnect has not failed; another exception is an error."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.disconnect"
        if raised is not None:
            raise raised

    assert raised is Server(app, DISCONNECT).serve()
    assert [expected] == [outcome for _, outcome, _ in endings(events)]


@pytest.mark.parametrize(
    "how", ["escapes", "is-the-cause", "is-the-context", "is-handled", "other"]
)
@pytest.mark.parametrize("kind", ["http.response.start", "http.response.body"])
def test_a_send_that_says_the_client_has_gone(
    events: list[dict[str, Any]], kind: str, how: str
) -> None:
    """Since ASGI 2.4 `send` raises OSError, which is recognized by identity, not by equality."""

    class EqualError(KeyError):
        """An exception that equals every object."""

        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(START)
            await send(BODY)
        except OSError as error:
            if how == "escapes":
                raise
            if how == "is-the-cause":
                raise KeyError from error
            if how == "is-the-context":
                raise KeyError  # noqa: B904 - what is tested
        if how == "other":
            raise EqualError

    Server(app, refuse=(kind, OSError())).serve()

    expected = "error" if how == "other" else "client_disconnected"
    assert [expected] == [outcome for _, outcome, _ in endings(events)]


LAST = {"type": "http.response.body"}
PART = {**BODY, "more_body": True}
LEFT = "the client leaves"


@pytest.mark.parametrize("reported", ["received", "known-to-the-server"])
@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param((START, PART, LEFT, LAST), ("ok", 200), id="after-the-last-content"),
        pytest.param((START, PART, LEFT, PART, LAST), ("client_disconnected", 200), id="within"),
        pytest.param((START, LEFT, BODY), ("client_disconnected", 200), id="before-the-body"),
        pytest.param((START, PART, LEFT), ("client_disconnected", 200), id="and-the-app-stops"),
        pytest.param((LEFT, START, BODY), ("client_disconnected", None), id="before-the-start"),
        pytest.param(
            (LEFT, {**START, "status": 503}, LAST), ("client_disconnected", None), id="before-a-5xx"
        ),
        pytest.param((LEFT,), ("client_disconnected", None), id="without-an-answer"),
        pytest.param(
            (START, LEFT, {"type": "http.response.pathsend", "path": "/f"}),
            ("client_disconnected", 200),
            id="before-a-file",
        ),
    ],
)
def test_a_client_that_leaves_is_judged_by_what_it_missed(
    events: list[dict[str, Any]],
    steps: tuple[Any, ...],
    expected: tuple[Any, ...],
    reported: str,
) -> None:
    """A client that has had all content by the end of the body has missed nothing."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for step in steps:
            if step is not LEFT:
                await send(step)
            elif reported == "received":
                await receive()
            else:
                server.disconnected = True  # as uvicorn does

    server = Server(app, DISCONNECT)
    server.disconnected = False

    server.serve()

    assert [("request_finished", *expected)] == endings(events)
    assert ["info"] == [event["level"] for event in events]


@pytest.mark.parametrize("how", ["escapes", "is-handled"])
@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        pytest.param(LAST, "ok", id="the-end"),
        pytest.param({**LAST, "more_body": True}, "client_disconnected", id="not-yet-the-end"),
        pytest.param(BODY, "client_disconnected", id="the-end-with-content"),
    ],
)
def test_a_send_that_refuses_the_empty_end_of_a_body(
    events: list[dict[str, Any]], end: dict[str, Any], outcome: str, how: str
) -> None:
    """If the application has ended its body, nothing of it is lost."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({**BODY, "more_body": True})
        server.refuse = ("http.response.body", OSError())
        try:
            await send(end)
        except OSError:
            if how == "escapes":
                raise

    server = Server(app)

    server.serve()

    assert [("request_finished", outcome, 200)] == endings(events)
    assert 1 == len(events)


@pytest.mark.parametrize("status", [200, 503])
def test_work_after_the_response_may_be_cancelled(
    events: list[dict[str, Any]], status: int
) -> None:
    """The response was complete, so its line is the same as without the cancelled work."""
    Server(raises(asyncio.CancelledError(), {**START, "status": status}, BODY)).serve()

    assert [("request_finished", "ok", status)] == endings(events)
    assert [] == [event for event in events if event["event"] == "background_failed"]


def test_a_client_that_leaves_after_the_response_has_had_it(events: list[dict[str, Any]]) -> None:
    """A disconnect after the last byte does not change the outcome."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "status": 503})
        await send(BODY)
        assert (await receive())["type"] == "http.disconnect"
        raise asyncio.CancelledError

    Server(app, DISCONNECT).serve()

    assert [("request_finished", "ok", 503)] == endings(events)


def test_an_error_that_was_answered_with_a_5xx_is_the_requests(
    events: list[dict[str, Any]],
) -> None:
    """A framework answers within its `except`, and raises it again, as it was or as a cause."""

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        try:
            _ = 1 / 0
        except ZeroDivisionError as error:
            await send({**START, "status": 500})
            await send(BODY)
            if scope["path"] == "/as-it-was":
                raise
            raise LookupError from error

    Server(answers, path="/as-it-was").serve()
    Server(answers, path="/as-a-cause").serve()

    assert [("request_finished", "error", 500)] * 2 == endings(events)
    assert ["ZeroDivisionError", "LookupError"] == [event["error_type"] for event in events]


def test_one_exception_object_that_is_raised_for_two_requests_is_two_failures(
    events: list[dict[str, Any]],
) -> None:
    """Some libraries raise one object again and again: each request's line has the traceback."""
    shared = ZeroDivisionError()

    Server(raises(shared)).serve()
    Server(raises(shared)).serve()

    assert 2 == len([event for event in events if "exception" in event])


@pytest.mark.parametrize(
    ("kind", "first", "expected"),
    [
        pytest.param("http", START, ("request_finished", "cancelled", 200), id="started"),
        pytest.param("http", None, ("request_finished", "cancelled", None), id="not-started"),
        pytest.param(
            "websocket",
            {"type": "websocket.accept"},
            ("websocket_finished", "cancelled", None),
            id="websocket",
        ),
    ],
)
def test_what_is_open_when_the_server_ends_the_lifespan_is_cancelled(
    events: list[dict[str, Any]], kind: str, first: Any, expected: tuple[Any, ...]
) -> None:
    """It has one line, then; a server need not wait for the application to be cancelled."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.shutdown"
            return
        if first is not None:
            await send(first)
        opened.set()
        await asyncio.Event().wait()

    server = Server(app, {"type": "lifespan.shutdown"}, type=kind)

    async def serve() -> list[Any]:
        task = asyncio.create_task(server.app(server.scope, server.receive, server.send))
        await opened.wait()
        await server.app({"type": "lifespan"}, server.receive, server.send)
        found = endings(events)
        task.cancel()
        await asyncio.wait({task})
        return found

    opened = asyncio.Event()
    found = asyncio.run(serve())

    assert [expected] == found == endings(events)


def test_work_fails_after_a_body_that_was_being_sent_when_the_server_stopped(
    events: list[dict[str, Any]],
) -> None:
    """The request has its line by then, and the work after the response one of its own."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.shutdown"
            return
        await send(START)
        await send(BODY)
        message = "after the response"
        raise ValueError(message)

    server = Server(app, {"type": "lifespan.shutdown"})

    async def send(message: dict[str, Any]) -> None:
        await server.send(message)
        if message == BODY:
            await server.app({"type": "lifespan"}, server.receive, server.send)

    with pytest.raises(ValueError, match="after the response"):
        asyncio.run(server.app(server.scope, server.receive, send))

    assert [("request_finished", "cancelled"), ("background_failed", None)] == [
        (event["event"], event.get("outcome")) for event in events
    ]


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param("Django can only handle ASGI/HTTP connections, not lifespan.", id="django"),
        pytest.param("No application configured for scope type 'lifespan'", id="channels"),
    ],
)
def test_an_application_that_has_no_lifespan_lets_us_see_its_end(
    events: list[dict[str, Any]], refusal: str
) -> None:
    """Some frameworks refuse it; we serve it in their place, so that we learn of its end."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise ValueError(refusal)
        opened.set()
        await asyncio.Event().wait()

    server = Server(app, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})

    async def serve() -> None:
        task = asyncio.create_task(server.app(server.scope, server.receive, server.send))
        await opened.wait()
        await server.app({"type": "lifespan"}, server.receive, server.send)
        task.cancel()
        await asyncio.wait({task})

    opened = asyncio.Event()
    asyncio.run(serve())

    assert [("request_finished", "cancelled", None)] == endings(events)
    completed = ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert completed == [message["type"] for message in server.sent]


def test_a_lifespan_that_fails_otherwise_fails() -> None:
    """The server learns that the application cannot start."""
    error = ValueError("no database")

    assert error is Server(raises(error), type="lifespan").serve()


def test_a_signal_handler_that_fails_when_it_is_asked_breaks_no_request(
    events: list[dict[str, Any]],
) -> None:
    """An unfinished response makes us ask it whether the server stops."""

    class Handler:
        def __call__(self, *_: Any) -> None:
            raise KeyboardInterrupt

        def __getattr__(self, name: str) -> Any:
            raise LookupError(name)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)

    before = signal.signal(signal.SIGINT, Handler())
    try:
        assert Server(app).serve() is None
    finally:
        signal.signal(signal.SIGINT, before)

    assert ["error"] == [outcome for _, outcome, _ in endings(events)]
