"""A Celery app with a task that is tried twice, and fails both times."""

from __future__ import annotations

import json
import os
from typing import Any

from celery import Celery

from pantheon_obs.adapters.celery import instrument_celery
from tests.apps import failures

app = instrument_celery(Celery("shop", broker=os.environ["BROKER_URL"]))


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def divide(task: Any, password: str) -> None:
    """Fail with secrets in sight, the arguments among them."""
    try:
        failures.divide(json.dumps({"password": password}).encode(), password)
    except ZeroDivisionError as error:
        raise task.retry(exc=error) from error
