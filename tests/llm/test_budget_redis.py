"""A budget whose sums are in a real Redis, seen from one process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import suppress
from threading import Thread
from threading import enumerate as threads
from typing import TYPE_CHECKING, Any, Self

import pytest

from pantheon_obs import (
    BudgetExceeded,
    ConfigError,
    bind,
    budget,
    llm_call,
    trace_context,
)
from pantheon_obs.core import guard
from pantheon_obs.llm.cost import redis_script, redis_spending, spending
from pantheon_obs.llm.cost.budget import reset as end_budgets
from pantheon_obs.llm.cost.budget_checks import budgets
from pantheon_obs.testing import fixed_clock
from tests.support.garbage import collect_garbage
from tests.support.server import SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from examples.databases import Redis
    from pantheon_obs.core.events import LlmCallFinished

redis = pytest.importorskip("redis")
aredis = pytest.importorskip("redis.asyncio")

DIME = {"model": "m", "prices": {"m": (0.1, 0.1)}}
ANSWER = {"usage": {"input_tokens": 1_000_000, "output_tokens": 0}}


@llm_call(**DIME)
def spend() -> Any:
    """Answer for ten cents."""
    return ANSWER


@llm_call(**DIME)
async def aspend() -> Any:
    """Answer for ten cents."""
    return ANSWER


@llm_call(**DIME)
def returned() -> Any:
    """Return a coroutine, as the SDKs' clients do."""
    return aspend.__wrapped__()  # type: ignore[attr-defined]


@llm_call(**DIME)
async def astream() -> AsyncIterator[Any]:
    """Stream."""
    yield ANSWER


class Stream:
    """An async stream of an SDK's kind."""

    def __init__(self) -> None:
        self._chunks = [ANSWER]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop()

    async def close(self) -> None:
        """Close it."""


class Manager:
    """An async manager of an SDK's kind, which sends the request when it is entered."""

    async def __aenter__(self) -> Stream:
        return Stream()

    async def __aexit__(self, *_: object) -> None:
        """End it."""


@llm_call(**DIME)
async def object_stream() -> Any:
    """Return a stream object."""
    return Stream()


@llm_call(**DIME)
def managed() -> Any:
    """Return a manager."""
    return Manager()


async def call_block() -> None:
    """Call in a block."""
    async with llm_call(**DIME) as call:
        call.result(ANSWER)


async def read(stream: Any) -> None:
    """Read a stream to its end."""
    async for _ in stream:
        """Read on."""


async def read_object() -> None:
    """Read a stream object."""
    await read(await object_stream())


async def read_managed() -> None:
    """Read a stream within its manager."""
    async with managed() as stream:
        await read(stream)


ASYNC: dict[str, Callable[[], Any]] = {
    "coroutine function": aspend,
    "coroutine": returned,
    "generator": lambda: read(astream()),
    "stream": read_object,
    "manager": read_managed,
    "block": call_block,
}


FORKS = """
import os, sys
from tests.llm.patience import be_patient
from tests.llm.test_budget_redis import budget, redis, spend

be_patient()
daily = budget(1.0, redis=redis.Redis.from_url(sys.argv[1]))
spend()
child = os.fork()
spend()
if child == 0:
    sys.exit(not 0.2 <= daily.spent() <= 0.3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert daily.spent() == 0.3
"""

FORKED_IN_C = """
import ctypes, os, sys, types
from tests.llm.patience import be_patient
from tests.llm.test_budget_redis import budget, redis, spend

be_patient()
number = 0
sys.modules["uwsgi"] = uwsgi = types.ModuleType("uwsgi")
uwsgi.worker_id, uwsgi.mule_id = lambda: number, int
daily = budget(1.0, redis=redis.Redis.from_url(sys.argv[1]))
spend()
assert daily.spent() == 0.1
number = 1
child = ctypes.PyDLL(None).fork()  # without Python's hooks, as uWSGI does
spend()
if child == 0:
    sys.exit(not 0.2 <= daily.spent() <= 0.3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert daily.spent() == 0.3
"""

