"""Under real uvicorn, from its start to its end, nothing is printed but lines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.logs.running import SECONDS_TO_WAIT, clean_environment
from tests.support import loopback
from tests.support.lines import named, parse_line, parse_lines
from tests.support.server import ROOT, Server, free_port, uvicorn

APP = "tests.logs.apps.plain:app"


def lines_of(server: Server) -> list[dict[str, Any]]:
    """Parse the server's output as valid lines; fail if anything is on standard error."""
    assert [] == server.err
    return [parse_line(line.encode()) for line in server.out]


def get(server: Server, path: str) -> int:
    """Request a path; return the status."""
    return loopback.get(server.url + path).status_code


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_everything_is_json_from_start_to_shutdown(http: str, loop: str) -> None:
    """All output is JSON: the server's, the app's, warnings, failures of threads and callbacks."""
    with uvicorn(APP, "--http", http, "--loop", loop) as server:
        assert 200 == get(server, "/everything?token=hunter2")
        assert 500 == get(server, "/fail?token=hunter2")
        with server.connect() as raw:
            raw.sendall(b"\x00 not http\r\n\r\n")
            while raw.recv(1000):
                pass
        with connect(f"ws://127.0.0.1:{server.port}/ws?token=hunter2", proxy=None) as websocket:
            websocket.send("hello")
            assert "hello" == websocket.recv()
        server.wait_for(lambda: any("websocket_finished" in line for line in server.out))
        status = server.stop()

    lines = lines_of(server)
    events = Counter(line["event"].partition(" [")[0] for line in lines)
    assert -signal.SIGTERM == status
    for event in (
        "observability_configured",
        "Started server process",
        "Waiting for application startup.",
        "Application startup complete.",
        "structured",
        "plain",
        "old",
        "Invalid HTTP request received.",
        "websocket_finished",
        "Shutting down",
        "Application shutdown complete.",
        "Finished server process",
    ):
        assert 1 == events[event], event
    assert any(event.startswith("Uvicorn running on http://") for event in events)
    assert 2 == events["request_finished"]
    assert not any("hunter2" in str(line) for line in lines)


def test_an_unhandled_error_is_one_line_with_a_traceback() -> None:
    """The request's own line has it, and the server's is dropped."""
    with uvicorn(APP) as server:
        assert 500 == get(server, "/fail")
        server.stop()

    lines = lines_of(server)
    [failed] = [line for line in lines if "exception" in line]
    assert ("request_finished", "ValueError", 500, "error") == tuple(
        failed[key] for key in ("event", "error_type", "status_code", "level")
    )
    assert failed["exception"].endswith("ValueError: boom")


def test_failures_beside_a_request_have_one_traceback_each() -> None:
    """Failures of a thread and of a callback have one traceback each."""
    with uvicorn(APP) as server:
        get(server, "/everything")
        server.wait_for(lambda: sum("ValueError: boom" in line for line in server.out) > 1)
        server.stop()

    failed = [line for line in lines_of(server) if "exception" in line]
    assert {("pantheon_obs.uncaught", "ValueError"), ("asyncio", "ValueError")} == {
        (line["logger"], line["error_type"]) for line in failed
    }
    assert 2 == len(failed)


def test_a_start_up_that_fails_is_reported_in_lines() -> None:
    """One of the lines has the reason, and the exit status is the server's own."""
    with uvicorn(APP, "--lifespan", "on", env={"FAILING": "startup"}, ready=False) as server:
        assert 3 == server.process.wait(SECONDS_TO_WAIT)

    lines = lines_of(server)
    assert 1 == sum("no database" in str(line) for line in lines)
    assert "Application startup failed. Exiting." in [line["event"] for line in lines]


@pytest.mark.parametrize(
    ("option", "shown"), [("debug", True), ("info", True), ("critical", False)]
)
def test_a_server_s_own_option_is_obeyed_where_it_is_stricter(option: str, *, shown: bool) -> None:
    """A level below `log_level`, and INFO, which is the server's default, count as none."""
    with uvicorn(APP, "--log-level", option, env={"PANTHEON_OBS_LOG_LEVEL": "INFO"}) as server:
        get(server, "/ok")
        server.stop()

    assert shown == bool(named(lines_of(server), "Application startup complete."))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_log_config_makes_the_first_line_json_too(workers: int) -> None:
    """`log_config=logging_config()` formats lines before the app, and of the workers' parent."""
    port = free_port()
    with Server("tests.logs.apps.served", str(port), str(workers), port=port) as server:
        assert 200 == get(server, "/everything")
        server.wait_for(lambda: any("request_finished" in line for line in server.out))
        # One of them may serve before another has started.
        server.wait_for(lambda: workers <= sum("Started server" in line for line in server.out))
        server.stop()

    lines = lines_of(server)
    assert 1 == len(named(lines, "request_finished"))
    events = [line["event"] for line in lines]
    assert workers == sum(event.startswith("Started server process") for event in events)
    if workers > 1:
        assert any(event.startswith("Started parent process") for event in events)


def test_a_queue_is_drained_when_the_server_is_stopped() -> None:
    """The last lines are written, although the signal ends uvicorn without exit functions."""
    port = free_port()
    read, write = os.pipe()
    with (
        open(read, "rb") as reader,  # noqa: PTH123 - a descriptor
        subprocess.Popen(
            [sys.executable, "-m", "uvicorn", APP, "--port", str(port)],
            cwd=ROOT,
            stdout=write,
            stderr=subprocess.PIPE,
            env=clean_environment(PANTHEON_OBS_LOG_DELIVERY="queue"),
        ) as process,
    ):
        os.close(write)
        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                trust_env=False,
                timeout=SECONDS_TO_WAIT,
                transport=httpx.HTTPTransport(retries=12),
            ) as client:
                for _ in range(5):
                    assert 200 == client.get("/long").status_code
            process.send_signal(signal.SIGTERM)
            lines = parse_lines(reader.read())
            status = process.wait(SECONDS_TO_WAIT)
        finally:
            process.kill()

    assert 500 == len(named(lines, "long"))
    assert 5 == len(named(lines, "request_finished"))
    assert lines[-1]["event"].startswith("Finished server process")
    assert -signal.SIGTERM == status
