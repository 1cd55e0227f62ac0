"""What every server is put through, and what its output must then be."""

from __future__ import annotations

import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.lines import parse_line
from tests.support.server import SECONDS, Server

if TYPE_CHECKING:
    import re


def client_of(server: Server) -> httpx.Client:
    """A client that opens a connection for each request."""
    return httpx.Client(
        base_url=server.url,
        timeout=SECONDS,
        trust_env=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    )


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
        beyond: The lines that are beyond the process's reach, all of them.
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
    # gunicorn tells only an app that listens; others it cancels.
    assert outcomes[left] in {("client_disconnected", 200), ("cancelled", 200)}
    [told] = [line for line in lines if "exception" in line]
    assert (failed, "ZeroDivisionError") == (told["trace_id"], told["error_type"])
    # Nobody else tells of the error or of the access.
    assert 1 == sum("ZeroDivisionError" in line for line in [*server.out, *server.err])
    assert not any("hunter2" in line for line in [*server.out, *server.err])


def check_output(server: Server, beyond: re.Pattern[str] | None = None) -> list[dict[str, Any]]:
    """All that a stopped server has printed: lines, and what is beyond its reach.

    Args:
        server: The server.
        beyond: Matches what is not a line; where it is given there must be some.
    """
    printed = [*server.out, *server.err]
    raw = [line for line in printed if not line.startswith("{")]
    strange = [line for line in raw if beyond is None or not beyond.fullmatch(line)]
    assert [] == strange, server.output()
    assert bool(raw) == (beyond is not None), server.output()
    lines = [parse_line(line.encode()) for line in printed if line.startswith("{")]
    assert [] == [line for line in lines if line["event"] == "telemetry_failed"]
    return lines
