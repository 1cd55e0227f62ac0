"""Channels under daphne and Django's runserver: their own lines, and the trace of the command."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from pantheon_obs import configure_logging, testing
from tests.support import loopback
from tests.support.django import env_of
from tests.support.lines import parse_line
from tests.support.server import ROOT, SECONDS, Server, free_port

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("channels")
pytest.importorskip("daphne")

APP = "tests.apps.django_app.channels_asgi"
SETTINGS = {
    "ASGI_APPLICATION": f"{APP}.application",
    "INSTALLED_APPS": [
        *("daphne", "channels", "django.contrib.auth", "django.contrib.contenttypes"),
        "pantheon_obs.adapters.django",
    ],
}
SECRET = "hunter2"  # noqa: S105 - the token of a query string


def serve(command: str, **env: str) -> Server:
    """Start daphne itself, or the project's command."""
    port = free_port()
    env = {**env_of(SETTINGS), "DJANGO_APP_IS_ASYNC": "1", "PYTHONPATH": str(ROOT), **env}
    if command == "daphne":
        return Server("daphne", "-p", str(port), f"{APP}:application", port=port, env=env)
    return Server("django", "runserver", "--noreload", str(port), port=port, env=env)


def lines_of(server: Server) -> list[dict[str, Any]]:
    """Use both protocols, stop the server and return its lines."""
    with loopback.client_of(server) as client:
        assert 200 == client.get("/ok", params={"token": SECRET}).status_code
    url = f"ws://127.0.0.1:{server.port}/ws?token={SECRET}"
    for text in ("hello", "boom"):
        with connect(url, proxy=None) as socket, suppress(ConnectionClosed):
            socket.send(text)
            assert text == socket.recv(SECONDS)
    server.wait_for(lambda: any("ZeroDivisionError" in line for line in server.out))
    server.stop()
    return [parse_line(line.encode()) for line in server.out if line.startswith("{")]


class Served(NamedTuple):
    """A server that has ended, and the lines of the library among those that it has printed."""

    server: Server
    lines: list[dict[str, Any]]


@pytest.fixture(scope="module", params=["daphne", "runserver"])
def served(request: pytest.FixtureRequest) -> Served:
    """Serve the instrumented application, and use both protocols."""
    with serve(request.param, INSTRUMENTED="yes") as server:
        return Served(server, lines_of(server))


def test_no_line_of_the_server_has_a_query_string(served: Served) -> None:
    """Its access lines say less than ours; daphne writes them without logging."""
    server, lines = served

    assert [] == [line for line in [*server.out, *server.err] if SECRET in line]
    assert [] == [line for line in server.out if "GET /ok" in line or "/ws" in line[:60]]
    finished = ["request_finished", "websocket_finished", "websocket_finished"]
    assert finished == sorted(line["event"] for line in lines if "outcome" in line)


def test_an_error_in_a_websocket_has_one_traceback(served: Served) -> None:
    """The server logs the same exception from a task of its own."""
    server, lines = served

    assert ["websocket_finished"] == [line["event"] for line in lines if "exception" in line]
    assert 1 == sum("ZeroDivisionError" in line for line in server.out)


def test_the_trace_of_runserver_is_not_that_of_its_websockets() -> None:
    """A websocket that nothing traces has no id at all."""
    with serve("runserver") as server:
        lines = lines_of(server)

    connected = [line for line in lines if line["event"] == "connected"]
    assert [False, False] == ["trace_id" in line for line in connected]
    assert 1 == sum("trace_id" in line for line in lines)
    assert 1 == sum("exception" in line for line in lines)


def test_daphne_s_access_log_in_a_file_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only lines that would be printed are dropped, and only while logging is configured."""
    from daphne.access import AccessLogGenerator  # noqa: PLC0415 - skipped above without it

    details = {"client": "127.0.0.1", "path": "/ok", "method": "GET", "status": 200, "size": 2}

    def write() -> None:
        for stream in (sys.stdout, file):
            AccessLogGenerator(stream)("http", "complete", details)

    with (tmp_path / "access.log").open("w+", encoding="utf-8") as file:
        for _ in range(2):
            configure_logging()
        write()
        written = "" == capsys.readouterr().out, file.tell() > 0
        testing.reset()
        write()

    assert (True, True) == written
    assert "GET /ok" in capsys.readouterr().out
