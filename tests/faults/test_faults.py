"""A sink or hook of the application that misbehaves changes no byte of a response."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

import pytest

from tests.adapters.contract import JSON_LOGGER, read_all
from tests.support.server import Server, gunicorn, uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("unmeasured")

SERVED = {
    "starlette": (uvicorn, "tests.apps.misbehaving:asgi", ()),
    "flask": (gunicorn, "tests.apps.misbehaving:wsgi", ("--no-control-socket", *JSON_LOGGER)),
}
OF_LIBRARY = (
    *("sink-handle", "sink-started", "sink-ended", "sink-adopt", "sink-timed"),
    *("id", "model", "usage", "prices", "exceeded"),
)
OF_APPLICATION = (
    *("filter", "factory", "handler", "processor", "repr"),
    *("before-send", "before-breadcrumb", "traces-sampler"),
)
# Probes and scrapes run these, and no other request waits for one.
OF_PROBES = {"check": "/health/ready", "collector": "/metrics"}
WAYS = ("raises", "is-slow", "returns-nonsense", "is-cancelled")
BROKEN = {("before-send", "returns-nonsense")}  # at which Sentry fails, in the bare application too
PATHS = ("/ok", "/llm", "/log", "/stream", "/boom", "/missing")
OURS = re.compile(rb"(?im)^(x-trace-id|date): .*\r\n")


def response_of(server: Server, path: str) -> tuple[bytes, int]:
    """Ask on a connection of its own; return all bytes but our header, and how often that was."""
    with server.connect() as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode()
        )
        received = read_all(connection)
    return OURS.sub(b"", received), received.lower().count(b"x-trace-id: ")


def statuses(server: Server, *paths: str) -> tuple[int, ...]:
    """Ask for these paths."""
    return tuple(int(response_of(server, path)[0].split()[1]) for path in paths)


@pytest.mark.parametrize("framework", SERVED)
def test_a_hook_that_misbehaves_changes_no_response(framework: str) -> None:
    """Every hook, in every way, on every kind of response, beside the bare application."""
    for package in ("flask", "starlette", "sentry_sdk", "prometheus_client"):
        pytest.importorskip(package)
    serve: Callable[..., Server]
    serve, app, options = SERVED[framework]
    doors = (*OF_LIBRARY, *OF_APPLICATION, *OF_PROBES)
    faults = {*product(doors, WAYS), ("check", "hangs")} - BROKEN
    told = {}  # the answers to probes and scrapes
    differing = []
    unused = []
    broken = set()
    with serve(app, *options) as server, serve(app, *options, env={"FAULTS_BARE": "1"}) as bare:
        for door, way in faults:
            for each in (server, bare):
                response_of(each, f"/fault/{door}/{way}")
            # The SDK may let through what its own hooks raise: then the application is broken.
            if not response_of(bare, "/ok")[0].startswith(b"HTTP/1.1 200"):
                broken.add((door, way))
                continue
            if door in OF_PROBES:
                told[door, way] = statuses(server, "/health/live", OF_PROBES[door])
            for path in PATHS:
                expected, actual = response_of(bare, path), response_of(server, path)
                if (expected[0], 1) != actual:
                    differing.append((door, way, path, expected, actual))
            if response_of(server, "/called")[0].endswith(b"\r\n0"):
                unused.append((door, way))
        server.stop()
        finished = [line for line in server.out if '"event":"request_finished"' in line]

    assert [] == differing
    assert [] == unused
    assert len(told) == len(OF_PROBES) * len(WAYS) + 1
    failing = {told["check", way] for way in ("raises", "is-cancelled", "hangs")}
    assert {(200, 503)} == failing
    collected = {told["collector", way] for way in WAYS}
    assert collected <= {(200, 200), (200, 500)}  # as prometheus_client answers
    assert {door for door, _ in broken} <= {"traces-sampler"}
    assert len(faults - broken) * len(PATHS) == len(finished)
