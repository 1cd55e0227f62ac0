"""The worker of a Django project with the solo pool, from its start to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.django import env_of
from tests.support.lines import parse_line
from tests.support.server import ROOT, SECONDS, Server

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("celery")
pytest.importorskip("django")

SETTINGS = {
    "PANTHEON_OBS": {"service": "project", "log_level": "DEBUG"},
    "LOGGING": {
        "version": 1,
        "disable_existing_loggers": True,
        "loggers": {"amqp": {"level": "WARNING"}, "kombu": {"level": "WARNING"}},
    },
    "CELERY_BROKER_URL": "memory://",
    "CELERY_BROKER_TRANSPORT_OPTIONS": {"polling_interval": 0.01},
    "CELERY_WORKER_POOL": "solo",
    "CELERY_TASK_IGNORE_RESULT": True,
}


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of `--logfile`."""
    return tmp_path_factory.mktemp("celery") / "worker.log"


@pytest.fixture(scope="module")
def lines(log_file: Path) -> list[dict[str, Any]]:
    """Everything that the worker printed."""
    env = {**env_of(SETTINGS), "PYTHONPATH": str(ROOT), "C_FORCE_ROOT": "1"}
    with Server("tests.apps.django_app.worker", str(log_file), env=env) as worker:
        worker.process.wait(SECONDS)
    return [parse_line(line.encode()) for line in worker.out]


def test_the_projects_settings_count(lines: list[dict[str, Any]]) -> None:
    """`PANTHEON_OBS` has set up logging, once: every line has both ids, and none is lost."""
    assert {"project"} == {line["service"] for line in lines}
    assert "greeted" in {line["event"] for line in lines}
    [configured] = [line for line in lines if line["event"] == "observability_configured"]
    assert ("celery", "DEBUG") == (configured["adapter"], configured["log_level"])
    traced = [line for line in lines if "trace_id" in line]
    assert all(line["request_id"] == line["trace_id"] for line in traced)


def test_tasks_have_the_publishers_id_and_one_line(lines: list[dict[str, Any]]) -> None:
    """Message and task share a thread, and each task has one line."""
    ended_tasks = [line for line in lines if line["event"] == "task_finished"]

    assert [
        ("project-1", "greet", "SUCCESS"),
        ("project-1", "fail", "FAILURE"),
    ] == [
        (line["trace_id"], line["task"].rpartition(".")[2], line["state"]) for line in ended_tasks
    ]
    assert [ended_tasks[1]] == [line for line in lines if "exception" in line]


def test_a_log_file_is_celerys_own(lines: list[dict[str, Any]], log_file: Path) -> None:
    """Celery writes it as before, each line once, beside the lines on standard output."""
    written = log_file.read_text().splitlines()

    assert 1 == sum("greet" in line and "received" in line for line in written)
    assert any("received" in line["event"] for line in lines)
