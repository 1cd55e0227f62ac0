"""Ready-made checks. Each opens what it needs, asks the smallest question, and closes it again.

They are cut off by the deadline of `Health`; for the thread that may hang behind it, each network
call of a client of ours also has an end of its own.
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.extras import require
from pantheon_obs.health.arguments import SECRET, is_text, refuse
from pantheon_obs.health.health import LONGEST_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis
    from sqlalchemy.engine import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

_PORTS = range(1, 65536)

# For libpq: a server that has vanished is noticed also where nothing closes the connection.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_LIBPQ_GIVES_UP = {
    "connect_timeout": int(LONGEST_TIMEOUT),
    "tcp_user_timeout": int(LONGEST_TIMEOUT * 1000),
    "keepalives_idle": int(LONGEST_TIMEOUT) // 2,
    "keepalives_interval": int(LONGEST_TIMEOUT) // 2,
    "keepalives_count": 1,
}

# What ties a connection of redis-py to its client: events it listens to, announced maintenance.
_TIES = {"event_dispatcher", "maint_notifications_config", "maint_notifications_pool_handler"}


def sqlalchemy_check(engine: Engine | AsyncEngine) -> Callable[[], object]:
    """A `SELECT 1` on a connection of the engine's pool.

    A pooled connection that has died in the meantime is replaced, not reported.

    Args:
        engine: An `Engine` or an `AsyncEngine`.

    Returns:
        The check.

    Raises:
        ConfigError: It is neither.
        MissingExtraError: SQLAlchemy is not installed.
    """
    sqlalchemy = require("sqlalchemy", extra=None, feature="sqlalchemy_check()")
    given: Any = engine
    asynchronous = sys.modules.get("sqlalchemy.ext.asyncio")  # whoever has such an engine loaded it
    if asynchronous is not None and isinstance(given, asynchronous.AsyncEngine):
        return _async_sqlalchemy(given, sqlalchemy)
    if not isinstance(given, sqlalchemy.engine.Engine):
        refuse("engine", given, "an Engine or AsyncEngine of SQLAlchemy")
    return _sync_sqlalchemy(given, sqlalchemy)


def _sync_sqlalchemy(engine: Engine, sqlalchemy: Any) -> Callable[[], object]:  # noqa: ANN401 - the module
    question = sqlalchemy.select(1)

    def select() -> None:
        with engine.connect() as connection:
            connection.scalar(question)

    def check() -> None:
        try:
            select()
        except sqlalchemy.exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            select()  # SQLAlchemy has thrown the dead connections away

    return check


def _async_sqlalchemy(engine: AsyncEngine, sqlalchemy: Any) -> Callable[[], Awaitable[object]]:  # noqa: ANN401 - the module
    question = sqlalchemy.select(1)

    async def select() -> None:
        async with engine.connect() as connection:
            await connection.scalar(question)

    async def check() -> None:
        try:
            await select()
        except sqlalchemy.exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            await select()  # SQLAlchemy has thrown the dead connections away

    return check


def psycopg_check(conninfo: str) -> Callable[[], object]:
    """A `SELECT 1` on a PostgreSQL connection of its own, closed again.

    Args:
        conninfo: What `psycopg.connect` takes: a URL or `key=value` pairs.

    Returns:
        The check.

    Raises:
        ConfigError: It is no such text.
        MissingExtraError: psycopg is not installed.
    """
    psycopg = require("psycopg", extra=None, feature="psycopg_check()")
    accepted = "a URL or key=value pairs, as psycopg does"
    if not is_text(conninfo):
        refuse("conninfo", conninfo, accepted)
    try:
        parameters = psycopg.conninfo.conninfo_to_dict(conninfo, **_LIBPQ_GIVES_UP)
    except psycopg.Error:
        # Neither the value nor what libpq says of it: there may be a password in it.
        refuse("conninfo", SECRET, accepted)

    def check() -> None:
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute("SELECT 1")

    return check


def redis_check(client: Redis | AsyncRedis | str) -> Callable[[], object]:
    """A `PING` on a Redis connection of its own, closed again.

    It has the address and the credentials of the client, but neither its pool nor its retries:
    redis-py tries up to ten times, which takes longer than any probe waits.

    Args:
        client: A client of redis-py, sync or async, or a URL.

    Returns:
        The check.

    Raises:
        ConfigError: It is neither.
        MissingExtraError: redis-py is not installed.
    """
    redis = require("redis", extra=None, feature="redis_check()")
    redis_asyncio = require("redis.asyncio", extra=None, feature="redis_check()")
    accepted = "a Redis client of redis-py, sync or async, or a URL (redis://, rediss://, unix://)"
    given: Any = client
    if isinstance(client, str):
        try:
            given = redis.Redis.from_url(client)
        except ValueError:
            refuse("client", SECRET, accepted)
    if not isinstance(given, redis.Redis | redis_asyncio.Redis):
        refuse("client", given, accepted)
    connect = _redis_connector(given.connection_pool)
    return _async_ping(connect) if isinstance(given, redis_asyncio.Redis) else _ping(connect)


def _redis_connector(pool: Any) -> Callable[[], Any]:  # noqa: ANN401 - a pool of either kind
    """What makes a connection, not connected yet, with the settings of the pool's own."""
    settings = {
        **{name: pool.connection_kwargs[name] for name in pool.connection_kwargs.keys() - _TIES},
        "retry": None,
        "retry_on_error": [],
        "retry_on_timeout": False,
        "socket_connect_timeout": LONGEST_TIMEOUT,
        "socket_timeout": LONGEST_TIMEOUT,
    }
    return lambda: pool.connection_class(**settings)


def _ping(connect: Callable[[], Any]) -> Callable[[], object]:
    def check() -> None:
        connection = connect()
        try:
            connection.connect()
            connection.send_command("PING")
            connection.read_response()
        finally:
            connection.disconnect()

    return check


def _async_ping(connect: Callable[[], Any]) -> Callable[[], Awaitable[object]]:
    async def check() -> None:
        connection = connect()
        try:
            await connection.connect()
            await connection.send_command("PING")
            await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)

    return check


def http_check(url: str) -> Callable[[], object]:
    """A GET that is answered with a status below 400; redirects are followed.

    Args:
        url: Where to; http or https.

    Returns:
        The check.

    Raises:
        ConfigError: It is no such URL.
    """
    from urllib.error import HTTPError  # noqa: PLC0415 - urllib.request takes long to load
    from urllib.request import Request, urlopen  # noqa: PLC0415 - as above

    if not is_text(url) or not url.startswith(("http://", "https://")):
        refuse("url", url, "a URL that starts with http:// or https://")
    request = Request(url, headers={"User-Agent": "pantheon-obs-health"})  # noqa: S310 - looked at above

    def check() -> None:
        try:
            urlopen(request, timeout=LONGEST_TIMEOUT).close()  # noqa: S310 - as above
        except HTTPError as error:
            error.close()
            raise

    return check


def tcp_check(host: str, port: int) -> Callable[[], object]:
    """A TCP connection that is accepted, closed again.

    Args:
        host: A name or an address.
        port: 1 to 65535.

    Returns:
        The check.

    Raises:
        ConfigError: An argument is not accepted.
    """
    if not is_text(host):
        refuse("host", host, "a name or an address")
    if port not in _PORTS:
        refuse("port", port, "a number from 1 to 65535")

    def check() -> None:
        socket.create_connection((host, port), LONGEST_TIMEOUT).close()

    return check
