"""Under a real server one line names the code that has blocked the event loop."""

from __future__ import annotations

from linecache import getline
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import loopback
from tests.support.lines import parse_line
from tests.support.server import uvicorn

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.server import Server

APP = "tests.time.apps.blocking:app"


def get(server: Server, path: str) -> tuple[str, int]:
    """Request a path; return the trace id and the process that has answered."""
    response = loopback.get(server.url + path)
    return str(response.headers["x-trace-id"]), int(response.text)


def source(place: str) -> tuple[str, str]:
    """Read the line of the source that a place names, and the function."""
    position, function = place.split()
    file, _, number = position.rpartition(":")
    return getline(file, int(number)).strip(), function


def starts(server: Server) -> int:
    """Count how often the application has started."""
    lines = (*server.out, *server.err)
    return sum("Application startup complete" in line for line in lines)


def blocked(server: Server) -> list[dict[str, Any]]:
    """Read the lines about a blocked loop."""
    lines = [parse_line(line.encode()) for line in tuple(server.out)]
    return [line for line in lines if line["event"] == "event_loop_blocked"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_blocks_the_loop_is_reported_with_its_place_and_request(
    loop: str, tmp_path: Path
) -> None:
    """Short callbacks and a slow start are not reported. The server has been reloaded before."""
    pytest.importorskip("requests")
    changed = tmp_path / "changed.py"
    changed.touch()  # of a new file the reloader does not always take notice
    options = ("--loop", loop, "--reload", "--reload-dir", str(tmp_path))
    with uvicorn(APP, *options, env={"PANTHEON_OBS_SLOW_LOOP_MS": "250"}) as server:
        _, before = get(server, "/")
        changed.touch()
        server.wait_for(lambda: starts(server) == 2, "the reload")
        _, process = get(server, "/short")
        assert before != process
        asked = []
        for number, path in enumerate(("/sleep", "/compute", "/requests", "/json"), 1):
            asked.append(get(server, path)[0])
            server.wait_for(lambda number=number: len(blocked(server)) == number, path)
        server.stop()

    found = blocked(server)
    assert asked == [line["trace_id"] for line in found]
    assert {"warning"} == {line["level"] for line in found}
    (slept, _), (_, computing), (asked_for, _), (parsed, function) = [
        source(line["where"]) for line in found
    ]
    assert slept.startswith("time.sleep(SLOW)")
    assert "compute" == computing
    assert ".get(upstream()" in asked_for
    assert ("json.loads(LARGE)", "app") == (parsed, function)
    assert found[0]["stack"][-1] == found[0]["where"]
    ends = [parse_line(line.encode()) for line in server.out if '"request_finished"' in line]
    marked = [line for line in ends if "loop_blocked_ms" in line]
    assert {*asked[:2]} <= {line["trace_id"] for line in marked}
    assert {"/", "/short"}.isdisjoint(line["path"] for line in marked)
