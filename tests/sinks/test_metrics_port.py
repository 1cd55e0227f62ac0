"""The metrics on a port of their own, for processes without a web server and public services."""

from __future__ import annotations

import socket
import sys
from contextlib import closing
from threading import Lock
from typing import TYPE_CHECKING, Any

import httpx
import prometheus_client
import pytest

from pantheon_obs import MissingExtraError, Settings, _setup, instrument
from pantheon_obs.adapters.wsgi import TraceIdMiddleware
from pantheon_obs.sinks.logs import configure
from pantheon_obs.sinks.metrics import port as on_port
from pantheon_obs.testing import capture_events
from tests.support import loopback, uwsgi
from tests.support.server import free_port, gunicorn, read_until, run_python

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = "http_server_request_duration_seconds_count"


def application(environ: Any, start_response: Any) -> list[bytes]:
    """Answer nothing."""
    start_response("200 OK", [])
    return []


def ok_requests(port: int) -> list[float]:
    """The number of requests that were answered with 200, by series."""
    page = loopback.get(f"http://127.0.0.1:{port}/metrics").text
    return [
        float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line.startswith(REQUESTS) and '"200"' in line
    ]


def test_one_port_shows_all_workers_and_the_application_s_own_has_no_page(tmp_path: Path) -> None:
    """Each worker listens, and any of them answers for all."""
    port = free_port()
    env = {"PANTHEON_OBS_METRICS_PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with gunicorn("tests.apps.wsgi_app:app", "--workers", "3", env=env) as server:
        for _ in range(20):
            loopback.get(f"{server.url}/ok")
        read_until([20.0], lambda: ok_requests(port))
        counts = [ok_requests(port) for _ in range(5)]
        own = loopback.get(f"{server.url}/metrics")

    assert 404 == own.status_code
    assert [[20.0]] * 5 == counts
    assert [] == [line for line in server.err if "Traceback" in line or '"GET /metrics' in line]


@pytest.fixture
def port() -> int:
    """A port on which an application of this process shows its metrics."""
    number = free_port()
    registry = prometheus_client.CollectorRegistry()
    for _ in range(2):  # the second does nothing
        instrument(application, metrics_port=number, metrics_registry=registry, log_format="json")
    return number


def test_workers_of_uwsgi_listen_and_not_the_process_that_forks_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The forking process answers no requests, and its page would show none."""
    number = free_port()
    be_worker = uwsgi.load(monkeypatch)
    registry = prometheus_client.CollectorRegistry()
    instrument(application, metrics_port=number, metrics_registry=registry, log_format="json")
    with pytest.raises(httpx.ConnectError):
        ok_requests(number)

    be_worker()
    traced = TraceIdMiddleware(application)
    for _ in range(2):
        list(traced({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None))
    assert [2.0] == ok_requests(number)


def test_it_listens_on_all_interfaces_and_in_the_format_that_is_accepted(port: int) -> None:
    """IPv6 interfaces are included where the machine has them."""
    openmetrics = {"accept": "application/openmetrics-text"}
    hosts = ["127.0.0.1", "[::1]"][: 1 + socket.has_dualstack_ipv6()]

    answers = [
        loopback.get(f"http://{host}:{port}/metrics/", headers=openmetrics) for host in hosts
    ]

    elsewhere = loopback.get(f"http://127.0.0.1:{port}/")

    assert {200} == {answer.status_code for answer in answers}
    assert (404, "The metrics are at /metrics.\n") == (elsewhere.status_code, elsewhere.text)
    assert answers[0].headers["content-type"].startswith("application/openmetrics-text")
    assert "gzip" == answers[0].headers["content-encoding"]


def test_a_machine_without_ipv6_has_the_port_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A container may have none."""
    monkeypatch.setattr(socket, "AF_INET6", -1)
    number = free_port()

    instrument(application, metrics_port=number, metrics_registry=None, log_format="json")

    assert 200 == loopback.get(f"http://127.0.0.1:{number}/metrics").status_code


def test_a_port_that_another_program_has_is_one_error_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The service runs without it."""
    with closing(socket.socket()) as other, capture_events() as events:
        other.bind(("", 0))
        other.listen()
        number = other.getsockname()[1]
        instrument(application, metrics_port=number, log_format="json")

    [error] = [event for event in events if event["event"] == "metrics_unavailable"]
    assert "error" == error["level"]
    assert error["problem"].startswith(f"metrics_port={number}: ")


def test_a_page_that_fails_is_reported_and_does_not_end_the_port(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the workers may have been removed, for example."""

    def broken(_: str) -> None:
        raise ZeroDivisionError

    with capture_events() as events, monkeypatch.context() as patch:
        patch.setattr(on_port, "page_app", broken)
        failed = loopback.get(f"http://127.0.0.1:{port}/metrics")

    assert (500, "The metrics cannot be read; the log says why.\n") == (
        failed.status_code,
        failed.text,
    )
    assert ["metrics_port"] == [e["site"] for e in events if e["event"] == "telemetry_failed"]
    assert 200 == loopback.get(f"http://127.0.0.1:{port}/metrics").status_code


def test_a_scraper_that_leaves_is_no_line(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    """The base class would write a traceback to stderr."""
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # close with a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.sendall(b"GET /met")

    assert 200 == loopback.get(f"http://127.0.0.1:{port}/metrics").status_code
    assert "" == capfd.readouterr().err


def test_a_child_process_closes_the_port_that_it_inherits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread of it would answer, and some scrapes would wait for ever."""
    server = on_port._Server(socket.AF_INET, 0)  # noqa: SLF001 - the state of a child
    monkeypatch.setattr(on_port, "_ports", {1: server, 2: None})
    monkeypatch.setattr(on_port, "_answering", Lock())
    on_port._answering.acquire()  # noqa: SLF001 - as the parent does before it forks

    on_port._leave()  # noqa: SLF001 - what a fork calls in the child

    assert -1 == server.socket.fileno()
    assert not on_port._answering.locked()  # noqa: SLF001 - as above


FORKING = """
import os, signal, sys, urllib.request
from pantheon_obs import instrument
from pantheon_obs.sinks.metrics import port
from pantheon_obs.testing import reset

def app(environ, start_response):
    return []

number = int(sys.argv[1])
instrument(app, metrics_port=number, log_format="json")
reset()  # a second start must not prepare for forks twice
instrument(app, metrics_port=number, log_format="json")
server = port._ports[number]
child = os.fork()
if not child:
    signal.alarm(20)
    reset()
    os._exit(100 + server.socket.fileno())
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
page = urllib.request.urlopen(f"http://127.0.0.1:{number}/metrics")
print(status, page.status, file=sys.stderr)
"""


def test_a_fork_leaves_the_port_to_the_parent() -> None:
    """Celery's pool and gunicorn's --preload fork. A child that resets waits for no thread."""
    done = run_python(FORKING, str(free_port()), PYTHONWARNINGS="ignore")

    assert "99 200\n" == done.stderr


def test_a_command_does_not_open_the_port_before_it_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`manage.py migrate` imports the application, too."""
    monkeypatch.setattr(configure, "in_command", lambda: True)
    settings = Settings(metrics_port=free_port())

    on_startup = _setup.start(settings, lambda: settings)
    with pytest.raises(httpx.ConnectError):
        loopback.get(f"http://127.0.0.1:{settings.metrics_port}/metrics")
    on_startup()

    assert 200 == loopback.get(f"http://127.0.0.1:{settings.metrics_port}/metrics").status_code


def test_the_port_as_an_argument_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the argument."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with pytest.raises(MissingExtraError, match="metrics_port needs the package"):
        instrument(application, metrics_port=9000)
