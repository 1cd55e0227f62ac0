"""Lines kept aside survive the end of a process and a fork, also behind real servers."""

from __future__ import annotations

import json
import os
from typing import Any

import httpx
import pytest

from tests.logs.running import run
from tests.support import loopback
from tests.support.lines import parse_line, parse_lines
from tests.support.server import uvicorn

IN_A_REQUEST = """
import os, signal
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import begin
from pantheon_obs.core.exchange import Exchange
configure_logging(log_format="json", debug_on_error=True, keep_rate=0)
open_request = Exchange("open-1")
begin(open_request)
open_request.watch("GET", "/", "", frozenset())
pipeline.started(open_request)
log = logging.getLogger("shop")
log.debug("detail")
log.info("paid")
"""
KEPT = [("debug", "detail", True), ("info", "paid", True)]


def told(lines: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    """Return the level and event of each line, and whether it was kept aside."""
    return [(line["level"], line["event"], line.get("recorded", False)) for line in lines]


@pytest.mark.parametrize("delivery", ["direct", "queue"])
@pytest.mark.parametrize(
    ("end", "status", "last"),
    [
        pytest.param("", 0, [], id="exit"),
        pytest.param("raise KeyError", 1, [("critical", "uncaught_exception", False)], id="crash"),
        pytest.param("os.kill(os.getpid(), signal.SIGTERM)", -15, [], id="SIGTERM"),
    ],
)
def test_what_is_kept_aside_is_written_at_the_end(
    delivery: str, end: str, status: int, last: list[Any]
) -> None:
    """Once, whichever way the process ends."""
    done = run(IN_A_REQUEST + end, PANTHEON_OBS_LOG_DELIVERY=delivery)

    assert status == done.status
    assert sorted(KEPT + last) == sorted(told(done.lines))


def test_a_handler_of_the_applications_for_sigterm_runs_after_it() -> None:
    """Later lines are kept aside again, and written at exit."""
    done = run(
        "import signal\nsignal.signal(signal.SIGTERM, lambda *_: log.debug('stopping'))"
        + IN_A_REQUEST
        + "os.kill(os.getpid(), signal.SIGTERM)\nlog.debug('late')"
    )

    assert 0 == done.status
    assert [*KEPT, ("debug", "stopping", True), ("debug", "late", True)] == told(done.lines)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_leaves_them_to_its_parent() -> None:
    """The child's own lines are as without the recorder, so that none is lost."""
    done = run(
        IN_A_REQUEST
        + """
sys.stdout.flush()
if os.fork() == 0:
    from pantheon_obs import keep
    keep()
    log.debug("of the child")
    log.info("of the child")
    open_request.started(200)
    open_request.complete()
    open_request.finish()
    sys.exit(0)
os.wait()
"""
    )

    assert [
        ("info", "of the child", False),
        ("info", "request_finished", False),
        *KEPT,
    ] == told(done.lines)


def test_beside_logging_that_is_the_applications_the_rate_holds_for_our_events() -> None:
    """The rate does not apply to the application's own lines."""
    done = run(
        """
        import logging.config
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
        from pantheon_obs.core.settings import Settings
        from pantheon_obs.core.exchange import Exchange
        from pantheon_obs.core import pipeline
        from pantheon_obs.core.context import begin, end
        from pantheon_obs.sinks.logs import beside
        for rate in (0, 1):
            beside.write(Settings(log_format="json", keep_rate=rate))
            exchange = Exchange(f"rate-{rate}")
            begin(exchange)
            exchange.watch("GET", "/", "", frozenset())
            pipeline.started(exchange)
            exchange.started(200)
            exchange.complete()
            exchange.finish()
            end(exchange)
        """
    )

    assert ["rate-1"] == [line["trace_id"] for line in parse_lines(done.stdout)]


APP = "tests.logs.apps.recorded:app"


def test_behind_a_server_each_failed_request_is_whole() -> None:
    """With the lines of threads and streams; the rate keeps a share of the others."""
    env = {"PANTHEON_OBS_DEBUG_ON_ERROR": "1", "PANTHEON_OBS_KEEP_RATE": "0.5"}
    with uvicorn(APP, env=env) as server:
        with loopback.client_of(server, limits=loopback.ONE_EACH) as client:
            for number in range(20):
                for path in ("/well", "/fail", "/stream"):
                    headers = {"X-Trace-ID": f"{path[1:]}-{number}"}
                    try:
                        client.get(path, headers=headers)
                    except httpx.TransportError:
                        assert path == "/stream"
        server.stop()

    by_trace: dict[str, list[dict[str, Any]]] = {}
    for raw in server.out:
        line = parse_line(raw.encode())
        by_trace.setdefault(line.get("trace_id", ""), []).append(line)
    for number in range(20):
        assert [
            ("debug", "begun", True),
            ("debug", "in a thread", True),
            ("info", "paid", True),
            ("error", "request_finished", False),
        ] == told(by_trace[f"fail-{number}"])
        assert "request_finished" == by_trace[f"stream-{number}"][-1]["event"]
        assert 5 == len(by_trace[f"stream-{number}"])
    kept = {trace: lines for trace, lines in by_trace.items() if trace.startswith("well-")}
    assert 0 < len(kept) < 20
    for lines in kept.values():
        assert [("info", "paid", True), ("info", "request_finished", False)] == told(lines)
        assert {0.5} == {line["keep_rate"] for line in lines}
    assert not [line for line in server.err if "Traceback" in line], json.dumps(server.err)


def test_a_request_that_the_server_cancels_as_it_stops_is_whole() -> None:
    """The server handles SIGTERM itself, and the process goes on until its requests have ended."""
    env = {"PANTHEON_OBS_DEBUG_ON_ERROR": "1", "PANTHEON_OBS_KEEP_RATE": "0"}
    with (
        uvicorn(APP, "--timeout-graceful-shutdown", "1", env=env) as server,
        loopback.client_of(server) as client,
        client.stream("GET", "/open", headers={"X-Trace-ID": "open-1"}) as response,
    ):
        parts = response.iter_raw()  # the stream is open as long as this is
        assert b"one" == next(parts)
        server.stop()

    lines = [parse_line(raw.encode()) for raw in server.out]
    assert [
        ("debug", "begun", True),
        ("debug", "in a thread", True),
        ("info", "paid", True),
        ("info", "request_finished", False),
    ] == told([line for line in lines if line.get("trace_id") == "open-1"])
