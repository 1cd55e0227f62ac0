"""The recipes of docs/jobs.md, with real queues, workers and processes."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

import pytest
import uv

from pantheon_obs import configure_logging, instrument
from tests.support.lines import parse_lines
from tests.support.server import ROOT, SECONDS, Server, environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from examples.databases import Redis

HERE = Path(__file__).parent
SECONDS_TO_INSTALL = 240
# Variables that would change the path of another interpreter.
NOT_FOR_IT = ("VIRTUAL_ENV", "PYTHON", "COVERAGE_")

Lines = list[dict[str, Any]]


def recipe(directory: Path, *sections: str) -> Path:
    """Write the code of these sections of the docs into a module `recipe`."""
    page = (ROOT / "docs" / "jobs.md").read_text()
    code = ""
    for section in sections:
        text = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
        code += "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    (directory / "recipe.py").write_text(code)
    return directory


def loaded(directory: Path) -> Any:
    """The module `recipe`."""
    spec = importlib.util.spec_from_file_location("recipe", directory / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ids_of(lines: Lines, event: str) -> list[str]:
    """List the ids on the lines of an event, in order."""
    return [line["trace_id"] for line in lines if line["event"] == event]


@pytest.fixture(scope="module")
def redis_url(redis_server: Redis) -> str:
    """The URL of the Redis server."""
    return redis_server.url


# --- RQ


def request(trace_id: str, work: Callable[[], object]) -> None:
    """Run a function within a request."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        work()
        start_response("202 Accepted", [])
        return []

    environ: dict[str, Any] = {"HTTP_X_TRACE_ID": trace_id}
    setup_testing_defaults(environ)
    body: Any = instrument(app)(environ, lambda *_: lambda _: None)
    body.close()


