"""The project without a server: requests that query two databases and several caches.

They have URLs of their own, for each is named after the function that it calls.
"""

from __future__ import annotations

import asyncio
import logging
from threading import Thread
from typing import TYPE_CHECKING, Any

import django
from django.core.cache import CacheHandler, cache, caches
from django.db import DatabaseError, connection, connections
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import path

from pantheon_obs import carry, trace_context
from pantheon_obs.testing import reset

if TYPE_CHECKING:
    from collections.abc import Callable

shop = logging.getLogger("shop")
# Made before the library is set up.
_ = caches["default"], connections["default"]
django.setup()

from django.contrib.contenttypes.models import ContentType  # noqa: E402 - after the set-up


def talkative(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Be a middleware that is sync only."""

    def middleware(request: Any) -> Any:
        shop.debug("before the view")
        response = get_response(request)
        shop.debug("after the view")
        return response

    return middleware


def query(using: str = "default", statement: str = "SELECT 1", number: int = 1) -> None:
    """Run a statement with a raw cursor."""
    with connections[using].cursor() as cursor:
        for _ in range(number):
            cursor.execute(statement)


def models() -> None:
    """Use the ORM on two databases."""
    for using in ("default", "other"):
        assert 0 < ContentType.objects.using(using).count()


def repeated() -> None:
    """Ask for one row at a time."""
    for number in range(50):
        ContentType.objects.filter(model="secret", id=number).first()


def wrapped() -> None:
    """Run a statement under a wrapper of the application, and one after it."""
    heard: list[str] = []

    def wrapper(execute: Any, sql: Any, *rest: Any) -> Any:
        heard.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(wrapper):
        query()
    query()
    assert ["SELECT 1"] == heard


def failing() -> None:
    """Run a statement that fails, with the database's own error."""
    try:
        query(statement="SELECT * FROM nowhere")
    except DatabaseError:
        return
    raise AssertionError


def thread() -> None:
    """Connect in another thread."""
    worker = Thread(target=carry(query), args=("other",))
    worker.start()
    worker.join()


def cached() -> None:
    """Use the cache; some of its methods call others."""
    cache.set("a", 1)
    cache.get_or_set("b", 2)
    cache.incr("a")
    assert {"a": 2, "b": 2} == cache.get_many(["a", "b"])
    assert "a" in cache


def redis_cached() -> None:
    """Use a cache that calls Redis."""
    caches["redis"].set("a", 1)
    assert 1 == caches["redis"].get("a")
    caches["redis"].set_many({"b": 2, "c": 3})


async def async_cached() -> None:
    """Use async methods, which call the sync ones in a thread."""
    await caches["redis"].aset("a", 1)
    assert 1 == await cache.aget_or_set("x", 1)
    assert 0 < await ContentType.objects.acount()


def failed() -> None:
    """Fail, with a line."""
    shop.debug("in the view")
    shop.info("paying")
    raise ZeroDivisionError


async def async_failed() -> None:
    """Fail, from async code."""
    failed()


WORK: tuple[Callable[[], Any], ...] = (models, query, repeated, wrapped, failing, thread, cached)
ON_REDIS: tuple[Callable[[], Any], ...] = (redis_cached, async_cached)


def view(work: Callable[[], Any]) -> Callable[[Any], Any]:
    """Make a view of a function of its kind."""

    def answer(_request: Any) -> HttpResponse:
        work()
        return HttpResponse("ok")

    async def async_answer(_request: Any) -> HttpResponse:
        await work()
        return HttpResponse("ok")

    return async_answer if asyncio.iscoroutinefunction(work) else answer


urlpatterns = [path(work.__name__, view(work)) for work in (*WORK, *ON_REDIS, failed, async_failed)]


def main() -> None:
    """Send each request, sync and async; call what stands outside of requests."""
    query()
    from django.core.management import call_command  # noqa: PLC0415 - only here

    for database in ("default", "other"):
        call_command("migrate", database=database, verbosity=0)
    for one in (*WORK, *ON_REDIS):
        assert b"ok" == Client().get(f"/{one.__name__}").content
    for one in (models, *ON_REDIS):
        answer = asyncio.run(AsyncClient().get(f"/{one.__name__}"))  # type: ignore[arg-type]
        assert b"ok" == answer.content
    for one in (failed, async_failed):
        assert 500 == Client(raise_request_exception=False).get(f"/{one.__name__}").status_code
        async_client = AsyncClient(raise_request_exception=False)
        answer = asyncio.run(async_client.get(f"/{one.__name__}"))  # type: ignore[arg-type]
        assert 500 == answer.status_code
    with trace_context("job"):
        query()
    logging.getLogger("program").info("end")
    reset()
    query()
    cache.set("a", 1)
    assert [] == connection.execute_wrappers
    for method in (type(caches["default"]).set, CacheHandler.create_connection):
        assert not hasattr(method, "__wrapped__"), method
