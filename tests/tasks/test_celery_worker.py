"""A real Celery worker with two processes and beat, on a real Redis, used by another process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from examples.databases import Redis
from tests.sinks.receiver import Receiver
from tests.support.lines import parse_line
from tests.support.server import ROOT, SECONDS, Server, environment

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("celery")
pytest.importorskip("redis")
pytest.importorskip("sentry_sdk")

SHOP = "tests.tasks.apps.shop."


class Told:
    """What the worker printed and sent to Sentry, and what its publisher got."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.err: list[str] = []
        self.results: dict[str, Any] = {}
        self.receiver = Receiver()

    def of(self, case: str) -> list[dict[str, Any]]:
        """The lines of one trace."""
        return [line for line in self.lines if line.get("trace_id") == case]

    def finished(self, case: str) -> list[dict[str, Any]]:
        """How the tasks of one trace ended."""
        return [line for line in self.of(case) if line["event"] == "task_finished"]

    def events(self, case: str) -> list[dict[str, Any]]:
        """What Sentry got of one trace."""
        return [
            event for event in self.receiver.events if event.get("tags", {}).get("trace_id") == case
        ]


def has_ended(line: str, case: str) -> bool:
    """Whether a line says that a task of this trace has ended."""
    return '"event":"task_finished"' in line and f'"trace_id":"{case}"' in line


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Everything, from the worker's start to its end."""
    told = Told()
    directory: Path = tmp_path_factory.mktemp("celery")
    with Redis() as redis, told.receiver as receiver:
        env = {
            "SHOP_REDIS": redis.url,
            "SHOP_SCHEDULE": str(directory / "schedule"),
            "PANTHEON_OBS_SERVICE": "shop-worker",
            "no_proxy": "127.0.0.1",
        }
        arguments = ("celery", "--quiet", "--app", "tests.tasks.apps.shop", "worker")
        options = ("--concurrency", "2", "--beat", "--without-mingle", "--without-gossip")
        dsn = {"SENTRY_DSN": receiver.dsn, "PYTHONPATH": str(ROOT), "C_FORCE_ROOT": "1"}
        with Server(*arguments, *options, env={**env, **dsn}) as worker:
            publisher = subprocess.run(
                [sys.executable, "-m", "tests.tasks.apps.publish"],
                cwd=ROOT,
                env={**environment(), **env},
                capture_output=True,
                timeout=2 * SECONDS,
                check=False,
            )
            assert 0 == publisher.returncode, publisher.stderr.decode() + worker.output()
            told.results = json.loads(publisher.stdout)
            worker.wait_for(
                lambda: (
                    sum(has_ended(line, "pipeline") for line in worker.out) == 11
                    and sum('"event":"tick"' in line for line in worker.out) > 1
                )
            )
            worker.stop()  # its processes send what Sentry still has before they end
        told.lines = [parse_line(line.encode()) for line in worker.out]
        told.err = worker.err
    return told


def test_every_line_is_json_from_the_first_to_the_last(told: Told) -> None:
    """Parent and children; standard error has none of the lines that Celery would have written."""
    assert "observability_configured" in {line["event"] for line in told.lines[:2]}
    configured = [line for line in told.lines if line["event"] == "observability_configured"]
    assert [("celery", "on")] == [(line["adapter"], line["sentry"]) for line in configured]
    assert [] == [line for line in told.err if line.startswith(("[", "{", "Traceback"))]
    assert {"shop-worker"} == {line["service"] for line in told.lines}
    assert [] == [line for line in told.lines if line["event"] == "telemetry_failed"]
    [last_words] = [line for line in told.lines if "Warm shutdown" in line["event"]]
    assert "celery.apps.worker" == last_words["logger"]  # said by a signal handler


def test_a_task_and_those_that_it_calls_have_the_publishers_id(told: Told) -> None:
    """With the fields that are named, redacted as always, and nothing else of the publisher's."""
    lines = told.of("order")

    assert {"order_placed", "paid"} < {line["event"] for line in lines}
    for line in lines:
        assert {"note", "tags"}.isdisjoint(line)
        if "received" not in line["event"]:  # said before the task, by the worker
            assert (7, "[redacted]") == (line["user_id"], line["api_key"])
    first, second = told.finished("order")
    assert (f"{SHOP}order", "SUCCESS", 17) == (first["task"], first["state"], first["order_id"])
    assert (f"{SHOP}pay", "celery", 0) == (second["task"], second["queue"], second["retries"])
    assert "order_id" not in second


def test_chains_groups_chords_and_callbacks_have_it_too(told: Told) -> None:
    """Whoever publishes them, and wherever."""
    lines = told.of("pipeline")

    assert 11 == len(told.finished("pipeline"))
    assert {"on_success", "on_error"} <= {line["event"] for line in lines}
    assert 11 == sum(line["event"].endswith("received") for line in lines)


def test_a_retry_keeps_the_id_and_says_why(told: Told) -> None:
    """One line per try; Celery's own line about it stays, as it has the reason."""
    tries = told.finished("flaky")

    assert [("RETRY", 0), ("RETRY", 1), ("SUCCESS", 2)] == [
        (line["state"], line["retries"]) for line in tries
    ]
    assert ["warning", "warning", "info"] == [line["level"] for line in tries]
    assert 1 == len({line["task_id"] for line in tries})
    reasons = [line["event"] for line in told.of("flaky") if "retry:" in line["event"]]
    assert 2 == len(reasons)
    assert all("ConnectionError" in reason for reason in reasons)
    assert [] == told.events("flaky")
    assert [] == [line for line in told.of("flaky") if "exception" in line]


