"""An ASGI and a WSGI service with the ready-made checks on real databases.

Whatever path is asked for, they name their threads. Environment: `POSTGRES_URL`, `REDIS_URL`.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from pantheon_obs import Health, instrument
from pantheon_obs.health import psycopg_check, redis_check, sqlalchemy_check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

POSTGRES = os.environ["POSTGRES_URL"]
REDIS = os.environ["REDIS_URL"]
ENGINE_URL = POSTGRES.replace("postgresql:", "postgresql+psycopg:")


def threads() -> bytes:
    """The names of this process's threads."""
    return json.dumps([thread.name for thread in threading.enumerate()]).encode()


def health(engine: Any, client: Any) -> Health:
    """A short deadline and hardly a cache, so that many probes run many checks."""
    return Health(
        timeout=0.6,
        cache_ttl=0.15,
        engine=sqlalchemy_check(engine),
        psycopg=psycopg_check(POSTGRES),
        redis=redis_check(client),
        redis_url=redis_check(REDIS),
    )


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Name the threads."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": threads()})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Name the threads."""
    start_response("200 OK", [])
    return [threads()]


def make_asgi() -> Any:
    """The ASGI service."""
    engine = create_async_engine(ENGINE_URL)
    return instrument(asgi, health=health(engine, redis.asyncio.Redis.from_url(REDIS)))


def make_wsgi() -> Any:
    """The WSGI service."""
    engine = sqlalchemy.create_engine(ENGINE_URL)
    return instrument(wsgi, health=health(engine, redis.Redis.from_url(REDIS)))
