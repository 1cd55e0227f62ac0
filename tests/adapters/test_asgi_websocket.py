"""The messages that a websocket app sends and receives, and the line that follows from them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.adapters.messages import Server, endings, raises, sends

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
DENIAL = {"asgi": {"version": "3.0"}, "extensions": {"websocket.http.response": {}}}


def leaves(code: int | None) -> dict[str, Any]:
    """Make the message of the client's departure."""
    return {"type": "websocket.disconnect", **({} if code is None else {"code": code})}


class WebSocketDisconnect(Exception):  # noqa: N818 - Starlette's name
    """Starlette's exception for a client that has gone."""


@pytest.mark.parametrize(
    ("code", "raised", "expected"),
    [
        pytest.param(1000, None, ("ok", 1000), id="normal"),
        pytest.param(None, None, ("ok", 1005), id="no-code"),
        pytest.param(1006, None, ("client_disconnected", 1006), id="abnormal"),
        pytest.param(1006, WebSocketDisconnect(), ("client_disconnected", 1006), id="starlette's"),
        pytest.param(1001, WebSocketDisconnect(), ("ok", 1001), id="page-left"),
        pytest.param(1006, asyncio.CancelledError(), ("client_disconnected", 1006), id="cancelled"),
        pytest.param(1012, None, ("cancelled", 1012), id="server-restarts"),
        pytest.param(1000, FileNotFoundError(), ("error", 1000), id="another-error"),
    ],
)
def test_the_outcome_of_a_websocket_that_its_client_closes(
    events: list[dict[str, Any]], code: int | None, raised: Any, expected: tuple[Any, ...]
) -> None:
    """The client's code decides, unless the app has failed for another reason."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        await receive()
        await receive()
        if raised is not None:
            raise raised

    server = Server(app, leaves(code), leaves(4999), type="websocket")

    assert raised is server.serve()
    assert [("websocket_finished", *expected)] == endings(events)
    assert 1 == len(server.ids)


def test_a_websocket_that_is_cancelled(events: list[dict[str, Any]]) -> None:
    """A shutdown that cancels the app is no error of the app's."""
    server = Server(raises(asyncio.CancelledError(), ACCEPT), type="websocket")

    server.serve()

    assert [("websocket_finished", "cancelled", None)] == endings(events)


def test_an_interrupted_websocket(events: list[dict[str, Any]]) -> None:
    """An interrupt passes through."""
    server = Server(raises(KeyboardInterrupt(), ACCEPT), type="websocket")

    assert isinstance(server.serve(), KeyboardInterrupt)
    assert [("websocket_finished", "cancelled", None)] == endings(events)


def test_a_websocket_whose_send_says_that_the_client_has_gone(
    events: list[dict[str, Any]],
) -> None:
    """An OSError of `send` is the client's departure, if the app lets it escape."""
    app = raises(ZeroDivisionError(), ACCEPT, {"type": "websocket.send", "text": "late"})

    Server(app, type="websocket", refuse=("websocket.send", OSError())).serve()

    assert [("websocket_finished", "client_disconnected", 1006)] == endings(events)


@pytest.mark.parametrize(
    ("scope", "sent"),
    [
        pytest.param(
            DENIAL, ["websocket.http.response.start", "websocket.http.response.body"], id="can"
        ),
        pytest.param({}, ["websocket.close"], id="cannot"),
    ],
)
def test_a_refusal_is_a_response_where_the_server_can_send_one(
    events: list[dict[str, Any]], scope: dict[str, Any], sent: list[str]
) -> None:
    """On other servers the close passes unchanged, and the refusal lacks our header."""
    server = Server(sends({**CLOSE, "code": 1008}), type="websocket", **scope)

    server.serve()

    assert sent == [message["type"] for message in server.sent]
    assert [("websocket_finished", "ok", 1008)] == endings(events)


def test_an_app_may_deny_with_a_response_of_its_own(events: list[dict[str, Any]]) -> None:
    """Its headers get the id as any other response's."""
    start = {"type": "websocket.http.response.start", "status": 401, "headers": []}
    body = {"type": "websocket.http.response.body", "body": b"who are you?"}
    server = Server(sends(start, body), type="websocket", **DENIAL)

    server.serve()

    assert (401, 1) == (server.sent[0]["status"], len(server.ids))
    assert [("websocket_finished", "ok", None)] == endings(events)


def test_a_second_close_goes_on_to_the_server(events: list[dict[str, Any]]) -> None:
    """The line has the first code; later messages go on to the server."""
    server = Server(
        sends(ACCEPT, {**CLOSE, "code": 4000}, {**CLOSE, "code": 4001}), type="websocket"
    )

    server.serve()

    assert ["websocket.accept", "websocket.close", "websocket.close"] == [
        message["type"] for message in server.sent
    ]
    assert [("websocket_finished", "ok", 4000)] == endings(events)


@pytest.mark.parametrize("how", ["raises", "returns"])
def test_a_silent_websocket_of_a_server_that_cannot_deny(
    events: list[dict[str, Any]], how: str
) -> None:
    """We cannot answer there, and the server ends the connection as it does without us."""
    server = Server(raises(KeyError()) if how == "raises" else sends(), type="websocket")

    server.serve()

    assert [] == server.sent
    assert ["error" if how == "raises" else "no_response"] == [end[1] for end in endings(events)]


def test_a_websocket_without_a_sink_has_its_id() -> None:
    """The answer to the handshake has the header even if no line is written."""
    headers = [(b"x-trace-id", b"mine")]
    accepting = Server(sends(ACCEPT), type="websocket", headers=headers)
    silent = Server(sends(), type="websocket", headers=headers, **DENIAL)

    accepting.serve()
    silent.serve()

    assert [b"mine"] == accepting.ids == silent.ids


def test_messages_without_a_type_are_passed_on(events: list[dict[str, Any]]) -> None:
    """The other side judges them; neither counts as a message of the websocket."""
    received: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        received.append(await receive())
        await send({"text": "hello"})
        received.append(await receive())

    server = Server(app, {"text": "hi"}, leaves(1000), type="websocket")
    server.serve()

    assert [{"text": "hi"}, leaves(1000)] == received
    assert {"text": "hello"} == server.sent[-1]
    assert [(0, 0)] == [(event["messages_in"], event["messages_out"]) for event in events]
