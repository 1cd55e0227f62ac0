"""The page of the metrics under real servers, for each framework and protocol."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from examples.databases import free_port
from tests.adapters.contract import ADAPTERS, Adapter
from tests.support import loopback
from tests.support.django import run as manage
from tests.support.lines import parse_lines
from tests.support.server import Server, environment, gunicorn, read_until, uvicorn, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

ENV = {"PANTHEON_OBS_METRICS_PATH": "/metrics"}
CLOSE = {"connection": "close"}  # so that each worker gets requests
OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}
REQUESTS = "http_server_request_duration_seconds"


@pytest.fixture(scope="module", params=ADAPTERS, ids=lambda adapter: adapter.name)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Serve each sample application with metrics."""
    adapter: Adapter = request.param
    pytest.importorskip(adapter.package or "sys")
    with adapter.serve(env=ENV) as server:
        yield server


def page_of(server: Server, **headers: str) -> httpx.Response:
    """Scrape the page."""
    return loopback.get(f"{server.url}/metrics", headers=headers)


def counts(server: Server) -> dict[tuple[str, str, str], float]:
    """The number of requests by method, route and status."""
    found: dict[tuple[str, str, str], float] = {}
    for family in plain(page_of(server).text):
        for sample in family.samples:
            if sample.name == f"{REQUESTS}_count":
                labels = sample.labels
                names = ("http_request_method", "http_route", "http_response_status_code")
                key = tuple(labels[name] for name in names)
                found[key] = found.get(key, 0) + sample.value  # type: ignore[index,arg-type]
    return found


def test_each_request_is_counted_once_under_its_route(server: Server) -> None:
    """A path that matches nothing has no label of its own; neither has a scrape."""
    before = counts(server)
    expected = {"200": 3, "500": 1, "404": 2}

    for path in ("ok", "ok", "ok", "boom", "nowhere/1", "nowhere/2"):
        loopback.get(f"{server.url}/{path}")

    def added() -> dict[str, float]:
        """The number of requests since then by status."""
        found: dict[str, float] = {}
        for (method, route, status), count in counts(server).items():
            more = count - before.get((method, route, status), 0)
            if more:
                routes.add(route)
                found[status] = found.get(status, 0) + more
        return found

    routes: set[str] = set()
    assert expected == read_until(expected, added)
    assert {"", "/ok", "/boom"} >= routes


def test_a_scanner_finds_no_label_of_its_own(server: Server) -> None:
    """The paths of a route have its template: in Django that of `include`, `re_path` and `path`."""
    with loopback.client_of(server) as client:
        for word in ("abc", "xyz", "é", "{}", "%25", "a b"):
            for path in ("tenants/{}/things/{}", "regex/{}", "nowhere/{}", "{}/ok"):
                client.request("GET" if word != "xyz" else "PROPFIND", path.replace("{}", word))

    methods, routes, _ = zip(*counts(server), strict=True)
    assert {"GET", "_OTHER"} == {*methods}
    known = {"", "/ok", "/boom", "/tenants/<tenant>/things/<thing_id>", "/regex/<key>"}
    assert known >= {route.replace("{", "<").replace("}", ">") for route in routes}


def test_the_page_is_in_the_format_that_the_scraper_accepts(server: Server) -> None:
    """The official parsers read it; it is compressed where the scraper says so."""
    loopback.get(f"{server.url}/ok")
    text = page_of(server)
    modern = page_of(server, **OPENMETRICS)
    with loopback.stream(
        "GET", f"{server.url}/metrics", headers={"accept-encoding": "gzip"}
    ) as compressed:
        raw = b"".join(compressed.iter_raw())

    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert REQUESTS in {family.name for family in openmetrics(modern.text)}
    assert "gzip" == compressed.headers["content-encoding"]
    assert REQUESTS in gzip.decompress(raw).decode()


