"""The tasks of a shop, which a worker runs and a publishing program imports."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import redis
import sqlalchemy
from celery import Celery, chain, chord, group, signals
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

from pantheon_obs import bind, current_trace_id, get_logger, llm_call, measure
from pantheon_obs.adapters.celery import instrument_celery

app = Celery("shop", broker=os.environ["SHOP_REDIS"], backend=os.environ["SHOP_REDIS"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    accept_content=["json", "pickle"],
    beat_schedule={"tick": {"task": "tests.tasks.apps.shop.tick", "schedule": 0.5}},
    beat_schedule_filename=os.environ.get("SHOP_SCHEDULE"),
)
instrument_celery(app, bound_fields=("user_id", "api_key"))

log = get_logger("shop")


class Money:
    """A value that JSON cannot carry."""

    def __init__(self, amount: int) -> None:
        self.amount = amount


@app.task
def tick() -> None:
    """Log, when beat starts the task."""
    log.info("tick")


@app.task(bind=True)
def order(self: Any) -> Any:
    """Call another task, and return the headers that this task sees."""
    bind(order_id=17)
    log.info("order_placed")
    pay.delay(5)
    return self.request.headers


@app.task
def pay(amount: int) -> int:
    """Return the trace."""
    log.info("paid", amount=amount)
    return amount


@app.task
def add(*numbers: Any) -> int:
    """Add numbers, or lists of them."""
    return sum(sum(number) if isinstance(number, list) else number for number in numbers)


@app.task(bind=True, max_retries=2, default_retry_delay=0)
def flaky(self: Any) -> int:
    """Succeed at the third try."""
    if self.request.retries < 2:
        raise self.retry(exc=ConnectionError())
    tries: int = self.request.retries
    return tries


@app.task
def fail(text: str = "") -> None:
    """Fail."""
    bind(attempt=text)
    raise LookupError(text)


@app.task
def ignore() -> None:
    """Raise `Ignore`, as the result does not matter."""
    raise Ignore


@app.task(acks_late=True)
def reject() -> None:
    """Reject the message without requeueing it."""
    raise Reject(requeue=False)


@app.task
def on_error(*_: Any) -> None:
    """Run after another task has failed."""
    log.info("on_error")


@app.task
def on_success(result: Any) -> None:
    """Run after another task has succeeded."""
    log.info("on_success", result=result)


@app.task
def pipeline() -> None:
    """Use every kind of canvas."""
    chain(add.s(1, 2), add.s(3)).delay()
    group(add.s(4), add.s(5)).delay()
    chord([add.s(6), add.s(7)], add.s(8)).delay()
    add.apply_async((9,), link=on_success.s())
    fail.apply_async(link_error=on_error.s())


@app.task(time_limit=0.3)
def hang() -> None:
    """Wait longer than the hard time limit."""
    time.sleep(60)


@app.task(soft_time_limit=0.3)
def slow() -> str:
    """End at the soft time limit."""
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded:
        return "in time"
    return "late"


@app.task
def crash() -> None:
    """Kill the own process, as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def stored() -> str:
    """Kill the own process once the result is stored."""
    return "kept"


@signals.task_success.connect
def on_stored(sender: Any, **_: object) -> None:
    """Run after a result is stored, and before the task has ended."""
    if sender.name == stored.name:
        os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def again(self: Any) -> str:
    """Kill the own process at the first try; the broker brings the message again."""
    if not self.request.delivery_info["redelivered"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@app.task
def leave() -> None:
    """Leave the process."""
    sys.exit(3)


@app.task(bind=True)
def wait(self: Any) -> None:
    """Run until it is revoked."""
    self.update_state(state="WAITING")
    time.sleep(60)


@app.task
def chat() -> None:
    """Call a model, and leave another call open."""
    with llm_call(model="fast", operation="call") as call:
        call.usage({"input_tokens": 3, "output_tokens": 4})
    chat.open = llm_call(model="slow", operation="stream")  # type: ignore[attr-defined]
    chat.open.__enter__()  # type: ignore[attr-defined]


@app.task
def stock() -> None:
    """Query a database and Redis, and call another task."""
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
    with redis.Redis.from_url(os.environ["SHOP_REDIS"]) as client:
        client.get("stock")
    with measure("publish"):
        pay.delay(1)


@app.task
def speak() -> None:
    """Print, and warn."""
    print("spoken\nin two")  # noqa: T201 - what the test is about
    sys.stderr.write("complained\n")


@app.task(serializer="pickle")
def double(money: Money) -> int:
    """Take an argument that JSON cannot carry."""
    return 2 * money.amount


@app.task
def trace() -> str:
    """Return the trace."""
    return current_trace_id.get()