ENDS = """
import asyncio, sys
from tests.llm.patience import be_patient
from pantheon_obs import configure_logging
from tests.llm.test_budget_redis import budget, redis, spend

be_patient()
configure_logging()
budget(0.1, redis=redis.Redis.from_url(sys.argv[1]))

async def main():
    spend()

asyncio.run(main())
budget(1.0, window="hour", redis=redis.Redis.from_url(sys.argv[1]))  # it has no thread
"""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for Redis as long as it takes."""
    monkeypatch.setattr(spending, "_LONGEST_WAIT", SECONDS)
    monkeypatch.setattr(redis_script, "_TIMEOUT", SECONDS)


@pytest.fixture
def server(redis_server: Redis) -> Iterator[Redis]:
    """Return a server that runs and has no data."""
    redis_server.start()
    client(redis_server).flushall()
    yield redis_server
    redis_server.start()
    redis_server.resume()
    end_budgets()
    while _clients:
        _clients.pop().close()
    # They write what they have been asked for first, which would be the spending of the next test.
    wait_until(lambda: not writers())


@pytest.fixture
def lines(lines: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Capture the log lines of a test in which the library swallows no exception of its own."""
    yield lines
    assert frozenset() == guard.reported()


_clients: list[Any] = []


def client(server: Redis) -> Any:
    """Make a client, which `server` closes."""
    made = redis.Redis.from_url(server.url)
    _clients.append(made)
    return made


def aclient(server: Redis) -> Any:
    """Make a client for asyncio."""
    return aredis.Redis.from_url(server.url)


def spend_elsewhere(server: Redis, dollars: float, per: str = "", key: str = "") -> None:
    """Spend in another process."""
    [tally] = budgets.tallies
    spent = tally.find(key if per else None)
    count = round(dollars * 10**9)
    client(server).register_script(redis_script._SCRIPT)(  # noqa: SLF001 - as that
        keys=[tally._key_of(spent)],  # noqa: SLF001 - the other process has the same name for it
        args=[100_000, "another.1", count, 0],
    )


def names(lines: list[dict[str, Any]]) -> list[str]:
    """Return the names of the events about budgets."""
    return [line["event"] for line in lines if line["event"].startswith("llm_budget")]


def writers() -> list[Thread]:
    """Return the threads that write sums into Redis."""
    return [each for each in threads() if each.name == "pantheon-obs-budget"]


