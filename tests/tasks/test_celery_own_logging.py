"""A Celery worker whose application sets up logging itself: Celery's own signals do not come."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import configure_logging
from pantheon_obs.testing import reset
from tests.sinks.receiver import Receiver
from tests.support.lines import parse_line
from tests.support.server import ROOT, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

celery = pytest.importorskip("celery")
pytest.importorskip("sentry_sdk")


def test_a_worker_has_sentry_and_our_events_beside_the_lines_of_the_application() -> None:
    """The pool's processes are forked; each event is one line of ours, and none of the others."""
    arguments = ("celery", "--quiet", "--app", "tests.tasks.apps.own_logging", "worker")
    options = ("--concurrency", "1", "--without-mingle", "--without-gossip")
    with Receiver() as receiver:
        env = {"SENTRY_DSN": receiver.dsn, "no_proxy": "127.0.0.1", "C_FORCE_ROOT": "1"}
        env |= {"PYTHONPATH": str(ROOT)}
        with Server(*arguments, *options, env=env) as worker:
            worker.wait_for(lambda: "task_finished" in worker.output())
            receiver.wait_for(1)
            worker.stop()

    lines = [parse_line(line.encode()) for line in worker.out if line.startswith("{")]
    [configured] = [line for line in lines if line["event"] == "observability_configured"]
    assert ("json", "on") == (configured["log_format"], configured["sentry"])
    [finished] = [line for line in lines if line["event"] == "task_finished"]
    assert ("FAILURE", "LookupError") == (finished["state"], finished["error_type"])
    [event] = receiver.events
    assert finished["trace_id"] == event["tags"]["trace_id"]
    own = [line for line in worker.err if line.startswith("PROJECT")]
    assert any("ready" in line for line in own)
    assert [] == [line for line in own if "task_finished" in line]


@pytest.fixture
def started() -> Iterator[Any]:
    """Start beat's set-up in this process, in place of Celery."""
    from celery import signals  # noqa: PLC0415 - an extra

    from pantheon_obs.adapters import celery_tracing  # noqa: PLC0415 - an extra
    from pantheon_obs.adapters.celery import instrument_celery  # noqa: PLC0415 - an extra

    app = instrument_celery(celery.Celery("shop", set_as_current=False))

    def start() -> None:
        celery_tracing.process.tracing = celery_tracing.tracing_of(app)
        signals.beat_init.send(sender=None)

    yield start
    reset()


def test_beat_writes_our_events_until_the_library_configures_all_of_logging(
    started: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """A second signal changes nothing; the application's own handlers and level stay."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    for name in ("pantheon_obs", "some.other"):  # as `dictConfig` disables what it does not name
        logging.getLogger(name).disabled = True
    started()
    started()
    beside = (list(root.handlers), root.level)
    configure_logging(log_format="json")
    logging.getLogger("pantheon_obs.task").info("again")

    assert before == beside
    assert logging.getLogger("some.other").disabled
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert ["observability_configured", "again"] == [line["event"] for line in lines]


def test_logging_that_the_library_has_configured_before_stays(started: Any) -> None:
    """A project whose settings configure it has the receiver so that Celery changes nothing."""
    configure_logging(log_format="text")
    handlers = list(logging.getLogger().handlers)
    started()

    assert handlers == logging.getLogger().handlers
    assert [] == logging.getLogger("pantheon_obs").handlers
