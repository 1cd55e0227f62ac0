"""Ready-made checks: each opens a connection, asks the smallest question, and closes it again.

`Health` stops waiting for a check at its timeout. The thread of a check that hangs ends later, as
each network call has a timeout of its own.
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.errors import SECRET, refuse, refuse_unless_text, require
from pantheon_obs.health.health import LONGEST_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis
    from sqlalchemy.engine import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

# Let libpq notice a server that has vanished without closing the connection.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_LIBPQ_GIVES_UP = {
    "connect_timeout": int(LONGEST_TIMEOUT),
    "tcp_user_timeout": int(LONGEST_TIMEOUT * 1000),
    "keepalives_idle": int(LONGEST_TIMEOUT) // 2,
    "keepalives_interval": int(LONGEST_TIMEOUT) // 2,
    "keepalives_count": 1,
}

# Arguments that bind a connection of redis-py to its client.
_TIES = {"event_dispatcher", "maint_notifications_config", "maint_notifications_pool_handler"}


def sqlalchemy_check(engine: Engine | AsyncEngine) -> Callable[[], object]:
    """Check a database with `SELECT 1`, on an idle connection of the engine's pool.

    A connection that has died in the pool is replaced, and does not fail the check. If no
    connection of the pool is idle, the check opens one beside it: a busy pool is not a dead
    database.

    Args:
        engine: An `Engine` or an `AsyncEngine`.

    Returns:
        The check.

    Raises:
        ConfigError: `engine` is neither.
        MissingExtraError: SQLAlchemy is not installed.
    """
    sqlalchemy = require("sqlalchemy", extra=None, feature="sqlalchemy_check()")
    given: Any = engine
    asynchronous = sys.modules.get("sqlalchemy.ext.asyncio")  # where such an engine comes from
    is_async = asynchronous is not None and isinstance(given, asynchronous.AsyncEngine)
    if not is_async and not isinstance(given, sqlalchemy.engine.Engine):
        refuse("engine", given, "an Engine or AsyncEngine of SQLAlchemy")
    sync_engine = given.sync_engine if is_async else given

    def check(*, again: bool = True) -> None:
        beside = _engine_beside(sqlalchemy, sync_engine)
        try:
            with (beside or sync_engine).connect() as connection:
                connection.scalar(sqlalchemy.select(1))
        except sqlalchemy.exc.DBAPIError as error:
            # SQLAlchemy has emptied the pool of dead connections, so that a new one is made.
            if not (again and error.connection_invalidated):
                raise
            check(again=False)
        finally:
            if beside is not None:
                beside.dispose()

    async def async_check() -> None:
        await sqlalchemy.util.greenlet_spawn(check)  # as an AsyncEngine calls its Engine

    return async_check if is_async else check


def _engine_beside(sqlalchemy: Any, engine: Any) -> Any:
    """Make an engine with another pool of the same kind; None if its own surely lends one."""
    idle = getattr(engine.pool, "checkedin", None)  # only pools that may be full have it,
    lends_one = isinstance(engine.pool, sqlalchemy.pool.AssertionPool)  # and this one has not
    if lends_one or (idle is not None and not idle()):
        return sqlalchemy.engine.Engine(engine.pool.recreate(), engine.dialect, engine.url)
    return None


def psycopg_check(conninfo: str) -> Callable[[], object]:
    """Check a PostgreSQL server with `SELECT 1`, on a new connection.

    Args:
        conninfo: The argument of `psycopg.connect`: a URL or `key=value` pairs.

    Returns:
        The check.

    Raises:
        ConfigError: `conninfo` is no such text.
        MissingExtraError: psycopg is not installed.
    """
    psycopg = require("psycopg", extra=None, feature="psycopg_check()")
    accepted = "a URL or key=value pairs, as psycopg does"
    refuse_unless_text("conninfo", conninfo, accepted)
    try:
        parameters = psycopg.conninfo.conninfo_to_dict(conninfo, **_LIBPQ_GIVES_UP)
    except psycopg.Error:
        # Neither the value nor libpq's message is shown: both may have a password.
        refuse("conninfo", SECRET, accepted)

    def check() -> None:
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute("SELECT 1")

    return check


def redis_check(client: Redis | AsyncRedis | str) -> Callable[[], object]:
    """Check a Redis server with `PING`, on a new connection.

    The connection has the address and the credentials of the client, but neither its pool nor its
    retries: redis-py tries up to ten times, which takes longer than any probe waits.

    Args:
        client: A client of redis-py, sync or async, or a URL.

    Returns:
        The check.

    Raises:
        ConfigError: `client` is neither.
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
    pool = given.connection_pool
    settings = {
        **{name: pool.connection_kwargs[name] for name in pool.connection_kwargs.keys() - _TIES},
        "retry": None,
        "retry_on_error": [],
        "retry_on_timeout": False,
        "socket_connect_timeout": LONGEST_TIMEOUT,
        "socket_timeout": LONGEST_TIMEOUT,
    }

    def check() -> None:
        connection = pool.connection_class(**settings)
        try:
            connection.connect()
            connection.send_command("PING")
            connection.read_response()
        finally:
            connection.disconnect()

    async def async_check() -> None:
        connection = pool.connection_class(**settings)
        try:
            await connection.connect()
            await connection.send_command("PING")
            await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)

    return async_check if isinstance(given, redis_asyncio.Redis) else check


def http_check(url: str) -> Callable[[], object]:
    """Check a URL with GET: it passes with a status below 400. Redirects are followed.

    Args:
        url: The URL; http or https.

    Returns:
        The check.

    Raises:
        ConfigError: `url` is no such URL.

    Example:
        >>> from pantheon_obs import Health, http_check
        >>> health = Health(search=http_check("http://search.internal/ping"))
    """
    from urllib.error import HTTPError  # noqa: PLC0415 - urllib.request takes long to load
    from urllib.request import Request, urlopen  # noqa: PLC0415 - as above

    accepted = "a URL that starts with http:// or https://"
    refuse_unless_text("url", url, accepted)
    if not url.startswith(("http://", "https://")):
        refuse("url", url, accepted)
    request = Request(url, headers={"User-Agent": "pantheon-obs-health"})  # noqa: S310 - looked at above

    def check() -> None:
        try:
            urlopen(request, timeout=LONGEST_TIMEOUT).close()  # noqa: S310 - as above
        except HTTPError as error:
            error.close()
            raise

    return check


def tcp_check(host: str, port: int) -> Callable[[], object]:
    """Check that a TCP connection is accepted.

    Args:
        host: A host name or an address.
        port: 1 to 65535.

    Returns:
        The check.

    Raises:
        ConfigError: An argument is not accepted.

    Example:
        >>> from pantheon_obs import Health, tcp_check
        >>> health = Health(broker=tcp_check("127.0.0.1", 5672))
    """
    refuse_unless_text("host", host, "a name or an address")
    if port not in range(1, 65536):
        refuse("port", port, "a number from 1 to 65535")

    def check() -> None:
        socket.create_connection((host, port), LONGEST_TIMEOUT).close()

    return check
