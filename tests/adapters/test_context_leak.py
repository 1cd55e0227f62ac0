"""Servers may leak the context of a request into the next one; the middleware stops that.

A transport's callbacks run in the context in which they were registered, which may be a request's
own (https://github.com/python/cpython/issues/140947), and the next request's task copies it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.server import Server, uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

LARGE = 4 * 1024 * 1024  # more than a server reads before it pauses
COMBINATIONS = [(http, loop) for http in ("h11", "httptools") for loop in ("asyncio", "uvloop")]


def request(path: str, body: bytes = b"") -> bytes:
    """A request as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def answers(connection: socket.socket, count: int) -> list[dict[str, str]]:
    """Read some responses; each body has the variables of structlog that the handler saw."""
    received = b""
    while len(bodies := re.findall(rb"\r\n\r\n(\{.*?\})", received)) < count:
        part = connection.recv(65536)
        assert part, received
        received += part
    return [json.loads(body) for body in bodies]


def keep_alive(server: Server) -> list[dict[str, str]]:
    """Send a large request that binds a user, then another one on the same connection."""
    with server.connect() as connection:
        connection.sendall(request("/bind", b"x" * LARGE))
        first = answers(connection, 1)
        connection.sendall(request("/see"))
        return first + answers(connection, 1)


def pipelined(server: Server) -> list[dict[str, str]]:
    """Send both requests at once."""
    with server.connect() as connection:
        connection.sendall(request("/bind") + request("/see"))
        return answers(connection, 2)


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def combination(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return a protocol implementation and an event loop of uvicorn."""
    http, loop = request.param
    for package in {http, loop} - {"asyncio"}:
        pytest.importorskip(package)
    return http, loop


def serve(app: str, combination: tuple[str, str]) -> Server:
    """Serve one of the two apps."""
    http, loop = combination
    return uvicorn(f"tests.adapters.apps.leaky:{app}", "--http", http, "--loop", loop)


@pytest.fixture(scope="module")
def bare(combination: tuple[str, str]) -> Iterator[Server]:
    """Serve the app behind a middleware that was written by hand."""
    with serve("bare", combination) as server:
        yield server


@pytest.fixture(scope="module")
def instrumented(combination: tuple[str, str]) -> Iterator[Server]:
    """Serve the app behind our middleware."""
    with serve("instrumented", combination) as server:
        yield server


def test_a_middleware_written_by_hand_leaks_between_pipelined_requests(bare: Server) -> None:
    """The second request sees the first one's user on every combination."""
    assert [None, "alice"] == [seen.get("user_id") for seen in pipelined(bare)]


def test_a_middleware_written_by_hand_leaks_after_a_large_body(
    bare: Server, combination: tuple[str, str]
) -> None:
    """On asyncio's own loop a later request of the connection sees the earlier one's user."""
    if "uvloop" in combination:
        pytest.skip("uvloop does not run a transport in the context of who resumes it")

    assert [None, "alice"] == [seen.get("user_id") for seen in keep_alive(bare)]


@pytest.mark.parametrize("send", [keep_alive, pipelined])
def test_with_our_middleware_each_request_starts_with_a_clean_context(
    instrumented: Server, send: Callable[[Server], list[dict[str, str]]]
) -> None:
    """No field that one request has bound is in the next one or on its line."""
    lines = len(instrumented.out)

    assert [{}, {}] == send(instrumented)
    instrumented.wait_for(
        lambda: sum("request_finished" in line for line in instrumented.out[lines:]) == 2
    )
    [bound, seen] = [line for line in instrumented.out[lines:] if "request_finished" in line]
    assert [True, False] == ["alice" in line for line in (bound, seen)]
