"""The demo passes, fails if a service is wrong, and leaves no process running."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from examples import demo_django, demo_fastapi
from examples.demo_checks import Call, Exchange, Tour, check
from examples.processes import ROOT
from tests.support.lines import parse_line

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("fastapi")
pytest.importorskip("django")

pytestmark = pytest.mark.usefixtures("unmeasured")

SECONDS_TO_WAIT = 300
WIDTH = 100
LINES = 115  # less than half of the lines that it once printed, and the story of a request


def start_demo(*part: str, **env: str) -> subprocess.Popen[str]:
    """Start the demo, or a part of it, as the leader of a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "examples.demo", *part],
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )


def assert_nothing_left(process: subprocess.Popen[str]) -> None:
    """Fail unless the demo and all processes that it started have ended."""
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_the_demo_passes_and_stops_by_itself() -> None:
    """The demo prints the tables and the verdict, exits with 0, and leaves no process."""
    with start_demo() as process:
        output, _ = process.communicate(timeout=SECONDS_TO_WAIT)

    assert process.returncode == 0, output
    assert "WRONG" not in output
    assert "what happened" in output
    # For a terminal of 100 columns, and short enough to be read.
    assert [] == [line for line in output.splitlines() if len(line) > WIDTH]
    assert len(output.splitlines()) <= LINES
    # A stream that the client left, and one that the provider cut, are told from a whole one.
    assert re.search(r"\b200 client_disconnected, LLM (cancelled|closed)$", output, re.MULTILINE)
    assert "200 ok, LLM error APIConnectionError" in output
    assert "FastAPI under uvicorn" in output
    assert "Django under gunicorn" in output
    story = re.search(
        r"^pantheon-obs story \S+ (/\S+/pantheon-obs-demo-\S+)$", output, re.MULTILINE
    )
    assert story
    shutil.rmtree(story[1])
    assert "✗ InternalServerError" in output
    if "LEFT OUT: Postgres" not in output:
        assert "Postgres is stopped" in output
        assert output.splitlines()[-1].startswith("All checks passed: 53 requests")
    assert_nothing_left(process)


def test_a_sabotaged_service_fails_the_demo() -> None:
    """With wrong log lines the demo names the problem and exits with 1."""
    with start_demo("fastapi", PANTHEON_OBS_LOG_FORMAT="text") as process:
        output, _ = process.communicate(timeout=SECONDS_TO_WAIT)

    assert process.returncode == 1, output
    assert "WRONG: " in output
    assert "not a JSON object" in output
    assert_nothing_left(process)


def test_a_service_that_does_not_start_fails_the_demo() -> None:
    """The demo names the missing condition in a sentence, stops the provider and exits with 1."""
    with start_demo("fastapi", UVICORN_LIFESPAN="nonsense") as process:
        output, _ = process.communicate(timeout=SECONDS_TO_WAIT)

    assert process.returncode == 1
    said = "FAILED: the demo of FastAPI under uvicorn waited for the address of uvicorn, which"
    assert output.splitlines()[-1].startswith(f"{said} stopped: ")
    assert "Invalid value for '--lifespan'" in output.splitlines()[-1]
    assert "Traceback" not in output
    assert_nothing_left(process)


def test_a_demo_that_is_killed_stops_its_servers() -> None:
    """SIGTERM in the middle of the demo leaves no process, not even that of a database."""
    with start_demo("django") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("chat"):
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS_TO_WAIT)

    assert process.returncode == 1
    assert_nothing_left(process)


@pytest.fixture(scope="module")
def run() -> Tour:
    """Run the requests to the FastAPI service once."""
    return demo_fastapi.run()


def test_the_checks_find_nothing_wrong_with_a_good_run(run: Tour) -> None:
    """The run that the changed runs below start from has no problem."""
    assert demo_fastapi.problems_of(run) == []


def test_every_line_of_the_demo_is_valid_by_the_schema(run: Tour) -> None:
    """Each line that the service printed from its start to its end is valid."""
    assert [parse_line(line.encode())["logger"] for line in run.lines]


Event = dict[str, Any]


def without(event: str) -> Callable[[list[Event]], list[Event]]:
    """Make a function that removes one line of this event."""

    def change(lines: list[Event]) -> list[Event]:
        first = next(line for line in lines if line["event"] == event)
        return [line for line in lines if line is not first]

    return change


def twice(event: str) -> Callable[[list[Event]], list[Event]]:
    """Make a function that repeats one line of this event."""

    def change(lines: list[Event]) -> list[Event]:
        return [*lines, next(line for line in lines if line["event"] == event)]

    return change


def changed(event: str, **fields: object) -> Callable[[list[Event]], list[Event]]:
    """Make a function that changes fields of the event's first line that has them."""

    def change(lines: list[Event]) -> list[Event]:
        first = next(
            line
            for line in lines
            if line["event"] == event and (fields.keys() - {"exception"}) <= line.keys()
        )
        return [{**line, **fields} if line is first else line for line in lines]

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(without("observability_configured"), id="no observability_configured"),
        pytest.param(without("request_finished"), id="no request_finished"),
        pytest.param(twice("request_finished"), id="two request_finished"),
        pytest.param(without("llm.generate"), id="no llm line"),
        pytest.param(twice("llm.stream"), id="two llm lines"),
        pytest.param(without("chat_answered"), id="the service's own line lost"),
        pytest.param(changed("llm.generate", input_tokens=5), id="tokens of the llm line"),
        pytest.param(changed("request_finished", llm_output_tokens=7), id="tokens of the request"),
        pytest.param(changed("request_finished", llm_calls=2), id="calls of the request"),
        pytest.param(changed("request_finished", status_code=418), id="status"),
        pytest.param(changed("request_finished", level="debug"), id="level"),
        pytest.param(changed("request_finished", latency_ms=None), id="latency"),
        pytest.param(
            changed("request_finished", trace_id="another"), id="a line with a foreign id"
        ),
        pytest.param(changed("chat_answered", trace_id=None), id="a line without its trace"),
        pytest.param(changed("chat_answered", exception="Traceback"), id="a second traceback"),
        pytest.param(changed("llm.stream", model_alias="other"), id="model"),
        pytest.param(changed("llm.stream", outcome="not_consumed"), id="outcome of the call"),
        pytest.param(changed("chat_answered", timestamp="x" * 129), id="a refused id printed"),
    ],
)
def test_the_checks_find_a_wrong_line(
    run: Tour, change: Callable[[list[Event]], list[Event]]
) -> None:
    """A line that is lost, repeated or changed is a problem."""
    changed_lines = change([json.loads(line) for line in run.lines])

    assert check(run.exchanges, [json.dumps(line) for line in changed_lines]) != []


