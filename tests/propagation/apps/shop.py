"""Jobs of an RQ worker, which finds them by their names."""

from __future__ import annotations

import os
import signal

from rq import get_current_job

from pantheon_obs import get_logger
from tests.support.server import SECONDS

log = get_logger("shop")


def report(number: int) -> None:
    """Wait for another such job, so that both are certain to run at once."""
    job = get_current_job()
    assert job is not None
    log.info("report_begun", number=number)
    if job.connection.incr("here") == 2:
        job.connection.rpush("together", "go", "go")
    assert job.connection.blpop(["together"], timeout=int(SECONDS))
    log.info("report_made", number=number)


def flaky() -> None:
    """Fail at the first try."""
    job = get_current_job()
    assert job is not None
    log.info("tried")
    if job.retries_left:
        raise LookupError


def plain() -> None:
    """Run a job without a trace."""
    log.info("plain")


def killed() -> None:
    """End the process of the job, as the kernel does for lack of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
