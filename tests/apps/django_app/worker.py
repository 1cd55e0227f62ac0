"""The project's tasks, and its worker in the same process: `python -m` runs both."""

from __future__ import annotations

import logging
import os
import signal
import sys

import django
from celery import Celery

from pantheon_obs import trace_context
from pantheon_obs.adapters.celery import instrument_celery

# As a project's celery.py does, which is imported before Django is set up.
app = Celery("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
instrument_celery(app)
django.setup()

log = logging.getLogger("project")


@app.task
def greet() -> None:
    """Log as Django projects do."""
    log.debug("greeted")
    fail.delay()


@app.task
def fail() -> None:
    """Fail, after the worker has been asked to end."""
    os.kill(os.getpid(), signal.SIGTERM)
    raise LookupError


if __name__ == "__main__":
    with trace_context("project-1"):
        greet.delay()
    app.worker_main(["--quiet", "worker", "--without-mingle", "--logfile", sys.argv[1]])
