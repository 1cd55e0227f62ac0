"""A Django project in one file, and its worker in the same process: `python -m` runs both."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

import django
from celery import Celery
from django.conf import settings

from pantheon_obs import trace_context
from pantheon_obs.adapters.celery import instrument_celery

settings.configure(
    SECRET_KEY="only for tests",  # noqa: S106 - nobody's
    INSTALLED_APPS=["pantheon_obs.adapters.django"],
    PANTHEON_OBS={"service": "project", "log_level": "DEBUG"},
    LOGGING={
        "version": 1,
        "disable_existing_loggers": True,
        "loggers": {"amqp": {"level": "WARNING"}, "kombu": {"level": "WARNING"}},
    },
    CELERY_BROKER_URL="memory://",
    CELERY_BROKER_TRANSPORT_OPTIONS={"polling_interval": 0.01},
    CELERY_WORKER_POOL="solo",
    CELERY_TASK_IGNORE_RESULT=True,
)
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
    log_file = Path(sys.argv[1])
    app.worker_main(["--quiet", "worker", "--without-mingle", "--logfile", str(log_file)])