def test_a_scraper_may_ask_for_some_of_the_metrics(server: Server) -> None:
    """Prometheus sends `params` of its configuration, such as `name[]`, in the query string."""
    loopback.get(f"{server.url}/ok")
    name = f"{REQUESTS}_count"
    page = loopback.get(f"{server.url}/metrics", params={"name[]": name}).text

    assert {name} == {sample.name for family in plain(page) for sample in family.samples}


def test_an_exemplar_leads_to_a_line_and_a_scrape_makes_none(server: Server) -> None:
    """Its trace id is that of a request in the log; scrapes are not at INFO."""
    trace_id = loopback.get(f"{server.url}/ok").headers["x-trace-id"]

    def ids() -> set[str]:
        """The trace ids of the exemplars."""
        return {
            sample.exemplar.labels["trace_id"]
            for family in openmetrics(page_of(server, **OPENMETRICS).text)
            for sample in family.samples
            if sample.exemplar is not None
        }

    wait_until(lambda: trace_id in ids())
    server.wait_for(lambda: any(trace_id in line for line in server.out), "the line")
    lines = [json.loads(line) for line in server.out]
    assert ids() <= {line.get("trace_id") for line in lines}
    assert not [line for line in lines if line.get("path") == "/metrics"]


HOOK = "from pantheon_obs.adapters.gunicorn import child_exit"


@pytest.fixture(params=["hook", "preloaded", "uvicorn"])
def workers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """Serve with two workers, which share a folder that is to be made."""
    folder = tmp_path / "made" / "here"
    env = {**ENV, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    if request.param == "uvicorn":
        with uvicorn("tests.apps.asgi_app:app", "--workers", "2", env=env) as server:
            yield server, folder
        return
    config = tmp_path / "gunicorn.conf.py"
    config.write_text(HOOK)
    options = ["--config", str(config)] if request.param == "hook" else ["--preload"]
    options += ["--workers", "2", "--max-requests", "20"]
    with gunicorn("tests.apps.wsgi_app:app", *options, env=env) as server:
        yield server, folder


def ask(server: Server, times: int) -> None:
    """Send requests from several clients at once."""
    with ThreadPoolExecutor(8) as pool, loopback.client_of(server, headers=CLOSE) as client:
        asked = pool.map(client.get, [f"{server.url}/ok"] * times)
        assert {200} == {response.status_code for response in asked}


def left_by(pids: set[int], folder: Path) -> list[str]:
    """The files of processes."""
    names = [path.name for path in folder.iterdir()]
    return [name for name in names for pid in pids if f"{pid}-" in name or f"{pid}." in name]


def ok_requests(server: Server) -> float:
    """The number of requests that were answered with 200."""
    return sum(count for (_, _, status), count in counts(server).items() if status == "200")


def test_workers_are_added_up_also_after_their_death(
    workers: tuple[Server, Path], request: pytest.FixtureRequest
) -> None:
    """It was killed, or has served enough: its counters stay, its gauges and files do not.

    The newest exemplar of each bucket leads to a line, whichever worker has observed it.
    """
    server, folder = workers
    ask(server, 54)  # with 60 in all, each worker of gunicorn's could have served its 20 and ended
    last = loopback.get(f"{server.url}/ok").headers["x-trace-id"]
    server.wait_for(lambda: any(last in line for line in server.out), "the line")
    exemplars = [
        sample
        for family in openmetrics(page_of(server, **OPENMETRICS).text)
        for sample in family.samples
        if sample.exemplar is not None
    ]
    ids = {json.loads(line).get("trace_id") for line in server.out}
    assert exemplars
    assert {sample.exemplar.labels["trace_id"] for sample in exemplars} <= ids
    assert all(sample.exemplar.value <= float(sample.labels["le"]) for sample in exemplars)
    assert 55 == read_until(55, lambda: ok_requests(server))
    pids = {int(owner.stem.partition("-")[0]) for owner in folder.glob("*.owner")}
    pids.discard(server.process.pid)  # the master has loaded the application, too

    for pid in pids:
        with suppress(ProcessLookupError):  # it has served as many requests as it may
            os.kill(pid, signal.SIGKILL)
    server.wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "their end")
    if request.node.callspec.params["workers"] == "hook":  # its master need not wait for a scrape
        assert [] == read_until([], lambda: left_by(pids, folder))
    ask(server, 10)

    assert 65 == read_until(65, lambda: ok_requests(server))
    assert 65 == ok_requests(server)  # once, not at each scrape
    assert [] == left_by(pids, folder)
    assert (folder / "histogram_dead.db").exists()


