"""redis-py's clients: commands and pipelines, sync and asyncio."""

from __future__ import annotations

import asyncio
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import carry
from pantheon_obs.testing import reset
from tests.time.requests import aask, adds_up, ask, times

redis = pytest.importorskip("redis")
import redis.asyncio as aredis  # noqa: E402 - after the import that may skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from examples.databases import Redis


@pytest.fixture
def client(redis_server: Redis) -> Iterator[Any]:
    """A client, made before the library is set up."""
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


def test_commands_and_pipelines_count_once_each(client: Any) -> None:
    """A pipeline is one call, whatever it holds; WATCH goes out at once."""

    def work() -> None:
        client.set("a", 1)
        assert b"1" == client.get("a")
        with client.pipeline() as pipeline:
            pipeline.watch("a")
            pipeline.multi()
            for _ in range(20):
                pipeline.incr("a")
            pipeline.execute()

    line = ask(work)

    assert {"cache_calls": 4} == times(line)
    assert adds_up(line)


def test_asyncio_clients_count_the_same(redis_server: Redis) -> None:
    """Gathered commands overlap."""

    async def work() -> None:
        async with aredis.from_url(redis_server.url) as client:
            await client.set("a", 1)
            async with client.pipeline() as pipeline:
                await pipeline.watch("a")
                pipeline.multi()
                pipeline.incr("a")
                await pipeline.execute()
            await asyncio.gather(*(client.get("a") for _ in range(20)))

    line = asyncio.run(aask(work))

    assert {"cache_calls": 23} == times(line)
    assert line["own_ms"] <= line["latency_ms"]


def test_errors_and_cancelled_commands_count(client: Any, redis_server: Redis) -> None:
    """The application gets them as they are."""

    def fail() -> None:
        client.set("text", "a")
        with pytest.raises(redis.ResponseError):
            client.incr("text")

    async def cancel() -> None:
        async with aredis.from_url(redis_server.url) as other:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await other.blpop("empty")

    assert {"cache_calls": 2} == times(ask(fail))
    line = asyncio.run(aask(cancel))
    assert {"cache_calls": 1} == times(line)
    assert 50 <= line["cache_ms"]


def test_threads_count_and_code_outside_of_a_request_does_not(
    client: Any, redis_server: Redis
) -> None:
    """The command of a bound method that `carry` runs is the application's."""

    async def work() -> None:
        await asyncio.to_thread(carry(client.get), "a")

    async def outside() -> None:
        async with aredis.from_url(redis_server.url) as other:
            await other.get("a")

    assert {"cache_calls": 1} == times(ask(work))
    client.get("a")
    asyncio.run(outside())


@pytest.mark.parametrize("module", ["kombu.transport.redis", "celery.backends.redis"])
def test_the_transport_of_celery_is_left_out(client: Any, module: str) -> None:
    """Its commands are not the application's; observers may stand between."""
    transport = in_module(module, lambda: client.get("a"))
    assert {} == times(ask(transport))


def test_the_client_of_a_cluster_is_left_out(client: Any) -> None:
    """It asks its nodes with ordinary clients."""
    assert {} == times(ask(in_module("redis.cluster", lambda: client.get("a"))))


def test_other_observers_do_not_hide_who_sends(client: Any) -> None:
    """A wrapper between the client and the transport."""
    between = in_module("sentry_sdk.integrations.redis", lambda: client.get("a"))
    assert {"cache_calls": 1} == times(ask(between))


def test_a_wrapper_that_another_observer_keeps_finds_who_sends(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has wrapped our method: that stays when ours are undone, and is wrapped once more."""
    kind: Any = redis.Redis
    monkeypatch.setattr(kind, "execute_command", kind.execute_command)  # for the end of the test
    assert {"cache_calls": 1} == times(ask(lambda: client.get("a")))
    ours = kind.execute_command

    def observed(*args: Any, **named: Any) -> Any:
        return ours(*args, **named)

    kind.execute_command = in_module("sentry_sdk.integrations.redis", observed)
    reset()

    assert {"cache_calls": 1} == times(ask(lambda: client.get("a")))
    assert {} == times(ask(in_module("kombu.transport.redis", lambda: client.get("a"))))


def in_module(name: str, function: Any) -> Callable[[], Any]:
    """Have a function seem to be of another module."""
    names = {"__name__": name, "__builtins__": __builtins__}
    return FunctionType(function.__code__, names, closure=function.__closure__)