@pytest.fixture(scope="module")
def rq_lines(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """The lines of two workers that share a queue."""
    rq = pytest.importorskip("rq")
    redis = pytest.importorskip("redis")
    directory = recipe(tmp_path_factory.mktemp("rq"), "Processes", "RQ")
    recipe_module = loaded(directory)
    with redis.Redis.from_url(redis_url) as connection:
        queue = rq.Queue(connection=connection)
        for number in (1, 2):
            request(f"request-{number}", lambda n=number: recipe_module.send_report(queue, n))  # type: ignore[misc]
        request(
            "request-3",
            lambda: queue.enqueue(
                "shop.flaky", meta=recipe_module.inject({}), retry=rq.Retry(max=1)
            ),
        )
        request("request-5", lambda: queue.enqueue("shop.killed", meta=recipe_module.inject({})))
        queue.enqueue("shop.plain")
    options = ("--burst", "--worker-class", "recipe.TracedWorker", "--config", "recipe")
    path = os.pathsep.join(map(str, (directory, HERE / "apps", ROOT)))
    arguments = ("rq.cli", "worker", *options, "--url", redis_url)
    env = {"PYTHONPATH": path}
    with Server(*arguments, env=env) as first, Server(*arguments, env=env) as second:
        workers = (first, second)
        for worker in workers:
            worker.process.wait(SECONDS)
    for worker in workers:
        assert (0, []) == (worker.process.returncode, worker.err), worker.output()
    return parse_lines("".join(f"{line}\n" for w in workers for line in w.out).encode())


def test_an_rq_job_has_the_id_of_the_request_that_sent_it(rq_lines: Lines) -> None:
    """Jobs that run at the same time do not mix."""
    for number in (1, 2):
        lines = [line for line in rq_lines if line.get("number") == number]
        assert ["report_begun", "report_made"] == [line["event"] for line in lines]
        assert {f"request-{number}"} == {line["trace_id"] for line in lines}


def test_an_rq_job_that_is_tried_again_keeps_the_id(rq_lines: Lines) -> None:
    """RQ's own lines of the failure have the id, too."""
    assert ["request-3", "request-3"] == ids_of(rq_lines, "tried")
    assert ["request-3"] == [
        line["trace_id"] for line in rq_lines if "LookupError" in line["event"]
    ]


def test_an_rq_job_whose_process_is_killed_has_the_id_on_the_workers_line(rq_lines: Lines) -> None:
    """The process of the job cannot log it."""
    assert {"request-5"} == {
        line.get("trace_id") for line in rq_lines if "signal 9" in line["event"]
    }


def test_an_rq_job_without_an_id_gets_a_fresh_one(rq_lines: Lines) -> None:
    """The job has a fresh id; the worker's own lines have none."""
    [fresh] = ids_of(rq_lines, "plain")
    assert 36 == len(fresh)
    assert {"request-1", "request-2", "request-3", "request-5", fresh, None} == {
        line.get("trace_id") for line in rq_lines
    }


def test_an_rq_job_in_a_spawned_process_has_its_id_and_its_lines(
    redis_url: str, tmp_path: Path
) -> None:
    """Such a process has no logging until the recipe sets it up."""
    rq = pytest.importorskip("rq")
    redis = pytest.importorskip("redis")
    recipe_module = loaded(recipe(tmp_path, "Processes", "RQ"))
    (tmp_path / "spawned.py").write_text(
        "import recipe, rq.worker\n"
        "class Spawned(recipe.TracedWorker, rq.worker.SpawnWorker):\n"
        "    pass\n"
    )
    with redis.Redis.from_url(redis_url) as connection:
        queue = rq.Queue("spawned", connection=connection)
        request("request-4", lambda: queue.enqueue("shop.plain", meta=recipe_module.inject({})))
    options = ("--burst", "--worker-class", "spawned.Spawned", "--config", "recipe")
    path = os.pathsep.join(map(str, (tmp_path, HERE / "apps", ROOT)))
    run = subprocess.run(
        [sys.executable, "-m", "rq.cli", "worker", *options, "--url", redis_url, "spawned"],
        env={**environment(), "PYTHONPATH": path},
        capture_output=True,
        timeout=SECONDS,
        check=True,
    )

    assert b"" == run.stderr
    assert ["request-4"] == ids_of(parse_lines(run.stdout), "plain")


def test_the_time_limit_of_an_rq_job_reaches_it_in_the_middle_of_our_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RQ's signal handler may raise it in the write of a line; the job would run on without it."""
    timeouts = pytest.importorskip("rq.timeouts")

    class Stdout(io.StringIO):
        def write(self, text: str) -> int:
            signal.raise_signal(signal.SIGALRM)
            return super().write(text)

    monkeypatch.setattr(sys, "stdout", Stdout())
    configure_logging(log_format="json")
    limit = timeouts.UnixSignalDeathPenalty(int(SECONDS), timeouts.JobTimeoutException)

    with limit, pytest.raises(timeouts.JobTimeoutException):
        logging.getLogger("shop").warning("said")


# --- other queues


@pytest.fixture(scope="module")
def lines(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """The output of `isolated/queues.py`."""
    directory = recipe(tmp_path_factory.mktemp("queues"), "Processes", "Other queues")
    run = subprocess.run(
        [
            *(uv.find_uv_bin(), "run", "--quiet", "--no-project", "--isolated"),
            *("--python", sys.executable, "--with-editable", ROOT),
            *("--with", "arq", "--with", "dramatiq", "--with", "taskiq"),
            *("python", HERE / "isolated" / "queues.py", directory, redis_url),
        ],
        env={
            **{k: v for k, v in environment().items() if not k.startswith(NOT_FOR_IT)},
            "PYTHONPATH": os.pathsep.join([str(directory), str(HERE / "isolated")]),
        },
        capture_output=True,
        timeout=SECONDS_TO_INSTALL,
        check=False,
    )
    if run.returncode and not run.stdout and b"Traceback" not in run.stderr:
        pytest.skip(f"uv could not install arq, dramatiq and taskiq: {run.stderr.decode()}")
    assert (0, b"") == (run.returncode, run.stderr), run.stdout.decode()
    return parse_lines(run.stdout)


def test_an_arq_job_has_the_id_of_its_sender(lines: Lines) -> None:
    """Jobs that run at the same time do not mix."""
    assert {"arq-1", "arq-2"} == {*ids_of(lines, "arq_begun")}
    for line in lines:
        if line["event"] in ("arq_begun", "arq_made"):
            assert f"arq-{line['number']}" == line["trace_id"]


def test_a_job_that_is_tried_again_keeps_the_id(lines: Lines) -> None:
    """The carrier is one of its arguments."""
    assert ["arq-3", "arq-3"] == ids_of(lines, "arq_tried")
    mails = [line for line in lines if line["event"] == "dramatiq_mail"]
    assert ["dramatiq-1"] * 2 == [line["trace_id"] for line in mails if line["mail"] == "traced"]


def test_a_job_without_an_id_gets_a_fresh_one(lines: Lines) -> None:
    """The job has a fresh id, in each of the three queues."""
    [from_arq] = ids_of(lines, "arq_plain")
    [_, from_taskiq] = ids_of(lines, "taskiq_pack")
    [from_dramatiq, *_] = [line["trace_id"] for line in lines if line.get("mail") == "plain"]
    assert [36] * 3 == [len(fresh) for fresh in (from_arq, from_taskiq, from_dramatiq)]
    assert 3 == len({from_arq, from_taskiq, from_dramatiq})


def test_a_taskiq_job_has_the_id_of_its_sender(lines: Lines) -> None:
    """Its argument still has the type of the signature."""
    first = next(line for line in lines if line["event"] == "taskiq_pack")

    assert ("taskiq-1", 1) == (first["trace_id"], first["number"])


def test_the_queues_line_of_a_failed_job_has_its_id(lines: Lines) -> None:
    """arq logs it from another task, a time limit too, and taskiq from another thread."""
    plain = next(line["trace_id"] for line in lines if line.get("mail") == "plain")

    assert {
        ("dramatiq-1", "dramatiq.worker.WorkerThread", "LookupError"),
        (plain, "dramatiq.worker.WorkerThread", "LookupError"),
        ("taskiq-1", "taskiq.receiver.receiver", "LookupError"),
        ("arq-failed", "arq.worker", "LookupError"),
        ("arq-slow", "arq.worker", "TimeoutError"),
    } == {
        (line.get("trace_id"), line["logger"], line["error_type"])
        for line in lines
        if "exception" in line
    }


# --- processes


def test_work_in_another_process_has_the_id_that_was_sent_along(tmp_path: Path) -> None:
    """It is forked or spawned, in a pool or alone; work that is sent outside a trace has no id."""
    directory = recipe(tmp_path, "Processes")
    run = subprocess.run(
        [sys.executable, HERE / "apps" / "processes.py"],
        env={
            **environment(),
            "PYTHONPATH": str(directory),
            "PYTHONWARNINGS": "ignore",
            "PANTHEON_OBS_LOG_FORMAT": "json",
        },
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )

    assert (0, b"") == (run.returncode, run.stderr)
    said = {line["event"]: line.get("trace_id") for line in parse_lines(run.stdout)}
    for method in ("fork", "spawn"):
        assert [f"request-{method}"] * 2 == [said[f"{method}-{to}"] for to in ("pool", "process")]
        assert 36 == len(said[f"{method}-fresh"] or "")
        assert said[f"{method}-plain"] is None
