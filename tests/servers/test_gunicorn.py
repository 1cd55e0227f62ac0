"""gunicorn with our logger class: reloads, workers that fail or hang, files, levels, the queue."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers.matrix import ask, check_output, client_of
from tests.support.server import Server, gunicorn

if TYPE_CHECKING:
    from pathlib import Path

APP = "tests.servers.apps.hanging:app"
OPTIONS = ("--no-control-socket", "--graceful-timeout", "1")
CLASS = ("--logger-class", "pantheon_obs.adapters.gunicorn.JSONLogger", *OPTIONS)


def events_of(server: Server) -> list[str]:
    """List the events of a stopped server, which has printed nothing but lines."""
    return [line["event"] for line in check_output(server)]


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_a_reload_keeps_the_lines(tmp_path: Path, preload: tuple[str, ...]) -> None:
    """HUP sets up gunicorn's loggers anew: no line is raw or repeated, the settings hold."""
    config = tmp_path / "gunicorn.conf.py"
    config.write_text('logger_class = "pantheon_obs.adapters.gunicorn.JSONLogger"\n')
    with (
        gunicorn(APP, "--config", str(config), *preload, *OPTIONS) as server,
        client_of(server) as client,
    ):
        first = client.get("/").text
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda: "Worker exiting" in server.output(), "the old worker's end")
        assert first != client.get("/").text
        server.stop()

    lines = check_output(server)
    events = [line["event"] for line in lines]
    assert 1 == events.count("Handling signal: hup") == events.count("Hang up: Master")
    assert 2 == sum(event.startswith("Booting worker with pid") for event in events)
    assert ["hanging"] * 2 == [line["service"] for line in lines if "outcome" in line]
    assert "Shutting down: Master" == events[-1]


def test_a_worker_that_fails_to_boot_is_reported_in_lines() -> None:
    """Its traceback is on one line; gunicorn also prints a text past its logger class."""
    with gunicorn("tests.servers.apps.broken:app", *CLASS, ready=False) as server:
        server.wait_for(lambda: "Shutting down: Master" in server.output(), "the end")
        assert 3 == server.process.wait(30)
        server.stop()

    raw = [line for line in server.err if line]
    assert ["no database"] == raw
    server.err.clear()
    lines = check_output(server)
    reported = [line for line in lines if "exception" in line]
    assert [("Exception in worker process", "RuntimeError")] == [
        (line["event"], line["error_type"]) for line in reported
    ]
    assert "Reason: Worker failed to boot." == lines[-1]["event"]


def test_a_worker_that_hangs_is_reported_in_lines() -> None:
    """The master aborts it; its lines say that it ended and where; the next one serves."""
    with gunicorn(APP, "--timeout", "1", *CLASS) as server, client_of(server) as client:
        client.get("/hang", headers={"X-Trace-ID": "hung"})  # gunicorn answers by itself
        assert 200 == ask(server, "/")[1]
        server.stop()

    lines = check_output(server)
    assert 1 == sum(line["event"].startswith("WORKER TIMEOUT") for line in lines)
    ended, where = (line for line in lines if line.get("trace_id") == "hung")
    assert ("request_finished", "cancelled") == (ended["event"], ended["outcome"])
    assert "SystemExit" == where["error_type"]
    assert "time.sleep(60)" in where["exception"]


def test_logs_in_files_stay(tmp_path: Path) -> None:
    """An error log and an access log in files continue, and lines are printed too."""
    access, errors = tmp_path / "access", tmp_path / "errors"
    files = ("--access-logfile", str(access), "--error-logfile", str(errors))
    with gunicorn(APP, *files, *CLASS) as server:
        ask(server, "/kept")
        server.stop()

    assert "GET /kept" in access.read_text()
    assert "Shutting down: Master" in errors.read_text()
    events = events_of(server)
    assert [1, 1] == [events.count("request_finished"), events.count("Shutting down: Master")]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("LOG_LEVEL", "WARNING", []),
        ("LOG_DELIVERY", "queue", ["Starting gunicorn", "Worker exiting", "Shutting down"]),
    ],
)
def test_the_master_obeys_the_environment(name: str, value: str, expected: list[Any]) -> None:
    """Levels hold before an application is loaded; each process writes its queue at its end."""
    with gunicorn(APP, *CLASS, env={f"PANTHEON_OBS_{name}": value}) as server:
        ask(server, "/")
        server.stop()

    events = events_of(server)
    found = [
        start
        for start in ("Starting gunicorn", "Worker exiting", "Shutting down")
        if any(event.startswith(start) for event in events)
    ]
    assert expected == found
    assert bool(expected) == ("request_finished" in events)
