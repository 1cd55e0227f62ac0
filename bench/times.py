"""Measure the cost of a measured call, and whether the parts of a request are right."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from functools import partial
from itertools import count, repeat
from time import perf_counter
from typing import TYPE_CHECKING, Any

import httpx2
import redis
import sqlalchemy
from sqlalchemy import text

from bench.asgi import _receive, _send, bare
from bench.cases import QUICK, Case, Contender, MisbehavedError, Row, Target
from bench.harness import compare, lines_written
from bench.recorder import recorder_rows
from bench.times_django import django_cases, set_up
from pantheon_obs import instrument, llm_call, measure
from pantheon_obs.core.context import begin, end
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.propagation import propagate

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.cases import Effort

REQUESTS = 50
SHARE, LEAST = 0.05, 3.0  # a part is right within 5 % or 3 ms
_SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}
_SELECT = text("SELECT 1")


def rows(effort: Effort) -> list[Row]:
    """Measure blocks, statements and commands beside the bare ones; the accuracy; the recorder."""
    set_up()
    instrument(bare, log_format="json")
    made = [_block(), _statement(), _command(), *django_cases(_in_requests)]
    return [
        *(compare(case, effort) for case in made),
        _accuracy(2 if effort is QUICK else REQUESTS),
        *recorder_rows(effort),
    ]


def _block() -> Case:
    spans: list[tuple[float, float]] = []

    def work() -> None:
        """Do nothing."""

    def by_hand() -> None:
        started = perf_counter()
        work()
        spans.append((started, perf_counter()))
        if len(spans) > 100:  # noqa: PLR2004 - as the library, which keeps no more
            spans.clear()

    contenders = {"bare": work, "hand": by_hand, "ours": measure("part")(work)}
    made: dict[str, Any] = {name: _in_requests(one) for name, one in contenders.items()}
    return Case("measure", **made, target=Target(micros=1))


def _statement() -> Case:
    """Execute on one connection, whose dialect is measured or not: a second one differs by more."""
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)
    dialect: Any = engine.dialect
    made = _in_requests(partial(engine.connect().execute, _SELECT))
    execute = partial(type(dialect).do_execute.__wrapped__, dialect)

    def unmeasured(pieces: int) -> None:
        dialect.do_execute = execute
        made.run(pieces)
        del dialect.do_execute

    hand = Contender(unmeasured)
    return Case("SQLAlchemy statement", bare=hand, hand=hand, ours=made, target=Target(micros=3))


def _command() -> Case:
    class Local(redis.Redis):
        def _execute_command(self, *_: Any, **__: Any) -> bytes:
            return b"1"

    plain, ours = Local(), Local()
    unmeasured: Any = redis.Redis.execute_command
    plain.execute_command = partial(unmeasured.__wrapped__, plain)  # type: ignore[method-assign]
    hand, made = (_in_requests(partial(client.get, "key")) for client in (plain, ours))
    return Case("Redis command", bare=hand, hand=hand, ours=made, target=Target(micros=3))


def _in_requests(work: Callable[[], object]) -> Contender:
    """Do a piece of work, up to fifty times in one request."""

    def run(pieces: int) -> None:
        while pieces > 0:
            exchange = Exchange("bench")
            begin(exchange)
            for _ in repeat(None, min(pieces, 50)):
                work()
            end(exchange)
            pieces -= 50

    return Contender(run)


def _accuracy(requests: int) -> Row:
    """Compare the fields of scripted requests with the script's own clock."""
    script = _Script()
    app = instrument(script.app, log_format="json")
    worst, part, right = 0.0, "", True
    asyncio.run(app(dict(_SCOPE), _receive, _send))  # the first request completes the start-up
    for _ in repeat(None, requests):
        written = lines_written(lambda: asyncio.run(app(dict(_SCOPE), _receive, _send)))
        line = next(one for one in map(json.loads, written) if one["event"] == "request_finished")
        for name, seconds in script.spent.items():
            if name not in line:
                msg = f"no {name} in {line}"
                raise MisbehavedError(msg)
            off = abs(line[name] - seconds * 1000)
            if off > worst:
                worst, part = off, name
            right &= off <= max(LEAST, SHARE * seconds * 1000)
    target = f"≤ {LEAST:g} ms or {SHARE:.0%}"
    work = f"{requests} requests: worst part, ms"
    return Row(work, peer=part, ours=f"{worst:.3f}", target=target, met=right)


class _Script:
    """Requests of database, HTTP, LLM, own and parallel work, of lengths that change."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._numbers = count()
        self._engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)
        sqlalchemy.event.listen(self._engine, "connect", self._add_pause)
        transport = httpx2.MockTransport(self._answer)
        self._client = httpx2.Client(transport=transport)
        propagate(self._client)

    def _add_pause(self, connection: Any, _record: Any) -> None:
        connection.create_function("pause", 1, partial(self._pause, "db_ms"))

    def _pause(self, name: str, seconds: float) -> float:
        started = perf_counter()
        time.sleep(seconds)
        self.spent[name] += perf_counter() - started
        return seconds

    def _answer(self, _request: Any) -> httpx2.Response:
        self._pause("http_ms", 0.01)
        return httpx2.Response(200)

    async def _side_by_side(self, seconds: float) -> None:
        async with measure("parallel"):
            started = perf_counter()
            await asyncio.sleep(seconds)
            self.spent["parallel_ms"] += perf_counter() - started

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Spend known times, and answer."""
        began = perf_counter()
        self.spent.clear()
        unit = 0.002 * (1 + next(self._numbers) % 5)
        with self._engine.connect() as connection:
            connection.execute(text("SELECT pause(:seconds)"), {"seconds": 2 * unit}).all()
        self._client.get("http://stock.internal/")
        llm_call(model="m")(lambda: self._pause("llm_latency_ms", 3 * unit))()
        others = sum(self.spent.values())
        with measure("outer"):
            started = perf_counter()
            self._pause("inner", unit)
            self._client.get("http://stock.internal/")
            self.spent["outer_ms"] = perf_counter() - started
        del self.spent["inner"]
        started = perf_counter()
        await asyncio.gather(*(self._side_by_side(unit) for _ in range(10)))
        others += self.spent["outer_ms"] + perf_counter() - started
        while perf_counter() - started < 2 * unit:
            pass  # the application's own
        self.spent["own_ms"] = perf_counter() - began - others
        await bare(scope, receive, send)
