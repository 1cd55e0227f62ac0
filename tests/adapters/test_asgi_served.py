"""Refused websockets and unfinished streams on the wire of real servers."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.contract import read_all
from tests.support.server import granian, hypercorn, uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.server import Server

REFUSING = "tests.adapters.apps.refusing"


def handshake_of(path: str) -> bytes:
    """The request for a websocket."""
    lines = (
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "\r\n",
    )
    return "\r\n".join(lines).encode()


def handshake(server: Server, path: str) -> tuple[str, dict[str, list[str]], bytes]:
    """Ask for a websocket; return the status line, the headers and the body of the answer."""
    with server.connect() as connection:
        connection.sendall(handshake_of(path))
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    headers: dict[str, list[str]] = {}
    for field in fields:
        name, _, value = field.partition(": ")
        headers.setdefault(name.lower(), []).append(value)
    return status, headers, body


@pytest.mark.parametrize(
    ("serve", "options", "package"),
    [
        pytest.param(uvicorn, ("--ws", "websockets-sansio"), "uvicorn", id="websockets"),
        pytest.param(uvicorn, ("--ws", "wsproto"), "wsproto", id="wsproto"),
        pytest.param(hypercorn, (), "hypercorn", id="hypercorn"),
    ],
)
def test_a_refused_websocket_is_on_the_wire_what_the_server_sends_and_the_id(
    serve: Callable[..., Server], options: tuple[str, ...], package: str
) -> None:
    """The response is whole by its length, and a plain 500 has its body."""
    pytest.importorskip(package)
    answers: dict[str, list[Any]] = {}
    for app in ("service", "app"):
        with serve(f"{REFUSING}:{app}", *options) as server:
            for path in ("/refuse", "/fail"):
                status, headers, body = handshake(server, path)
                ids = headers.pop("x-trace-id", [])
                headers.pop("date", None)
                answers.setdefault(path, []).append((status, headers, body))
                assert (app == "app") == bool(ids)
        if app == "app":
            errors = [line for line in map(json.loads, server.out) if line["level"] == "error"]

    for bare, ours in answers.values():
        assert bare == ours
    assert [("websocket_finished", "/fail")] == [
        (line["event"], line.get("path")) for line in errors
    ]


def test_a_websocket_that_fails_under_granian_is_refused_as_granian_does() -> None:
    """Its denial response brings headers of an accepted handshake with it, whoever sends it."""
    pytest.importorskip("granian")
    answers: list[Any] = []
    for app in ("service", "app"):
        serving = granian(f"{REFUSING}:{app}", "--interface", "asgi")
        with serving as server, server.connect() as connection:
            connection.sendall(handshake_of("/fail"))
            answers.append(connection.recv(65536).lower().split(b"\r\n"))

    [first, *bare], [line, *ours] = answers
    assert b"http/1.1 403 forbidden" == first == line
    assert b"content-length: 0" in bare
    assert b"content-length: 0" in ours
    assert any(field.startswith(b"x-trace-id: ") for field in ours)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/events", ("cancelled", "info"), id="at-shutdown"),
        pytest.param("/unfinished", ("error", "error"), id="at-once"),
    ],
)
def test_a_stream_that_the_application_leaves_unfinished(
    path: str, expected: tuple[str, str]
) -> None:
    """While the server stops that is cancelled; otherwise it is a fault of the application."""
    trace_id = str(uuid.uuid4())
    with uvicorn("tests.adapters.apps.stopping:app") as server:
        with server.connect() as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Trace-ID: {trace_id}\r\n\r\n"
            connection.sendall(request.encode())
            received = b""
            while b"data: first" not in received:
                received += connection.recv(65536)
            if path == "/unfinished":
                server.wait_for(lambda: any(trace_id in line for line in server.out))
            server.stop()
        lines = [json.loads(line) for line in server.out if trace_id in line]

    assert [("request_finished", *expected)] == [
        (line["event"], line["outcome"], line["level"]) for line in lines
    ]


def test_a_cancellation_that_nobody_has_asked_for_is_an_error() -> None:
    """The application has awaited what others have cancelled: an exception like any other."""
    trace_id = str(uuid.uuid4())
    with uvicorn("tests.adapters.apps.stopping:app") as server:
        with server.connect() as connection:
            fields = f"X-Trace-ID: {trace_id}\r\nConnection: close"
            connection.sendall(f"GET /future HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n".encode())
            answer = read_all(connection)
        server.stop()
        lines = [json.loads(line) for line in server.out if trace_id in line]

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert trace_id.encode() in answer
    assert [("error", 500, "CancelledError: nobody waits")] == [
        (line.get("outcome"), line.get("status_code"), line["exception"].rpartition(".")[2])
        for line in lines
    ]


@pytest.mark.parametrize("path", ["/page", "/relayed/page"])
@pytest.mark.parametrize("serve", [uvicorn, hypercorn])
def test_a_server_may_report_the_end_of_the_last_part_before_it_has_taken_it(
    serve: Callable[..., Server], path: str
) -> None:
    """Hypercorn does: the client, which has got everything, has not left before that."""
    pytest.importorskip("starlette")
    trace_id = str(uuid.uuid4())
    with serve("tests.adapters.apps.files:app") as server:
        with server.connect() as connection:
            fields = f"Accept-Encoding: gzip\r\nX-Trace-ID: {trace_id}\r\nConnection: close"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n".encode())
            read_all(connection)
        server.wait_for(lambda: any(trace_id in line for line in server.out))
        lines = [json.loads(line) for line in server.out if trace_id in line]

    assert [("request_finished", 200, "ok")] == [
        (line["event"], line["status_code"], line["outcome"]) for line in lines
    ]
