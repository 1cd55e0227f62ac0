"""Jobs through arq, dramatiq and taskiq: run by uv with these, which do not fit our environment.

Sends some jobs within traces and one outside of a trace, and runs them.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import arq
import dramatiq
import taskiq
from arq.cli import cli
from arq.connections import RedisSettings
from arq.worker import func
from dramatiq.brokers.stub import StubBroker

# The recipe, which the test takes from the docs.
from recipe import inject, traced

from pantheon_obs import configure_logging, get_logger, logging_config, trace_context

REDIS = RedisSettings.from_dsn(sys.argv[2])
LOGGING = logging_config(log_format="json")

log = get_logger("shop")


# --- arq


async def report(ctx: dict[str, Any], number: int) -> None:
    """Wait for another such job, so that both are certain to run at once."""
    log.info("arq_begun", number=number)
    await ctx["together"].wait()
    log.info("arq_made", number=number)


async def flaky(ctx: dict[str, Any]) -> None:
    """Fail at the first try."""
    log.info("arq_tried")
    if ctx["job_try"] == 1:
        raise arq.Retry


async def plain(ctx: dict[str, Any]) -> None:
    """Run a job that was sent outside of a trace."""
    log.info("arq_plain")


async def broken(ctx: dict[str, Any], seconds: float) -> None:
    """Wait, and fail where arq has not ended the job by then."""
    await asyncio.sleep(seconds)
    raise LookupError


async def start(ctx: dict[str, Any]) -> None:
    """Prepare to run two jobs at once."""
    ctx["together"] = asyncio.Barrier(2)


class WorkerSettings:
    """The settings that arq's command line reads."""

    functions = (traced(report), traced(flaky), traced(plain), func(traced(broken), timeout=1))
    on_startup = start
    poll_delay = 0.02
    redis_settings = REDIS


async def send_to_arq() -> None:
    """Send two jobs that run at once, three that fail, and one outside of a trace."""
    redis = await arq.create_pool(REDIS)
    for number in (1, 2):
        with trace_context(f"arq-{number}"):
            await redis.enqueue_job("report", number, carrier=inject({}))
    with trace_context("arq-3"):
        await redis.enqueue_job("flaky", carrier=inject({}))
    for trace_id, seconds in (("arq-failed", 0), ("arq-slow", 60)):
        with trace_context(trace_id):
            await redis.enqueue_job("broken", seconds, carrier=inject({}))
    await redis.enqueue_job("plain")
    await redis.aclose()


# --- dramatiq

stub = StubBroker()
dramatiq.set_broker(stub)
tries: list[str] = []


@dramatiq.actor(min_backoff=1, max_backoff=2)
@traced
def mail(name: str) -> None:
    """Fail at the first try."""
    log.info("dramatiq_mail", mail=name)
    tries.append(name)
    if tries.count(name) == 1:
        raise LookupError


def run_dramatiq() -> None:
    """Send a job in a trace and one outside of a trace."""
    with trace_context("dramatiq-1"):
        mail.send("traced", carrier=inject({}))
    mail.send("plain")
    worker = dramatiq.Worker(stub, worker_timeout=20)
    worker.start()
    stub.join(mail.queue_name)
    worker.stop()


# --- taskiq

broker = taskiq.InMemoryBroker()


@broker.task
@traced
async def pack(number: int) -> int:
    """Log the argument."""
    log.info("taskiq_pack", number=number)
    return number


@broker.task
@traced
def fail() -> None:
    """Fail, on a thread of taskiq's."""
    raise LookupError


async def run_taskiq() -> None:
    """Send two jobs in a trace and one outside; arguments get the types of the signature."""
    await broker.startup()
    with trace_context("taskiq-1"):
        sent = [await pack.kiq("1", carrier=inject({}))]
        failed = await fail.kiq(carrier=inject({}))
    sent.append(await pack.kiq(2))
    assert [1, 2] == [(await task.wait_result()).return_value for task in sent]
    assert (await failed.wait_result()).is_err
    await broker.shutdown()


if __name__ == "__main__":
    configure_logging(log_format="json")
    run_dramatiq()
    asyncio.run(run_taskiq())
    asyncio.run(send_to_arq())
    cli(["--burst", "--custom-log-dict", "queues.LOGGING", "queues.WorkerSettings"])
