"""Facts that a framework's adapter adds to the messages: answered errors, and whole bodies."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import Settings, TraceIdMiddleware
from pantheon_obs.core.context import current_trace
from tests.adapters.messages import BODY, START, Server, endings, fail

if TYPE_CHECKING:
    from collections.abc import Callable

Events = list[dict[str, Any]]
ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close", "code": 4500}
DENIAL = {"asgi": {"version": "3.0"}, "extensions": {"websocket.http.response": {}}}
FAILED = {**START, "status": 500}


def answers(*messages: dict[str, Any], then: BaseException | None = None) -> Callable[..., Any]:
    """Make a framework that handles an error, sends these messages, and may fail afterwards."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        exchange: Any = current_trace.get()
        error = ZeroDivisionError()
        exchange.note_unhandled(error)
        logging.getLogger("framework").error("Exception on request", exc_info=error)
        for message in messages:
            await send(message)
        if then is not None:
            fail(then)

    return app


def tracebacks(events: Events) -> list[tuple[str, str]]:
    """List each line that has a traceback, with the last line of the traceback."""
    return [
        (event["event"], event["exception"].splitlines()[-1])
        for event in events
        if "exception" in event
    ]


@pytest.mark.parametrize(
    ("then", "raised"),
    [
        pytest.param(None, [], id="returned"),
        pytest.param(LookupError(), [("background_failed", "LookupError")], id="background"),
        pytest.param(asyncio.CancelledError(), [], id="cancelled"),
    ],
)
def test_an_answered_error_is_the_outcome_whatever_follows(
    events: Events, then: BaseException | None, raised: list[Any]
) -> None:
    """The request has failed, whether the work after the answer succeeds, fails or is cancelled."""
    Server(answers(FAILED, BODY, then=then)).serve()

    assert [("request_finished", "error", 500)] == endings(events)
    assert [("request_finished", "ZeroDivisionError"), *raised] == tracebacks(events)


def test_an_answer_that_nobody_got_hides_no_error(events: Events) -> None:
    """The client has left before the answer; the error is reported all the same."""
    Server(answers(FAILED, BODY), refuse=("http.response.body", OSError())).serve()

    assert [("request_finished", "error", 500)] == endings(events)
    assert [("request_finished", "ZeroDivisionError")] == tracebacks(events)


@pytest.mark.parametrize(
    ("messages", "extensions", "code", "status"),
    [
        pytest.param([CLOSE], DENIAL, None, 500, id="refused"),
        pytest.param([CLOSE], {}, None, None, id="refused-without-extension"),
        pytest.param([ACCEPT, CLOSE], DENIAL, 4500, None, id="closed"),
        pytest.param([], DENIAL, None, 500, id="left-unanswered"),
    ],
)
def test_an_answered_error_of_a_websocket_is_the_outcome(
    events: Events,
    messages: list[Any],
    extensions: dict[str, Any],
    code: int | None,
    status: int | None,
) -> None:
    """A refusal is a 500 if the server supports denials; the line has error and traceback."""
    server = Server(answers(*messages), type="websocket", **extensions)

    assert server.serve() is None

    assert [("websocket_finished", "error", code)] == endings(events)
    assert [("websocket_finished", "ZeroDivisionError")] == tracebacks(events)
    assert status == server.sent[0].get("status")


def test_on_a_quiet_path_the_framework_s_own_line_stays(events: Events) -> None:
    """Our line is at DEBUG there, so that it would not show the traceback."""
    for kind, messages in (("http", (FAILED, BODY)), ("websocket", (ACCEPT, CLOSE))):
        server = Server(answers(*messages), type=kind)
        server.app = TraceIdMiddleware(server.app.app, Settings(quiet_paths=("/",)))
        server.serve()

    assert [("Exception on request", "ZeroDivisionError")] * 2 == tracebacks(events)


def test_a_websocket_whose_client_has_gone_is_no_error_of_the_app(events: Events) -> None:
    """An error that only follows from the client's departure is not reported as a failure."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        exchange: Any = current_trace.get()
        await send(ACCEPT)
        try:
            await send({"type": "websocket.send", "text": ""})
        except OSError as error:
            exchange.note_unhandled(error)

    Server(app, type="websocket", refuse=("websocket.send", OSError())).serve()

    assert [("websocket_finished", "client_disconnected", 1006)] == endings(events)
    assert [] == tracebacks(events)


@pytest.mark.parametrize(
    ("headers", "streamed"),
    [
        pytest.param([(b"Content-Length", b"3")], False, id="whole"),
        pytest.param([(b"content-length", b"6")], True, id="half"),
        pytest.param([], True, id="length-unknown"),
        pytest.param([(b"content-length", None)], True, id="no-length"),
    ],
)
def test_a_body_that_is_whole_in_its_first_part_is_not_streamed(
    events: Events, headers: list[Any], *, streamed: bool
) -> None:
    """Only a streamed response has a time to its first byte."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": headers})
        await send({**BODY, "more_body": True})
        await send({"type": "http.response.body"})

    Server(app).serve()

    assert streamed == ("ttfb_ms" in events[-1])


def test_headers_that_are_none_do_not_stop_the_body(events: Events) -> None:
    """Invalid headers reach the server, which decides about them; the guard reports them once."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": [(b"one",)]})
        await send({**BODY, "more_body": True})
        await send({"type": "http.response.body"})

    server = Server(app)

    assert server.serve() is None
    assert 3 == len(server.sent)
    assert [("request_finished", "ok", 200)] == endings(events)


def test_a_protocol_that_is_not_known_goes_through(events: Events) -> None:
    """A connection of an unknown type is served as it is without us."""
    served: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        served.append(scope["type"])

    assert Server(app, type="webtransport").serve() is None
    assert ["webtransport"] == served
    assert [] == events
