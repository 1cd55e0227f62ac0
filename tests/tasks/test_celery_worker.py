"""A real Celery worker with two processes and beat, on a real Redis, used by another process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from examples.databases import Redis
from tests.sinks.receiver import Receiver
from tests.support import loopback
from tests.support.lines import parse_line
from tests.support.server import ROOT, SECONDS, Server, environment, free_port, read_until
from tests.time.requests import adds_up, times

if TYPE_CHECKING:
    from pathlib import Path

requests = pytest.importorskip("celery.worker.request")
pytest.importorskip("redis")
pytest.importorskip("sentry_sdk")

SHOP = "tests.tasks.apps.shop."


class Observed:
    """The worker's output and Sentry events, and the results that its publisher got."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.err: list[str] = []
        self.results: dict[str, Any] = {}
        self.receiver = Receiver()
        self.metrics = ""

    def of(self, case: str) -> list[dict[str, Any]]:
        """Select the lines of one trace."""
        return [line for line in self.lines if line.get("trace_id") == case]

    def finished(self, case: str) -> list[dict[str, Any]]:
        """Select the lines of `task_finished` of one trace."""
        return [line for line in self.of(case) if line["event"] == "task_finished"]

    def events(self, case: str) -> list[dict[str, Any]]:
        """Select the Sentry events of one trace."""
        return [
            event for event in self.receiver.events if event.get("tags", {}).get("trace_id") == case
        ]


def has_ended(line: str, case: str) -> bool:
    """Whether a line is `task_finished` of this trace."""
    return '"event":"task_finished"' in line and f'"trace_id":"{case}"' in line


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """Run the worker from its start to its end."""
    observed = Observed()
    directory: Path = tmp_path_factory.mktemp("celery")
    with Redis() as redis, observed.receiver as receiver:
        env = {
            "SHOP_REDIS": redis.url,
            "SHOP_SCHEDULE": str(directory / "schedule"),
            "PANTHEON_OBS_SERVICE": "shop-worker",
            "no_proxy": "127.0.0.1",
            "PANTHEON_OBS_METRICS_PORT": str(free_port()),
            "PROMETHEUS_MULTIPROC_DIR": str(directory / "metrics"),
        }
        arguments = ("celery", "--quiet", "--app", "tests.tasks.apps.shop", "worker")
        options = ("--concurrency", "2", "--beat", "--without-mingle", "--without-gossip")
        dsn = {"SENTRY_DSN": receiver.dsn, "PYTHONPATH": str(ROOT), "C_FORCE_ROOT": "1"}
        with Server(*arguments, *options, env={**env, **dsn}) as worker:
            with subprocess.Popen(
                [sys.executable, "-m", "tests.tasks.apps.publish"],
                cwd=ROOT,
                env={**environment(), **env},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as publisher:
                # A process that is killed loses the events that Sentry has not yet sent.
                failing = ["fail", "pipeline"]
                read_until(failing, lambda: [case for case in failing if observed.events(case)])
                results, errors = publisher.communicate(b"kill\n", 2 * SECONDS)
            assert 0 == publisher.returncode, errors.decode() + worker.output()
            observed.results = json.loads(results)
            worker.wait_for(
                lambda: (
                    sum(has_ended(line, "pipeline") for line in worker.out) == 11
                    and sum('"event":"tick"' in line for line in worker.out) > 1
                )
            )
            page = f"http://127.0.0.1:{env['PANTHEON_OBS_METRICS_PORT']}/metrics"
            observed.metrics = loopback.get(page).text
            worker.stop()  # its processes send what Sentry still has before they end
        observed.lines = [parse_line(line.encode()) for line in worker.out]
        observed.err = worker.err
    return observed


def test_every_line_is_json_from_the_first_to_the_last(observed: Observed) -> None:
    """Parent and children write JSON lines, and nothing to standard error."""
    assert "observability_configured" in {line["event"] for line in observed.lines[:2]}
    configured = [line for line in observed.lines if line["event"] == "observability_configured"]
    assert [("celery", "on")] == [(line["adapter"], line["sentry"]) for line in configured]
    assert [] == [line for line in observed.err if line.startswith(("[", "{", "Traceback"))]
    assert {"shop-worker"} == {line["service"] for line in observed.lines}
    assert [] == [line for line in observed.lines if line["event"] == "telemetry_failed"]
    [last_words] = [line for line in observed.lines if "Warm shutdown" in line["event"]]
    assert "celery.apps.worker" == last_words["logger"]  # said by a signal handler


def test_a_task_and_those_that_it_calls_have_the_publishers_id(observed: Observed) -> None:
    """The named fields cross and are redacted; no other field of the publisher crosses."""
    lines = observed.of("order")

    assert {"order_placed", "paid"} < {line["event"] for line in lines}
    for line in lines:
        assert {"note", "tags"}.isdisjoint(line)
        if "received" not in line["event"]:  # said before the task, by the worker
            assert (7, "[redacted]") == (line["user_id"], line["api_key"])
    first, second = observed.finished("order")
    assert (f"{SHOP}order", "SUCCESS", 17) == (first["task"], first["state"], first["order_id"])
    assert (f"{SHOP}pay", "celery", 0) == (second["task"], second["queue"], second["retries"])
    assert "order_id" not in second


def test_chains_groups_chords_and_callbacks_have_it_too(observed: Observed) -> None:
    """All tasks have the id, whichever process publishes them."""
    lines = observed.of("pipeline")

    assert 11 == len(observed.finished("pipeline"))
    assert {"on_success", "on_error"} <= {line["event"] for line in lines}
    assert 11 == sum(line["event"].endswith("received") for line in lines)


def test_a_retry_keeps_the_id_and_says_why(observed: Observed) -> None:
    """Each try has one line; Celery's own line is kept, as it has the reason."""
    tries = observed.finished("flaky")

    assert [("RETRY", 0), ("RETRY", 1), ("SUCCESS", 2)] == [
        (line["state"], line["retries"]) for line in tries
    ]
    assert ["warning", "warning", "info"] == [line["level"] for line in tries]
    assert 1 == len({line["task_id"] for line in tries})
    reasons = [line["event"] for line in observed.of("flaky") if "retry:" in line["event"]]
    assert 2 == len(reasons)
    assert all("ConnectionError" in reason for reason in reasons)
    assert [] == observed.events("flaky")
    assert [] == [line for line in observed.of("flaky") if "exception" in line]


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
    observed: Observed, case: str, kind: str, least: int
) -> None:
    """The worker's main process reports a task whose process cannot."""
    [line] = observed.finished(case)
    assert ("FAILURE", "error", kind) == (line["state"], line["level"], line["error_type"])
    assert least <= line["latency_ms"]
    assert [line] == [line for line in observed.of(case) if "exception" in line]
    assert (7, "[redacted]") == (line["user_id"], line["api_key"])
    events = [event for event in observed.events(case) if "exception" in event]
    assert [[kind]] == [
        [error["type"] for error in event["exception"]["values"]] for event in events
    ]
    assert kind in observed.results["errors"][case]


