"""Under a real server one line reports what has blocked the event loop."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.lines import parse_line
from tests.support.server import SECONDS, uvicorn

if TYPE_CHECKING:
    from tests.support.server import Server

APP = "tests.time.apps.blocking:app"


def get(server: Server, path: str) -> str:
    """Request a path; return the trace id."""
    response = httpx.get(server.url + path, trust_env=False, timeout=SECONDS)
    return str(response.headers["x-trace-id"])


def blocked(server: Server) -> list[dict[str, Any]]:
    """Read the lines about a blocked loop."""
    lines = [parse_line(line.encode()) for line in tuple(server.out)]
    return [line for line in lines if line["event"] == "event_loop_blocked"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_blocks_the_loop_is_reported_with_its_place_and_request(loop: str) -> None:
    """Short callbacks, a slow start and a stopped process are not reported; a place once."""
    with uvicorn(APP, "--loop", loop) as server:
        get(server, "/short")
        server.process.send_signal(signal.SIGSTOP)
        server.process.send_signal(signal.SIGCONT)
        slept = get(server, "/sleep")
        server.wait_for(lambda: len(blocked(server)) == 1, "the first report")
        get(server, "/sleep")
        computed = get(server, "/compute")
        server.wait_for(lambda: len(blocked(server)) == 2, "the second report")
        server.stop()

    first, second = blocked(server)
    assert [("warning", slept), ("warning", computed)] == [
        (line["level"], line["trace_id"]) for line in (first, second)
    ]
    assert first["where"].endswith("blocking.py:47 app")
    assert second["where"].endswith(" compute")
    assert first["stack"][-1] == first["where"]
    ends = [parse_line(line.encode()) for line in server.out if '"request_finished"' in line]
    assert [False, True, True, True] == ["loop_blocked_ms" in line for line in ends]
