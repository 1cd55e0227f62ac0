"""Applications that take a WSGI server's connection over, as websockets over WSGI do."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.contract import JSON_LOGGER, Adapter, Service, new_id, read_all
from tests.sinks.receiver import Receiver
from tests.support.lines import parse_line
from tests.support.server import Server as Process
from tests.support.server import free_port, gunicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("flask")
pytest.importorskip("flask_sock")

WITH_SENTRY = find_spec("sentry_sdk") is not None
APP = "tests.apps.taken_over:app"
UPGRADE = (
    *((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")),
    *((b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="), (b"Sec-WebSocket-Version", b"13")),
)
MASKED_BOB = b"\x81\x83\0\0\0\0bob"
HELLO_BOB = b"\x81\x09hello bob\x88\x02\x03\xe8"


def serve(kind: str, env: dict[str, str]) -> Process:
    """Serve the applications under gunicorn's threads, its sync worker, or Werkzeug's server."""
    if kind == "werkzeug":
        port = free_port()
        return Process(APP.partition(":")[0], str(port), port=port, env=env)
    pytest.importorskip("gunicorn")
    threads = ("--threads", "4") if kind == "threads" else ()
    return gunicorn(APP, *threads, "--no-control-socket", *JSON_LOGGER, env=env)


@pytest.fixture(scope="module", params=["threads", "sync", "werkzeug"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """Serve the applications."""
    with Receiver() as receiver:
        with serve(request.param, {"SENTRY_DSN": receiver.dsn} if WITH_SENTRY else {}) as server:
            yield Service(Adapter(request.param, APP, gunicorn), server)
            server.stop()
        # The applications without the library have no id.
        assert [] == [event for event in receiver.events if "trace_id" in event.get("tags", {})]


def talk(
    service: Service, path: str, trace_id: str, *headers: tuple[bytes, bytes], frames: bytes
) -> bytes:
    """Ask for a connection to take over, and read all that follows the head, beyond the frames."""
    with service.send(path, *headers, (b"X-Trace-ID", trace_id.encode())) as connection:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        if frames == HELLO_BOB:
            connection.sendall(MASKED_BOB)
        while frames not in received:
            received += connection.recv(65536)
        connection.shutdown(socket.SHUT_WR)
        received += read_all(connection)
    return received.partition(b"\r\n\r\n")[2]


def lines_of(service: Service, trace_id: str) -> list[dict[str, Any]]:
    """Return the lines of a request, which are complete once a later one has ended."""
    service.wait_for(trace_id, "request_finished")
    later = new_id()
    service.get("/ours/raw/ok", {"X-Trace-ID": later})
    service.wait_for(later, "request_finished")
    lines = [parse_line(line.encode()) for line in service.server.out if line[:1] == "{"]
    return [line for line in lines if line.get("trace_id") == trace_id]


def test_a_websocket_of_flask_sock_has_frames_only(service: Service) -> None:
    """The server ends the connection as it does without us, and the line is no error."""
    trace_id = new_id()

    bare = talk(service, "/bare/flask/echo", new_id(), *UPGRADE, frames=HELLO_BOB)
    ours = talk(service, "/ours/flask/echo", trace_id, *UPGRADE, frames=HELLO_BOB)

    # Werkzeug's server has the response of Flask written after the frames.
    assert bare.count(b"HTTP/1.1") == ours.count(b"HTTP/1.1")
    [story] = lines_of(service, trace_id)
    assert ("ok", "info", "/echo") == (story["outcome"], story["level"], story["path"])


@pytest.mark.parametrize(
    ("end", "headers", "outcome"),
    [
        pytest.param("stop", (), "ok", id="StopIteration"),
        pytest.param("stop", UPGRADE, "ok", id="StopIteration-of-a-websocket"),
        pytest.param("error", UPGRADE, "ok", id="ConnectionError"),
        pytest.param("reset", UPGRADE, "client_disconnected", id="ConnectionResetError"),
    ],
)
def test_what_a_server_expects_at_the_end_reaches_it_alone(
    service: Service, end: str, headers: Any, outcome: str
) -> None:
    """Nothing of ours is written onto the connection, and there is no line of an error."""
    if end == "stop" and service.adapter.name == "werkzeug":
        pytest.skip("Werkzeug's server knows no such end, and answers it with a 500")
    trace_id = new_id()

    bare = talk(service, f"/bare/raw/{end}", new_id(), *headers, frames=b"frames")
    ours = talk(service, f"/ours/raw/{end}", trace_id, *headers, frames=b"frames")

    assert (b"frames", b"frames") == (bare, ours)
    [story] = lines_of(service, trace_id)
    assert (outcome, "info", None) == (story["outcome"], story["level"], story.get("status_code"))