def test_a_task_whose_process_is_lost_after_its_result_is_stored_has_a_line(
    observed: Observed,
) -> None:
    """Celery 5.7 and later look for the result first; earlier ones call it a failure."""
    [line] = observed.finished("stored")

    looks = hasattr(requests.Request, "_success_was_stored")
    assert ("SUCCESS" if looks else "FAILURE") == line["state"]


def test_a_task_that_comes_again_has_a_line_of_each_try(observed: Observed) -> None:
    """A message that is acknowledged late is brought again after its process was lost."""
    assert ["RETRY", "SUCCESS"] == [line["state"] for line in observed.finished("again")]


@pytest.mark.parametrize("case", ["fail", "crash", "leave", "pipeline"])
def test_sentry_gets_exactly_one_event_of_a_failure(observed: Observed, case: str) -> None:
    """The event is tagged with the id of the lines."""
    assert 1 == len(observed.events(case))


def test_secrets_of_a_failure_are_redacted(observed: Observed) -> None:
    """They are redacted in its line and in the Sentry event."""
    assert "hunter2" not in json.dumps([observed.of("fail"), observed.events("fail")])
    [line] = observed.finished("fail")
    assert "password=[redacted]" == line["attempt"]


def test_a_soft_time_limit_is_left_to_the_task(observed: Observed) -> None:
    """The task may handle `SoftTimeLimitExceeded`; Celery's warning has the id."""
    assert "in time" == observed.results["slow"]
    assert ["SUCCESS"] == [line["state"] for line in observed.finished("slow")]
    assert any("Soft time limit" in line["event"] for line in observed.of("slow"))


@pytest.mark.parametrize(("case", "state"), [("ignore", "IGNORED"), ("reject", "REJECTED")])
def test_an_ignored_or_rejected_message_is_no_failure(
    observed: Observed, case: str, state: str
) -> None:
    """Celery signals a reject as a failure in the main process; it is not reported twice."""
    [line] = observed.finished(case)

    assert (state, "info") == (line["state"], line["level"])
    assert [] == observed.events(case)