@pytest.mark.parametrize(
    ("options", "status", "levels"),
    [
        ({}, 404, ["warning", "warning"]),
        ({"metrics_port": free_port()}, 404, ["warning", "warning"]),
        ({"metrics_path": "/m"}, 200, []),
    ],
)
def test_the_urls_of_a_django_project_answer_while_there_is_a_path(
    options: dict[str, Any], status: int, levels: list[str]
) -> None:
    """They stand beside the probes and make no line at INFO either.

    The page of a port of its own is not for the clients of the application.
    """
    pytest.importorskip("django")
    program = """
import django
django.setup()
from django.test import Client
statuses = [Client().get("/api/v1/health/" + path).status_code for path in ("metrics", "metrics/")]
print(statuses, file=__import__("sys").stderr)
"""

    _, lines, err = manage("-c", program, settings={"PANTHEON_OBS": options})

    assert str([status] * 2) in err
    assert levels == [line["level"] for line in lines if line["event"] == "request_finished"]


def test_the_urls_of_a_django_project_answer_where_an_argument_has_set_the_path() -> None:
    """The application that is instrumented may have it, and not the project's settings."""
    pytest.importorskip("django")
    program = """
import django
django.setup()
from django.core.asgi import get_asgi_application
from django.test import Client
from pantheon_obs import instrument
instrument(get_asgi_application(), metrics_path="/m")
print(Client().get("/api/v1/health/metrics").status_code, file=__import__("sys").stderr)
"""

    _, _, err = manage("-c", program, settings={})

    assert "200" == err.split()[-1]


def run(program: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program without `prometheus_client`."""
    blocked = "import sys; sys.modules['prometheus_client'] = None\n"
    return subprocess.run(
        [sys.executable, "-c", blocked + program],
        env={**environment(), "PATH": os.environ["PATH"], **env},
        capture_output=True,
        check=False,
        timeout=60,
    )


PROGRAM = """
from pantheon_obs import instrument
from wsgiref.util import setup_testing_defaults

def app(environ, start_response):
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode()]

app = instrument(app{options})
environ = {{"PATH_INFO": "/metrics"}}
setup_testing_defaults(environ)
body = app(environ, lambda *_: None)
sys.stderr.write(b"".join(body).decode())
body.close()
"""


def test_an_argument_without_the_extra_is_an_error() -> None:
    """The message names the package to install."""
    done = run(PROGRAM.format(options=", metrics_path='/metrics'"))

    assert b"pip install 'pantheon-obs[prometheus]'" in done.stdout
    assert 1 == done.returncode


def test_a_variable_without_the_extra_is_one_error_line_and_mutes_nothing() -> None:
    """The application answers the path itself, at INFO."""
    done = run(PROGRAM.format(options=", log_format='json'"), **ENV)

    lines: list[dict[str, Any]] = parse_lines(done.stdout)
    assert b"/metrics" == done.stderr
    assert ["metrics_unavailable", "observability_configured", "request_finished"] == [
        line["event"] for line in lines
    ]
    assert "error" == lines[0]["level"]
    assert lines[1]["metrics"].startswith("off: metrics_path needs the package")


def test_a_folder_that_cannot_be_made_is_one_error_line(tmp_path: Path) -> None:
    """The service runs, and each worker shows its own metrics."""
    (tmp_path / "file").touch()
    program = PROGRAM.format(options=", log_format='json'")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}"],
        env={**environment(), **ENV, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "file" / "x")},
        capture_output=True,
        check=True,
        timeout=60,
    )

    [error, *_] = parse_lines(done.stdout)
    assert ("metrics_unavailable", "error") == (error["event"], error["level"])
    assert b"http_server_request_duration_seconds" in done.stderr
