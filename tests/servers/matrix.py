"""Requests that every server must serve, and checks of its output."""

from __future__ import annotations

import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tests.support import loopback
from tests.support.lines import parse_line

if TYPE_CHECKING:
    import re

    import httpx

    from tests.support.server import Server


def client_of(server: Server) -> httpx.Client:
    """Make a client that opens a connection for each request."""
    return loopback.client_of(server, limits=loopback.ONE_EACH)


def ask(server: Server, path: str) -> tuple[str, int]:
    """Send a request; return its id, which the response must have, and the status."""
    trace_id = str(uuid.uuid4())
    with client_of(server) as client:
        response = client.get(path, headers={"X-Trace-ID": trace_id}, params={"q": "hunter2"})
    assert [trace_id] == response.headers.get_list("x-trace-id")
    return trace_id, response.status_code


def leave(server: Server, path: str) -> str:
    """Read the beginning of a response and go; return its id."""
    trace_id = str(uuid.uuid4())
    headers = {"X-Trace-ID": trace_id}
    with client_of(server) as client, client.stream("GET", path, headers=headers) as response:
        assert trace_id == response.headers["x-trace-id"]
        with closing(response.iter_raw()) as parts:
            assert next(parts)
    return trace_id


def wait_for_lines(server: Server, *trace_ids: str) -> None:
    """Wait until each of these requests has its last line."""
    for trace_id in trace_ids:
        server.wait_for(
            lambda trace_id=trace_id: any(  # type: ignore[misc]
                trace_id in line and "request_finished" in line for line in server.out
            ),
            f"the line of {trace_id}",
        )


def check_requests(server: Server, beyond: re.Pattern[str] | None = None) -> None:
    """Serve an answer, an error and a client that leaves; stop; look at every line.

    Args:
        server: Just started, with one worker.
        beyond: Matches each raw line; the server prints them beyond the process's reach.
    """
    ok, status = ask(server, "/ok")
    assert 200 == status
    failed, status = ask(server, "/boom")
    assert 500 == status
    left = leave(server, "/endless")
    wait_for_lines(server, ok, failed, left)
    assert 0 == server.stop(), server.output()

    lines = check_output(server, beyond)
    finished = [line for line in lines if line["event"] == "request_finished"]
    outcomes = {line["trace_id"]: (line["outcome"], line["status_code"]) for line in finished}
    assert (3, 3) == (len(finished), len(outcomes))
    assert [("ok", 200), ("error", 500)] == [outcomes[ok], outcomes[failed]]
    # gunicorn informs an application that listens of the departure; it cancels others.
    assert outcomes[left] in {("client_disconnected", 200), ("cancelled", 200)}
    [reported] = [line for line in lines if "exception" in line]
    assert (failed, "ZeroDivisionError") == (reported["trace_id"], reported["error_type"])
    # No other line reports the error or the access.
    assert 1 == sum("ZeroDivisionError" in line for line in [*server.out, *server.err])
    assert not any("hunter2" in line for line in [*server.out, *server.err])


def check_output(server: Server, beyond: re.Pattern[str] | None = None) -> list[dict[str, Any]]:
    """Check all that a stopped server has printed, and return its lines.

    Args:
        server: The server.
        beyond: Matches each raw line; if it is given there must be one.
    """
    printed = [*server.out, *server.err]
    raw = [line for line in printed if not line.startswith("{")]
    strange = [line for line in raw if beyond is None or not beyond.fullmatch(line)]
    assert [] == strange, server.output()
    assert bool(raw) == (beyond is not None), server.output()
    lines = [parse_line(line.encode()) for line in printed if line.startswith("{")]
    assert [] == [line for line in lines if line["event"] == "telemetry_failed"]
    return lines