@pytest.mark.usefixtures("patient")
class TestShared:
    """Sums of several processes."""

    def test_spending_elsewhere_counts(self, server: Redis, lines: list[dict[str, Any]]) -> None:
        """It counts before the first call of this process, which is then refused."""
        with budget(1.0, refuse=True, redis=client(server)) as daily:
            spend_elsewhere(server, 0.9)
            assert 0.9 == daily.spent()
            spend()
            assert 1.0 == daily.spent()
            with pytest.raises(BudgetExceeded):
                spend()
        with budget(1.0, refuse=True, redis=client(server)):
            with pytest.raises(BudgetExceeded) as refused:
                spend()
            assert 1.0 == refused.value.spent
        assert ["llm_budget_exceeded"] == names(lines)

    @pytest.mark.parametrize("kind", ASYNC)
    @pytest.mark.parametrize("made", [client, aclient])
    def test_async_calls_are_exact(
        self, server: Redis, events: list[LlmCallFinished], kind: str, made: Any
    ) -> None:
        """A call is written before its caller goes on, and one that is refused sends nothing."""

        async def main() -> None:
            call = ASYNC[kind]
            with budget(0.2, refuse=True, redis=made(server)):
                [tally] = budgets.tallies
                near = tally._script  # noqa: SLF001 - as below

                def far(**options: Any) -> Any:
                    time.sleep(0.02)
                    return near(**options)

                tally._script = far  # noqa: SLF001 - the server is far away
                await call()
                key = tally._key_of(tally.find(None))  # noqa: SLF001 - what others read
                assert b"100000000" == client(server).hget(key, "spent")
                spend_elsewhere(server, 0.1)
                with pytest.raises(BudgetExceeded):
                    await call()

        asyncio.run(main())
        assert ["ok", "error"] == [event.outcome for event in events]
        assert "BudgetExceeded" == events[1].error_type

    @pytest.mark.parametrize("kind", ["coroutine function", "function"])
    def test_the_first_call_waits_for_the_first_answer(
        self, server: Redis, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However long a call waits later: the sums of others count from the first call on."""
        monkeypatch.setattr(spending, "_LONGEST_WAIT", 0.0)
        monkeypatch.setattr(redis_script, "_TIMEOUT", SECONDS)
        monkeypatch.setattr(redis_spending, "_LONG", SECONDS)
        monkeypatch.setattr(redis_spending.SharedTally, "patience", SECONDS)

        async def main() -> None:
            await aspend()

        with budget(1.0, refuse=True, redis=client(server)):
            spend_elsewhere(server, 1.0)
            with pytest.raises(BudgetExceeded):
                spend() if kind == "function" else asyncio.run(main())

    def test_one_process_tells(self, server: Redis, lines: list[dict[str, Any]]) -> None:
        """The one whose call has reached the budget; another one says nothing."""
        told: list[float] = []
        with budget(0.2, redis=client(server), on_exceeded=lambda _, each: told.append(each)):
            spend_elsewhere(server, 0.1)
            spend()
            spend()
        with budget(0.2, redis=client(server)):
            spend()

        assert [0.2] == told
        assert ["llm_budget_exceeded"] == names(lines)

    def test_two_budgets_share_a_sum(self, server: Redis, lines: list[dict[str, Any]]) -> None:
        """The sum is counted once, and each limit is reported."""
        first = budget(0.1, redis=client(server))
        second = budget(0.2, redis=aclient(server))
        spend()
        spend()

        assert 0.2 == first.spent() == second.spent()
        first.undo()
        spend()
        assert 0.3 == second.spent()
        assert 2 == len(names(lines))

    def test_equal_budgets_of_a_sum_are_reached_once(
        self, server: Redis, lines: list[dict[str, Any]]
    ) -> None:
        """There is one WARNING, whenever they were made, and each of them calls back."""
        told: list[int] = []

        def limit(number: int) -> Any:
            return budget(0.1, redis=client(server), on_exceeded=lambda *_: told.append(number))

        budgets = [limit(1), limit(2)]
        spend()
        budgets.append(limit(3))
        spend()
        for each in budgets:
            each.undo()

        assert [1, 2, 3] == told
        assert ["llm_budget_exceeded"] == names(lines)

    def test_a_budget_that_is_undone_closes_its_connection(self, server: Redis) -> None:
        """It does not leave that to the garbage collector, which warns of an open socket."""
        observer = client(server)
        before = len(observer.client_list())
        with budget(0.1, redis=client(server)):
            spend()
            assert before + 1 == len(observer.client_list())

        wait_until(lambda: not writers())
        assert before == len(observer.client_list())

    def test_keys_have_sums_and_so_have_all(self, server: Redis) -> None:
        """Each key of Redis expires."""
        with budget(0.2, per="tenant", window="hour", redis=client(server)) as hourly:
            for tenant in ("acme", "a:b{c}", "\ud800"):
                with trace_context():
                    bind(tenant=tenant)
                    spend()

            assert (0.1, 0.1, 0.1, 0.3) == (
                hourly.spent("acme"),
                hourly.spent("a:b{c}"),
                hourly.spent("\ud800"),
                hourly.spent(),
            )
        keys = client(server).keys()
        assert 4 == len(keys)
        assert all(3600 < client(server).ttl(key) <= 7200 for key in keys)

    def test_a_command_that_is_sent_twice_counts_once(self, server: Redis) -> None:
        """A client sends a command again if the answer was lost."""
        with budget(1.0, redis=client(server)) as daily:
            spend_elsewhere(server, 0.1)
            spend_elsewhere(server, 0.1)
            spend_elsewhere(server, 0.25)

            assert 0.25 == daily.spent()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    @pytest.mark.parametrize("script", [FORKS, FORKED_IN_C], ids=["os.fork", "uWSGI"])
    def test_a_forked_process_is_another_one(self, server: Redis, script: str) -> None:
        """It has its own thread, and its parent's spending is not written twice."""
        subprocess.run([sys.executable, "-c", script, server.url], check=True, timeout=60)

        with budget(1.0, redis=client(server)) as daily:
            assert 0.3 == daily.spent()

    def test_a_process_that_ends_writes_what_it_has_spent(self, server: Redis) -> None:
        """This includes a synchronous call on an event loop, and the WARNING."""
        command = [sys.executable, "-c", ENDS, server.url]
        run = subprocess.run(command, check=True, timeout=60, stdout=subprocess.PIPE)

        assert 1 == run.stdout.count(b'"llm_budget_exceeded"')
        with budget(1.0, redis=client(server)) as daily:
            assert 0.1 == daily.spent()

    def test_no_thread_can_be_started(self, server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        """The failure is reported, the call is made, and the next one tries again."""

        def start(_: Thread) -> None:
            raise RuntimeError

        with budget(1.0, refuse=True, redis=client(server)) as daily:
            with monkeypatch.context() as patch:
                patch.setattr(Thread, "start", start)
                assert ANSWER == spend()
            assert frozenset({"budget"}) == guard.reported()
            spend()

            assert 0.2 == daily.spent()

    def test_undo_ends_the_thread(self, server: Redis) -> None:
        """The last of the budgets that share a sum does; its spending is known still."""
        daily = budget(1.0, redis=client(server))
        spend()
        daily.undo()

        wait_until(lambda: not writers())
        assert 0.1 == daily.spent()

    def test_another_client_is_used_itself(self, server: Redis) -> None:
        """This is the case for a synchronous cluster; an asyncio client could not run here."""

        class Cluster(redis.Redis):  # type: ignore[misc, name-defined]
            """Has no plain pool."""

            connection_pool = None

            def __init__(self) -> None:
                self.register_script = client(server).register_script

        class AsyncCluster:
            """Has no plain pool."""

            def register_script(self, script: str) -> Any:
                """Register nothing."""

            async def execute_command(self) -> None:
                """Run nothing."""

        with budget(1.0, redis=Cluster()) as daily:
            spend()
            assert 0.1 == daily.spent()
        with pytest.raises(ConfigError, match=r"use a client of redis or redis\.asyncio"):
            budget(1.0, redis=AsyncCluster())


class TestLoops:
    """Event loops wait for nothing that may block them."""

    def test_a_synchronous_call_on_a_loop_goes_by_what_is_known(
        self, server: Redis, lines: list[dict[str, Any]]
    ) -> None:
        """The process learns more with each of its calls."""

        async def main() -> None:
            spend_elsewhere(server, 0.1)
            spend()
            assert daily.spent() <= 0.2
            wait_until(lambda: daily.spent() == 0.2)
            with pytest.raises(BudgetExceeded):
                spend()

        with budget(0.2, refuse=True, redis=client(server)) as daily:
            asyncio.run(main())
            wait_until(lambda: names(lines))  # the thread writes the line
        assert ["llm_budget_exceeded"] == names(lines)

    @pytest.mark.usefixtures("patient")
    def test_a_stream_that_is_there_is_not_refused(
        self, server: Redis, events: list[LlmCallFinished]
    ) -> None:
        """A synchronous call has sent its request, and the budget is spent meanwhile."""

        @llm_call(**DIME)
        def stream_now() -> Any:
            return Stream()

        async def main() -> None:
            read_to_the_end, closed = stream_now(), stream_now()
            spend_elsewhere(server, 0.2)
            await read(read_to_the_end)
            await closed.close()

        with budget(0.2, refuse=True, redis=client(server)):
            asyncio.run(main())
        assert ["ok", "not_consumed"] == [event.outcome for event in events]

    def test_trio_waits_for_nothing(self, server: Redis) -> None:
        """Its calls use the last known sums, too."""
        trio = pytest.importorskip("trio")

        async def main() -> None:
            await aspend()
            await aspend()

        with budget(1.0, refuse=True, redis=client(server)) as daily:
            trio.run(main)
            wait_until(lambda: daily.spent() == 0.2)

    def test_a_dropped_stream_waits_for_nothing(self, server: Redis) -> None:
        """Its cost is written by the thread."""

        @llm_call(**DIME)
        def stream() -> Iterator[Any]:
            yield ANSWER
            yield "more"

        with budget(0.1, redis=client(server)) as daily:
            daily.spent()  # the thread runs
            server.pause()
            chunks = stream()
            next(chunks)
            del chunks
            collect_garbage()
            server.resume()

            wait_until(lambda: daily.spent() == 0.1)

    @pytest.mark.usefixtures("patient")
    def test_a_caller_that_is_cancelled_while_it_waits(
        self, server: Redis, events: list[LlmCallFinished]
    ) -> None:
        """The call ends as cancelled, and its coroutine is not left behind."""

        async def main() -> None:
            for call in (aspend, returned):
                task = asyncio.ensure_future(call())
                await asyncio.sleep(0)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

        with budget(1.0, refuse=True, redis=client(server)):
            server.pause()
            asyncio.run(main())
        assert ["cancelled", "cancelled"] == [event.outcome for event in events]

    def test_an_answer_may_come_after_the_loop_has_ended(self, server: Redis) -> None:
        """Nobody waits for it any more."""

        async def main() -> None:
            await aspend()

        with budget(1.0, refuse=True, redis=client(server)) as daily:
            daily.spent()
            server.pause()
            asyncio.run(main())
            server.resume()

            wait_until(lambda: daily.spent() == 0.1)


class TestLost:
    """Redis is gone, or hangs."""

    @pytest.mark.parametrize("gone", ["stop", "pause"])
    def test_the_service_runs_on_by_what_is_known(
        self, server: Redis, lines: list[dict[str, Any]], gone: str
    ) -> None:
        """One WARNING says so; unwritten spending is written when Redis is back."""
        told: list[float] = []
        with (
            budget(
                0.4,
                per="tenant",
                refuse=True,
                redis=client(server),
                on_exceeded=lambda _, spent: told.append(spent),
            ) as daily,
            trace_context(),
        ):
            bind(tenant="acme")
            spend_elsewhere(server, 0.1, "tenant", "acme")
            spend()
            assert 0.2 == daily.spent("acme")
            getattr(server, gone)()
            for _ in range(2):
                spend()
            wait_until(lambda: "llm_budget_store_lost" in names(lines))
            wait_until(lambda: told)
            with pytest.raises(BudgetExceeded):
                spend()
            assert 0.4 == daily.spent("acme")
            server.start()
            server.resume()
            [tally] = budgets.tallies
            # It is written although the thread is never idle.
            wait_until(lambda: daily.spent("acme") and not tally._unwritten)  # noqa: SLF001 - no more to write

            assert (0.3, 0.3) == (
                round(daily.spent("acme") - (0.1 if gone == "pause" else 0), 9),
                daily.spent(),
            )
        assert [0.4] == told
        assert ["llm_budget_exceeded", "llm_budget_store_lost"] == sorted(names(lines))

    def test_nobody_waits_long(self, server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither a thread nor a coroutine waits long, although the client would."""
        monkeypatch.setattr(redis_script, "_TIMEOUT", SECONDS)

        async def main() -> None:
            await aspend()

        for call in (spend, lambda: asyncio.run(main())):
            with budget(1000.0, refuse=True, redis=client(server)):
                spend()
                server.pause()
                started = time.perf_counter()
                for _ in range(1000):  # also not each of them a little
                    call()
                waited = time.perf_counter() - started
                server.resume()
                assert waited < SECONDS / 2

    @pytest.mark.parametrize("kind", ["coroutine function", "function"])
    def test_a_call_waits_in_vain_once(
        self, server: Redis, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It asks before it is sent, and again when it has spent."""
        monkeypatch.setattr(redis_script, "_TIMEOUT", SECONDS)
        monkeypatch.setattr(redis_spending, "_LONG", SECONDS)

        async def main() -> None:
            await aspend()

        with budget(1000.0, refuse=True, redis=client(server)):
            spend()
            server.pause()
            monkeypatch.setattr(spending, "_LONGEST_WAIT", 2.0)
            started = time.perf_counter()
            spend() if kind == "function" else asyncio.run(main())
            waited = time.perf_counter() - started
            server.resume()

        assert 1.9 < waited < 3.5

    def test_what_is_of_no_use_any_more_is_not_written(self, server: Redis) -> None:
        """The keys of a window that is long over have expired."""
        with fixed_clock(1_000_000) as move, budget(1.0, window=60, redis=client(server)) as each:
            each.spent()
            server.stop()
            spend()
            [tally] = budgets.tallies
            wait_until(lambda: tally._unwritten)  # noqa: SLF001 - it is to be written
            retry_at = tally._retry_at  # noqa: SLF001 - it tries now and then
            wait_until(lambda: tally._retry_at > retry_at)  # noqa: SLF001 - as above
            spend()
            move(60 + 3601)
            wait_until(lambda: not tally._unwritten)  # noqa: SLF001 - no longer
