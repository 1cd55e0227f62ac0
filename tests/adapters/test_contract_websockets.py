"""The contract, fourth part: websockets have an id and one line too."""

from __future__ import annotations

import json
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.adapters.contract import Adapter, Service, new_id

if TYPE_CHECKING:
    from collections.abc import Iterator

IMPLEMENTATIONS = ("websockets-sansio", "wsproto")


def dial(service: Service, path: str, trace_id: str) -> ClientConnection:
    """Open a websocket."""
    service.needs("websockets")
    url = service.server.url.replace("http:", "ws:") + path
    return connect(url, additional_headers={"X-Trace-ID": trace_id}, proxy=None)


def ending(story: dict[str, Any]) -> tuple[Any, ...]:
    """Return the fields of a line that say how the websocket ended."""
    return (story["outcome"], story.get("close_code"), story["level"], story.get("error_type"))


def test_an_accepted_websocket_has_the_id_and_one_line(service: Service) -> None:
    """The handshake's answer carries the id, handlers see it, and the line counts messages."""
    trace_id = new_id()
    with dial(service, "/ws/echo?token=secret", trace_id) as socket:
        accepted = socket.response
        answers = []
        for text in ("first", "bind", "last"):
            socket.send(text)
            answers.append(json.loads(socket.recv()))

    story = service.story(trace_id)

    assert accepted is not None
    assert [trace_id] == accepted.headers.get_all("x-trace-id")
    assert [{"trace_id": trace_id, "structlog": {}}] * 3 == answers
    assert ("ok", 1000, "info", None) == ending(story)
    assert (3, 3, "/ws/echo") == (story["messages_in"], story["messages_out"], story["path"])
    assert "acme" == story["tenant"]
    assert story["latency_ms"] > 0


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        pytest.param("/ws/deny", 403, ("ok", 1008, "info", None), id="closed-before-accept"),
        pytest.param("/ws/boom", 500, ("error", None, "error", "RuntimeError"), id="failed"),
        pytest.param("/ws/silent", 500, ("no_response", None, "error", None), id="silent"),
    ],
)
def test_a_refused_handshake_has_the_id(
    service: Service, path: str, status: int, expected: tuple[Any, ...]
) -> None:
    """A denial is a response with the header, and ends in one line."""
    if path == "/ws/silent":
        service.needs("silent websockets")
    trace_id = new_id()

    with pytest.raises(InvalidStatus) as refused:
        dial(service, path, trace_id)

    assert status == refused.value.response.status_code
    assert [trace_id] == refused.value.response.headers.get_all("x-trace-id")
    assert expected == ending(service.story(trace_id))


def test_a_websocket_that_the_app_closes_has_the_apps_code(service: Service) -> None:
    """Whichever side closes first, its code is on the line."""
    trace_id = new_id()
    with dial(service, "/ws/leave", trace_id) as socket, pytest.raises(ConnectionClosed):
        socket.recv()

    assert ("ok", 4000, "info", None) == ending(service.story(trace_id))


def test_a_websocket_that_fails_after_its_handshake_has_one_traceback(service: Service) -> None:
    """The line has the error and its traceback; the server's line of it is dropped."""
    trace_id = new_id()
    with dial(service, "/ws/break", trace_id) as socket, pytest.raises(ConnectionClosed):
        socket.recv()

    [story] = [line for line in service.lines_of(trace_id) if "exception" in line]

    assert "websocket_finished" == story["event"]
    assert ("error", "error", "RuntimeError") == (
        story["outcome"],
        story["level"],
        story["error_type"],
    )
    assert "the websocket broke" in story["exception"]


def test_a_client_that_vanishes_is_not_an_error(service: Service) -> None:
    """A connection that is cut without a close frame is the client's end of it."""
    trace_id = new_id()
    with dial(service, "/ws/echo", trace_id) as socket:
        socket.send("first")
        socket.recv()
        socket.socket.shutdown(SHUT_RDWR)

        story = service.story(trace_id)

    # uvicorn says 1005 of this, as of a close frame without a status, which is in order.
    outcome = {1005: "ok", 1006: "client_disconnected"}[story["close_code"]]
    assert (outcome, story["close_code"], "info", None) == ending(story)


def test_a_websockets_route_is_its_template(service: Service) -> None:
    """The line has the route, as a request's has."""
    service.needs("routes")
    trace_id = new_id()
    with dial(service, "/ws/echo", trace_id):
        pass

    assert service.adapter.template("/ws/{how}") == service.story(trace_id)["route"]


def test_an_included_websocket_has_every_prefix(service: Service) -> None:
    """A websocket that came by include_router has its prefixes, below a mount too."""
    service.needs("validation")

    for path in ("/api/v1/things/ws", "/mounted/deep/v1/things/ws"):
        trace_id = new_id()
        with dial(service, f"{path}/echo", trace_id):
            pass
        assert f"{path}/{{how}}" == service.story(trace_id)["route"]


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def stopped(request: pytest.FixtureRequest, adapter: Adapter) -> Iterator[tuple[Service, str]]:
    """Stop a server while a websocket is open; return both the service and the websocket's id."""
    adapter.needs("websockets")
    if request.param == "wsproto":
        pytest.importorskip("wsproto")
    trace_id = new_id()
    with adapter.serve("--ws", request.param) as server:
        service = Service(adapter, server)
        with dial(service, "/ws/echo", trace_id) as socket:
            socket.send("first")
            socket.recv()
            server.stop()
    yield service, trace_id
    service.client.close()


def test_a_server_that_stops_ends_its_websockets(stopped: tuple[Service, str]) -> None:
    """A websocket that the shutdown closes is cancelled, and has its one line."""
    service, trace_id = stopped

    [story] = [
        line
        for line in service.lines
        if line.get("trace_id") == trace_id and line["event"] == "websocket_finished"
    ]

    assert ("cancelled", 1012, "info", None) == ending(story)
