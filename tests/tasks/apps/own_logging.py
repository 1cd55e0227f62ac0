"""A worker whose application sets up logging itself, as Celery's documentation advises."""

from __future__ import annotations

import logging
import sys

from celery import Celery
from celery.signals import setup_logging, worker_ready

from pantheon_obs.adapters.celery import instrument_celery

app = instrument_celery(Celery("shop", broker="memory://own"))


@setup_logging.connect  # type: ignore[untyped-decorator]
def as_the_project_has_it(**_: object) -> None:
    """Print all records on standard error."""
    logging.basicConfig(format="PROJECT %(message)s", level="INFO", stream=sys.stderr)


@app.task  # type: ignore[untyped-decorator]
def refund() -> None:
    """Fail."""
    raise LookupError


@worker_ready.connect  # type: ignore[untyped-decorator]
def publish(**_: object) -> None:
    """Run the task, on the broker that this process has in its memory."""
    refund.delay()
