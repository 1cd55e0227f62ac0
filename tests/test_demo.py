"""The demo: it passes, it can fail, and it leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from examples import demo
from examples.demo_checks import Exchange, check
from examples.processes import ROOT
from tests.support.lines import parse_line

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("fastapi")

SECONDS_TO_WAIT = 120

Run = tuple[list[Exchange], list[str]]


def start_demo(**env: str) -> subprocess.Popen[str]:
    """Start the demo as the leader of a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )


def assert_nothing_left(process: subprocess.Popen[str]) -> None:
    """The demo and all that it started have ended."""
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_the_demo_passes_and_stops_by_itself() -> None:
    """Status 0, the table and the verdict on the screen, and no process left."""
    with start_demo() as process:
        output, _ = process.communicate(timeout=SECONDS_TO_WAIT)

    assert process.returncode == 0, output
    assert "WRONG" not in output
    assert "latency ms" in output
    assert output.splitlines()[-1].startswith("All as it should be: 34 requests")
    assert_nothing_left(process)


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("PANTHEON_OBS_LOG_FORMAT", "text", "not a JSON object"),
        ("PANTHEON_OBS_RESPONSE_HEADERS", "X-Other", "0 X-Trace-ID headers instead of one"),
        ("PANTHEON_OBS_TRUST_INBOUND", "false", "instead of 'my-custom-id'"),
    ],
)
def test_a_sabotaged_service_fails_the_demo(variable: str, value: str, complaint: str) -> None:
    """A service whose lines or headers are wrong gives status 1 and says what is wrong."""
    with start_demo(**{variable: value}) as process:
        output, _ = process.communicate(timeout=SECONDS_TO_WAIT)

    assert process.returncode == 1, output
    assert "WRONG: " in output
    assert complaint in output
    assert_nothing_left(process)


def test_a_service_that_does_not_start_fails_the_demo() -> None:
    """Status 1 and the service's own words, with the provider stopped."""
    with start_demo(UVICORN_LIFESPAN="nonsense") as process:
        output, _ = process.communicate(timeout=SECONDS_TO_WAIT)

    assert process.returncode == 1
    assert "Invalid value for '--lifespan'" in output
    assert_nothing_left(process)


def test_a_demo_that_is_killed_takes_its_servers_along() -> None:
    """SIGTERM in the middle leaves no process."""
    with start_demo() as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "request_finished" in line:
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS_TO_WAIT)

    assert process.returncode == 1
    assert_nothing_left(process)


@pytest.fixture(scope="module")
def run() -> Run:
    """One run of the demo's requests: the exchanges and the lines."""
    return demo.run()


def test_the_checks_find_nothing_wrong_with_a_good_run(run: Run) -> None:
    """What the doctored runs below start from is without fault."""
    assert check(*run) == []


def test_every_line_of_the_demo_keeps_to_the_schema(run: Run) -> None:
    """What the service printed from start to end is valid, line by line."""
    _, lines = run

    assert [parse_line(line.encode())["logger"] for line in lines]


Event = dict[str, Any]


def without(event: str) -> Callable[[list[Event]], list[Event]]:
    """Take away one line of this event."""

    def doctor(lines: list[Event]) -> list[Event]:
        first = next(line for line in lines if line["event"] == event)
        return [line for line in lines if line is not first]

    return doctor


def twice(event: str) -> Callable[[list[Event]], list[Event]]:
    """Repeat one line of this event."""

    def doctor(lines: list[Event]) -> list[Event]:
        return [*lines, next(line for line in lines if line["event"] == event)]

    return doctor


def changed(event: str, **fields: object) -> Callable[[list[Event]], list[Event]]:
    """Give fields of this event's first line that has them another value."""

    def doctor(lines: list[Event]) -> list[Event]:
        first = next(
            line
            for line in lines
            if line["event"] == event and (fields.keys() - {"exception"}) <= line.keys()
        )
        return [{**line, **fields} if line is first else line for line in lines]

    return doctor


@pytest.mark.parametrize(
    "doctor",
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
        pytest.param(changed("request_finished", trace_id="another"), id="a stranger's line"),
        pytest.param(changed("chat_answered", trace_id=None), id="a line without its trace"),
        pytest.param(changed("chat_answered", exception="Traceback"), id="a second traceback"),
        pytest.param(changed("llm.stream", model_alias="other"), id="model"),
        pytest.param(changed("llm.stream", outcome="not_consumed"), id="outcome of the call"),
        pytest.param(changed("chat_answered", timestamp="x" * 129), id="a refused id printed"),
    ],
)
def test_the_checks_find_a_wrong_line(
    run: Run, doctor: Callable[[list[Event]], list[Event]]
) -> None:
    """A line that is lost, repeated or altered is a problem."""
    exchanges, lines = run
    doctored = doctor([json.loads(line) for line in lines])

    assert check(exchanges, [json.dumps(line) for line in doctored]) != []


def test_the_checks_find_a_line_that_is_not_json(run: Run) -> None:
    """A plain line among the others, a value that is no object and half a line are problems."""
    exchanges, lines = run

    assert check(exchanges, [*lines, "plain", "5", '{"event": "e", "level": "info"}']) == [
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
def test_the_checks_find_a_wrong_response(run: Run, change: dict[str, Any]) -> None:
    """A status, header or token count that differs is a problem."""
    (first, *others), lines = run

    assert check([replace(first, **change), *others], lines) != []


def test_the_checks_find_a_stream_that_was_buffered(run: Run) -> None:
    """A first piece that does not come alone is a problem."""
    exchanges, lines = run
    buffered = [
        replace(exchange, text=exchange.text * 2) if exchange.call.leaves else exchange
        for exchange in exchanges
    ]

    assert check(buffered, lines) == [
        "stream, the client leaves: the first piece of the stream did not come alone"
    ]