@pytest.mark.parametrize(
    ("case", "kind", "least"),
    [
        ("fail", "LookupError", 0),
        ("crash", "WorkerLostError", 0),
        ("leave", "WorkerLostError", 0),
        ("hang", "TimeLimitExceeded", 300),
    ],
)
def test_a_failure_is_one_line_with_a_traceback_and_one_event(
    told: Told, case: str, kind: str, least: int
) -> None:
    """Also where the task could not tell of its end: the worker's own process does."""
    [line] = told.finished(case)
    assert ("FAILURE", "error", kind) == (line["state"], line["level"], line["error_type"])
    assert least <= line["latency_ms"]
    assert [line] == [line for line in told.of(case) if "exception" in line]
    assert (7, "[redacted]") == (line["user_id"], line["api_key"])
    events = [event for event in told.events(case) if "exception" in event]
    assert [[kind]] == [
        [error["type"] for error in event["exception"]["values"]] for event in events
    ]
    assert kind in told.results["errors"][case]


@pytest.mark.parametrize("case", ["fail", "crash", "leave", "pipeline"])
def test_sentry_gets_exactly_one_event_of_a_failure(told: Told, case: str) -> None:
    """Tagged with the id that the lines carry."""
    assert 1 == len(told.events(case))


def test_secrets_of_a_failure_are_redacted(told: Told) -> None:
    """In its line, and in what Sentry gets."""
    assert "hunter2" not in json.dumps([told.of("fail"), told.events("fail")])
    [line] = told.finished("fail")
    assert "password=[redacted]" == line["attempt"]


def test_a_time_limit_that_warns_leaves_the_task_its_way(told: Told) -> None:
    """`SoftTimeLimitExceeded` is the task's own; Celery's warning has the id."""
    assert "in time" == told.results["slow"]
    assert ["SUCCESS"] == [line["state"] for line in told.finished("slow")]
    assert any("Soft time limit" in line["event"] for line in told.of("slow"))


@pytest.mark.parametrize(("case", "state"), [("ignore", "IGNORED"), ("reject", "REJECTED")])
def test_what_a_task_says_of_its_own_message_is_no_failure(
    told: Told, case: str, state: str
) -> None:
    """Celery tells the worker's process that a reject is a failure; it has been told already."""
    [line] = told.finished(case)

    assert (state, "info") == (line["state"], line["level"])
    assert [] == told.events(case)


def test_a_task_that_is_revoked_is_told_by_the_worker(told: Told) -> None:
    """While it ran, and before it could."""
    [running] = told.finished("wait")
    [expired] = told.finished("expired")

    assert ("REVOKED", "info") == (running["state"], running["level"])
    assert running["latency_ms"] > 0
    assert ("REVOKED", "celery") == (expired["state"], expired["queue"])
    assert "latency_ms" not in expired


def test_llm_calls_are_counted_and_none_is_left_open(told: Told) -> None:
    """The line has the totals; a call that the task has left open ends with it."""
    [line] = told.finished("chat")

    assert (2, 0, 3, 4) == (
        line["llm_calls"],
        line["llm_errors"],
        line["llm_input_tokens"],
        line["llm_output_tokens"],
    )
    outcomes = {line["event"]: line["outcome"] for line in told.of("chat") if "outcome" in line}
    assert {"llm.call": "ok", "llm.stream": "closed"} == outcomes


def test_what_a_task_prints_is_a_line(told: Told) -> None:
    """Celery redirects standard output and standard error to a logger; nothing is lost."""
    printed = [line for line in told.of("speak") if line["logger"] == "celery.redirected"]

    assert ["spoken\nin two", "complained"] == [line["event"] for line in printed]


def test_celerys_lines_show_no_arguments(told: Told) -> None:
    """Which task it is, is shown instead."""
    received = [line for line in told.of("fail") if line["event"].endswith("received")]

    assert [f"{SHOP}fail"] == [line["task"] for line in received]
    assert all("data" not in line for line in told.lines)
    assert not any("succeeded in" in line["event"] for line in told.lines)


def test_the_message_is_the_publishers_own(told: Told) -> None:
    """A task sees the headers that were given, and none of ours; pickle goes through."""
    assert told.results["order"] is None
    assert {"tenant": "acme"} == told.results["own"]
    assert 8 == told.results["pickle"]


def test_a_hostile_id_is_replaced(told: Told) -> None:
    """As an inbound header's is; task and worker agree about the new one."""
    fresh = told.results["hostile"]

    assert fresh not in ("", "hostile", told.results["untraced"])
    assert "forged" not in json.dumps(told.lines)
    assert 2 == len(told.of(fresh)) == len(told.of(told.results["untraced"]))


def test_what_beat_starts_has_an_id_of_its_own(told: Told) -> None:
    """A fresh one each time."""
    ids = [line["trace_id"] for line in told.lines if line["event"] == "tick"]

    assert len(ids) == len(set(ids)) > 1
    for trace_id in ids:
        assert ["SUCCESS"] == [line["state"] for line in told.finished(trace_id)]
