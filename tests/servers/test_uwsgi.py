"""uWSGI, which calls applications from C, and passes their exceptions to `sys.excepthook`."""

from __future__ import annotations

import pytest

from tests.servers.matrix import ask, client_of, leave
from tests.support.lines import parse_line
from tests.support.server import Server, uwsgi

pytest.importorskip("pyuwsgi")


def finished(server: Server, trace_id: str) -> bool:
    """Whether the last line of a request is there; uWSGI leads standard output to the error."""
    return any(trace_id in line and "request_finished" in line for line in server.err)


@pytest.mark.parametrize("delivery", ["direct", "queue"])
def test_a_forked_worker_writes_each_fact_once(delivery: str) -> None:
    """An error has our plain 500 and one line, and a client that leaves is no failure."""
    env = {"PANTHEON_OBS_LOG_DELIVERY": delivery}
    with uwsgi("tests.apps.wsgi_app:app", env=env) as server:
        ok, _ = ask(server, "/ok")
        with client_of(server) as client:
            failed = client.get("/boom")
        assert (500, "Internal Server Error") == (failed.status_code, failed.text)
        trace_ids = [ok, failed.headers["x-trace-id"], leave(server, "/endless")]
        for trace_id in trace_ids:
            server.wait_for(lambda trace_id=trace_id: finished(server, trace_id))  # type: ignore[misc]
        server.stop()

    lines = [parse_line(line.encode()) for line in server.err if line.startswith("{")]
    assert "observability_configured" == lines.pop(0)["event"]
    assert [
        ("request_finished", ok, 200, "ok"),
        ("request_finished", trace_ids[1], 500, "error"),
        ("request_finished", trace_ids[2], 200, "client_disconnected"),
    ] == [
        (line["event"], line["trace_id"], line.get("status_code"), line["outcome"])
        for line in lines
    ]
