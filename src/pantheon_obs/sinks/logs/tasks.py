"""Celery's own records about a task: dropped where `task_finished` says more."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.failures import is_logged
from pantheon_obs.core.task import running

if TYPE_CHECKING:
    from collections.abc import Mapping

_TELLER = "pantheon_obs.task"  # the logger of our line, which may be off
_NO_FAILURE = ("ignored", "rejected")


def repeats_failure(record: logging.LogRecord) -> bool:
    """Whether the worker repeats an error that a line of ours has."""
    if type(record.exc_info) is not tuple:
        return False
    error = record.exc_info[1]
    return is_logged(getattr(error, "exc", error))  # billiard puts it into one of its own


def is_success_or_failure(record: logging.LogRecord) -> bool:
    """Whether a task's tracer says of its end what our line says or will say.

    The host may have changed Celery's texts, so what stands in them decides.
    """
    task = record.args
    if not isinstance(task, dict) or task.get("id") not in running:
        return False
    is_success = "return_value" in task
    is_failure = "traceback" in task and task.get("description") not in _NO_FAILURE
    level = logging.ERROR if is_failure else logging.INFO
    return (is_success or is_failure) and logging.getLogger(_TELLER).isEnabledFor(level)


def without_arguments(record: logging.LogRecord, fields: dict[str, Any]) -> None:
    """Show which task a record is about, and not what it was called with.

    Args:
        record: A record with `data`, what Celery gives to those who handle its records.
        fields: What is to be shown of it.
    """
    task: Mapping[str, Any] | None = fields["data"]
    if str(record.name).startswith("celery.") and isinstance(task, dict):
        del fields["data"]
        fields["task"], fields["task_id"] = task.get("name"), task.get("id")