def test_a_task_that_the_worker_does_not_know_is_an_error_with_the_id(observed: Observed) -> None:
    """Celery's line has it, and so has the event that Sentry makes of the line."""
    [line] = observed.of("unknown")

    assert line["event"].startswith("Received unregistered task of type 'shop.missing'")
    assert ("error", "KeyError") == (line["level"], line["error_type"])
    assert 1 == len(observed.events("unknown"))


def test_the_worker_reports_a_task_that_is_revoked(observed: Observed) -> None:
    """A task is revoked while it runs, or expires before it starts."""
    [running] = observed.finished("wait")
    [expired] = observed.finished("expired")

    assert ("REVOKED", "info") == (running["state"], running["level"])
    assert running["latency_ms"] > 0
    assert ("REVOKED", "celery") == (expired["state"], expired["queue"])
    assert "latency_ms" not in expired


def test_llm_calls_are_counted_and_none_is_left_open(observed: Observed) -> None:
    """The line has the totals; a call that is open at the end of the task ends with it."""
    [line] = observed.finished("chat")

    assert (2, 0, 3, 4) == (
        line["llm_calls"],
        line["llm_errors"],
        line["llm_input_tokens"],
        line["llm_output_tokens"],
    )
    outcomes = {line["event"]: line["outcome"] for line in observed.of("chat") if "outcome" in line}
    assert {"llm.call": "ok", "llm.stream": "closed"} == outcomes


def test_a_task_tells_where_its_time_went(observed: Observed) -> None:
    """Celery's own traffic with Redis, messages and results, does not count."""
    line, paid = sorted(
        observed.finished("stock"), key=lambda line: str(line["task"]), reverse=True
    )

    assert {"db_calls": 1, "cache_calls": 1, "publish_calls": 1} == times(line)
    assert adds_up(line)
    assert {} == times(paid)


def test_output_of_a_task_is_a_log_line(observed: Observed) -> None:
    """Celery redirects standard output and standard error to a logger; nothing is lost."""
    printed = [line for line in observed.of("speak") if line["logger"] == "celery.redirected"]

    assert ["spoken\nin two", "complained"] == [line["event"] for line in printed]


def test_celerys_lines_show_no_arguments(observed: Observed) -> None:
    """The task's name is shown instead."""
    received = [line for line in observed.of("fail") if line["event"].endswith("received")]

    assert [f"{SHOP}fail"] == [line["task"] for line in received]
    assert all("data" not in line for line in observed.lines)
    assert not any("succeeded in" in line["event"] for line in observed.lines)


def test_the_message_is_the_publishers_own(observed: Observed) -> None:
    """A task sees the publisher's headers and none of the library's; pickle works."""
    assert observed.results["order"] is None
    assert {"tenant": "acme"} == observed.results["own"]
    assert 8 == observed.results["pickle"]


def test_a_hostile_id_is_replaced(observed: Observed) -> None:
    """It is replaced by a fresh one, which task and worker share."""
    fresh = observed.results["hostile"]

    assert fresh not in ("", "hostile", observed.results["untraced"])
    assert "forged" not in json.dumps(observed.lines)
    assert 2 == len(observed.of(fresh)) == len(observed.of(observed.results["untraced"]))


def test_a_task_that_beat_starts_has_a_fresh_id(observed: Observed) -> None:
    """Each message has a fresh id."""
    ids = [line["trace_id"] for line in observed.lines if line["event"] == "tick"]

    assert len(ids) == len(set(ids)) > 1
    for trace_id in ids:
        assert ["SUCCESS"] == [line["state"] for line in observed.finished(trace_id)]


def test_a_port_of_the_worker_shows_the_metrics_of_its_processes(observed: Observed) -> None:
    """There is no web server; each try is counted as its line is."""
    parser = pytest.importorskip("prometheus_client.parser")
    states = Counter(
        (line["task"], line["state"])
        for line in observed.lines
        if line["event"] == "task_finished" and line["task"] == f"{SHOP}pay"
    )
    counted = {
        (sample.labels["task"], sample.labels["state"]): sample.value
        for family in parser.text_string_to_metric_families(observed.metrics)
        for sample in family.samples
        if sample.name == "pantheon_tasks_duration_seconds_count"
    }

    assert states
    assert {key: counted.get(key) for key in states} == dict(states)