def test_the_checks_find_a_line_that_is_not_json(run: Tour) -> None:
    """A plain line, a JSON value that is no object and an incomplete line are problems."""
    assert check(run.exchanges, [*run.lines, "plain", "5", '{"event": "e", "level": "info"}']) == [
        "not a JSON object: 'plain'",
        "not a JSON object: '5'",
        'a line without logger, timestamp: {"event": "e", "level": "info"}',
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"status": 201},
        {"trace_ids": []},
        {"trace_ids": ["my-custom-id", "my-custom-id"]},
        {"trace_ids": ["another"]},
        {"usage": (1, 1)},
    ],
)
def test_the_checks_find_a_wrong_response(run: Tour, change: dict[str, Any]) -> None:
    """A status, header or token count that differs is a problem."""
    first, *others = run.exchanges

    assert check([replace(first, **change), *others], run.lines) != []


def test_the_checks_find_a_stream_that_was_buffered(run: Tour) -> None:
    """A stream whose first piece does not arrive alone is a problem."""
    buffered = [
        replace(exchange, text=exchange.text * 2) if exchange.call.disconnects else exchange
        for exchange in run.exchanges
    ]

    assert check(buffered, run.lines) == [
        "stream, the client leaves: the first piece of the stream did not come alone"
    ]


def line_of(event: str, trace_id: str, **fields: object) -> str:
    """Make a line as the Django service prints it."""
    ids = {"trace_id": trace_id, "request_id": trace_id}
    logger = "examples.django_app"
    head = {"timestamp": "now", "level": "info", "event": event, "logger": logger}
    return json.dumps({**head, **ids, **fields})


PROBE = Call("is it ready?", "/ready/", sent_id="probe", status=503, event="failed", is_probe=True)
CONFIGURED = '{"timestamp":"now","level":"info","event":"observability_configured","logger":"own"}'
FINISHED = line_of(
    "request_finished",
    "summary-1",
    method="POST",
    path=demo_django.SUMMARY,
    status_code=202,
    outcome="ok",
    latency_ms=1,
)
DJANGO_TOUR = Tour(
    exchanges=[
        Exchange(PROBE, 503, ["probe"], ["probe"], "", None),
        Exchange(demo_django.IN_A_WORKER, 202, ["summary-1"], ["summary-1"], "", None),
    ],
    lines=[CONFIGURED, line_of("failed", "probe"), FINISHED],
    job_lines=[line_of("conversation_forgotten", "job"), line_of("forgetting_finished", "job")],
    worker_lines=[line_of(event, "summary-1", state="SUCCESS") for event in demo_django.TASK],
)


def test_the_checks_find_nothing_wrong_with_a_good_django_tour() -> None:
    """The tour that the changed tours below start from has no problem."""
    assert demo_django.problems_of(DJANGO_TOUR) == []


@pytest.mark.parametrize(
    ("part", "values"),
    [
        pytest.param("lines", [CONFIGURED, FINISHED], id="no line of the failing check"),
        pytest.param(
            "lines",
            [CONFIGURED, FINISHED, line_of("failed", "probe", request_id="other")],
            id="request_id of a line",
        ),
        pytest.param(
            "lines",
            [*DJANGO_TOUR.lines, line_of("request_finished", "probe")],
            id="request_finished of a probe",
        ),
        pytest.param("job_lines", DJANGO_TOUR.job_lines[:1], id="a line of the job lost"),
        pytest.param("job_lines", [*DJANGO_TOUR.job_lines, "plain"], id="plain line of the job"),
        pytest.param(
            "job_lines",
            [DJANGO_TOUR.job_lines[0], line_of("forgetting_finished", "other")],
            id="ids of the job",
        ),
        pytest.param("worker_lines", DJANGO_TOUR.worker_lines[:2], id="the task's last line lost"),
        pytest.param(
            "worker_lines", [*DJANGO_TOUR.worker_lines, ""], id="plain line of the worker"
        ),
        pytest.param(
            "worker_lines",
            [*DJANGO_TOUR.worker_lines[:2], line_of("task_finished", "other", state="SUCCESS")],
            id="ids of the task",
        ),
        pytest.param(
            "worker_lines",
            [*DJANGO_TOUR.worker_lines[:2], line_of("task_finished", "summary-1", state="FAILURE")],
            id="a task that failed",
        ),
        pytest.param(
            "exchanges",
            [Exchange(PROBE, 503, ["probe"], [], "", None)],
            id="X-Request-ID of a response",
        ),
    ],
)
def test_the_checks_find_a_problem_of_a_django_tour(part: str, values: list[Any]) -> None:
    """The checks that apply only to the Django service find their problems."""
    assert demo_django.problems_of(replace(DJANGO_TOUR, **{part: values})) != []
