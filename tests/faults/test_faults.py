"""A sink or hook of the application that misbehaves changes no byte of a response."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.adapters.contract import JSON_LOGGER, read_all
from tests.support.server import Server, gunicorn, uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("unmeasured")

SERVED = {
    "starlette": (uvicorn, "tests.faults.served:asgi", ()),
    "flask": (gunicorn, "tests.faults.served:wsgi", ("--no-control-socket", *JSON_LOGGER)),
}
DOORS = ("sink-handle", "sink-started", "sink-ended", "sink-adopt", "id", "usage", "prices")
WAYS = ("raises", "is-slow", "returns-nonsense", "is-cancelled")
STATUSES = {"/ok": b"200", "/llm": b"200", "/stream": b"200", "/boom": b"500", "/missing": b"404"}
OURS = re.compile(rb"(?im)^(x-trace-id|date): .*\r\n")


def response_of(server: Server, path: str) -> tuple[bytes, int]:
    """Ask on a connection of its own; return all bytes but our header, and how often that was."""
    with server.connect() as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode()
        )
        received = read_all(connection)
    return OURS.sub(b"", received), received.lower().count(b"x-trace-id: ")


@pytest.mark.parametrize("framework", SERVED)
def test_a_hook_that_misbehaves_changes_no_response(framework: str) -> None:
    """Every hook, in every way, on every kind of response, beside the bare application."""
    pytest.importorskip("flask")
    pytest.importorskip("starlette")
    serve: Callable[..., Server]
    serve, app, options = SERVED[framework]
    differing = []
    with serve(app, *options) as server:
        for door in DOORS:
            for way in WAYS:
                response_of(server, f"/fault/{door}/{way}")
                for path, status in STATUSES.items():
                    expected = response_of(server, f"/bare{path}")[0]
                    assert status == expected[9:12]
                    actual, ids = response_of(server, path)
                    if (expected, 1) != (actual, ids):
                        differing.append((door, way, path, ids, expected, actual))
        server.stop()
        finished = [line for line in server.out if '"event":"request_finished"' in line]

    assert [] == differing
    assert len(DOORS) * len(WAYS) * len(STATUSES) == len(finished)
