"""The ready-made checks: their questions, their connections, and arguments that are refused."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import redis
import redis.asyncio
import sqlalchemy
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from sqlalchemy.ext.asyncio import create_async_engine

from pantheon_obs import ConfigError, Health
from pantheon_obs.health import (
    http_check,
    psycopg_check,
    redis_check,
    sqlalchemy_check,
    tcp_check,
)
from tests.support.server import free_port, run_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from examples.databases import Postgres, Redis


class Answering(BaseHTTPRequestHandler):
    """Answers with the status in the path; 302 redirects to a 200."""

    def do_GET(self) -> None:
        """Answer."""
        status = int(self.path[1:])
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def http_url() -> Iterator[str]:
    """An HTTP server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [200, 204, 302])
def test_http_below_400_passes(http_url: str, status: int) -> None:
    """Redirects are followed."""
    http_check(f"{http_url}/{status}")()


@pytest.mark.parametrize("status", [404, 503])
def test_http_from_400_on_fails(http_url: str, status: int) -> None:
    """The connection is closed."""
    with pytest.raises(OSError, match=f"HTTP Error {status}"):
        http_check(f"{http_url}/{status}")()


def test_tcp_passes_where_something_listens(http_url: str) -> None:
    """It fails where nothing listens."""
    port = int(http_url.rpartition(":")[2])

    tcp_check("127.0.0.1", port)()

    with pytest.raises(ConnectionRefusedError):
        tcp_check("127.0.0.1", free_port())()


def test_an_engine_s_dead_connections_are_replaced(postgres: Postgres) -> None:
    """The server may restart between two probes; dead connections do not fail the check."""
    engine = sqlalchemy.create_engine(engine_url(postgres))
    check = sqlalchemy_check(engine)
    engine.connect().close()
    check()
    kill_connections(postgres)

    check()

    engine.dispose()


def test_an_async_engine_s_dead_connections_are_replaced(postgres: Postgres) -> None:
    """An async engine behaves in the same way."""

    async def main() -> None:
        engine = create_async_engine(engine_url(postgres))
        health = Health(timeout=10, cache_ttl=0, engine=sqlalchemy_check(engine))
        async with engine.connect():
            """It is idle in the pool afterwards."""
        assert "pass" == (await health.areport()).status
        kill_connections(postgres)

        assert "pass" == (await health.areport()).status

        await engine.dispose()

    asyncio.run(main())


def test_a_busy_pool_is_not_a_dead_database(postgres: Postgres) -> None:
    """The requests hold all connections of the pool; the check opens one and closes it."""
    engine = sqlalchemy.create_engine(engine_url(postgres), pool_size=1, max_overflow=0)
    with engine.connect():
        sqlalchemy_check(engine)()

        assert 1 == clients(postgres)
    sqlalchemy_check(engine)()
    engine.dispose()


def test_a_busy_async_pool_is_not_a_dead_database(postgres: Postgres) -> None:
    """An async engine behaves in the same way."""

    async def main() -> None:
        engine = create_async_engine(engine_url(postgres), pool_size=1, max_overflow=0)
        async with engine.connect():
            health = Health(timeout=10, engine=sqlalchemy_check(engine))
            assert "pass" == (await health.areport()).status

            assert 1 == clients(postgres)
        await engine.dispose()

    asyncio.run(main())


@pytest.mark.parametrize("pool", ["QueuePool", "AssertionPool", "NullPool", "StaticPool"])
@pytest.mark.parametrize("options", [{}, {"isolation_level": "AUTOCOMMIT"}])
def test_the_pools_of_every_kind_of_engine_may_be_busy(
    tmp_path: Path, pool: str, options: dict[str, Any]
) -> None:
    """Some lend a single connection; an engine with options is of another class."""
    url = f"sqlite:///{tmp_path}/shop.db"
    made = sqlalchemy.create_engine(url, poolclass=getattr(sqlalchemy.pool, pool))
    engine = made.execution_options(**options)
    sqlalchemy_check(engine)()
    with made.connect():
        sqlalchemy_check(engine)()
    made.dispose()


def clients(postgres: Postgres) -> int:
    """Count the connections of clients besides the one that asks, once closed ones have gone."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        while True:
            [(number,)] = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            if number < 2:
                return int(number)


@pytest.mark.parametrize("make", [sqlalchemy.create_engine, create_async_engine])
def test_an_engine_s_other_errors_are_the_check_s(make: Callable[..., Any]) -> None:
    """An error on a live connection fails the check without a second try."""
    url = "sqlite+aiosqlite://" if make is create_async_engine else "sqlite://"
    engine = make(url, poolclass=sqlalchemy.pool.NullPool)

    def refuse(*arguments: Any) -> None:
        statement = "SELECT 1"
        raise sqlalchemy.exc.OperationalError(statement, {}, OSError())

    sqlalchemy.event.listen(getattr(engine, "sync_engine", engine), "before_cursor_execute", refuse)

    [result] = Health(timeout=10, engine=sqlalchemy_check(engine)).report().results

    assert "OperationalError" == result.error_type


def test_psycopg_leaves_no_connection(postgres: Postgres) -> None:
    """The check opens a connection and closes it."""
    psycopg_check(postgres.url)()
    psycopg_check(f"host=127.0.0.1 port={postgres.url[-14:-9]} user=postgres")()

    wait_for_connections(postgres, 0)


def test_redis_does_not_retry() -> None:
    """The client's own retries would take longer than any probe waits."""
    tried = []

    class Counting(Retry):
        def call_with_retry(self, *arguments: Any, **options: Any) -> Any:
            tried.append(1)
            return super().call_with_retry(*arguments, **options)

    client = redis.Redis(port=free_port(), retry=Counting(ConstantBackoff(60), 10))

    with pytest.raises(redis.ConnectionError):
        redis_check(client)()
    assert not tried


def test_redis_has_the_client_s_settings_and_its_own_connection(redis_server: Redis) -> None:
    """User, password and database are the client's; its pool is not used, nothing stays open."""
    with redis.Redis.from_url(redis_server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "probe", "on", ">hunter2", "+@all")
        before = len(admin.client_list())
        wrong = redis.Redis.from_url(redis_server.url, username="probe", password="no")  # noqa: S106 - as below
        client = redis.Redis.from_url(
            redis_server.url,
            username="probe",
            password="hunter2",  # noqa: S106 - of a test
            max_connections=1,
        )
        with client.client() as holding:
            holding.ping()
            redis_check(client)()
        with pytest.raises(redis.AuthenticationError):
            redis_check(wrong)()
        client.close()
        wrong.close()
        while len(admin.client_list()) > before:
            pass


def test_async_redis_is_asked_on_any_loop(redis_server: Redis) -> None:
    """Each run has a connection of its own, so the client's loop does not matter."""
    client = redis.asyncio.Redis.from_url(redis_server.url)
    health = Health(timeout=10, cache_ttl=0, redis=redis_check(client))

    for _ in range(2):
        assert "pass" == asyncio.run(health.areport()).status
    assert "pass" == health.report().status


def test_a_redis_url_is_enough(redis_server: Redis) -> None:
    """A URL stands for a client."""
    redis_check(redis_server.url)()


@pytest.mark.parametrize(
    ("check", "arguments", "message"),
    [
        (http_check, ("ftp://host",), "url='ftp://host' is not accepted: use a URL that starts"),
        (http_check, (None,), "url=None is not accepted"),
        (tcp_check, ("", 80), "host='' is not accepted: use a name or an address"),
        (tcp_check, ("db", 0), "port=0 is not accepted: use a number from 1 to 65535"),
        (tcp_check, ("db", "80"), "port='80' is not accepted"),
        (psycopg_check, ("mysql://me:hunter2@db",), "conninfo=*** is not accepted: use a URL"),
        (psycopg_check, (5,), "conninfo=5 is not accepted: use a URL"),
        (redis_check, ("http://me:hunter2@db",), "client=*** is not accepted: use a Redis client"),
        (redis_check, (5,), "client=5 is not accepted: use a Redis client"),
        (sqlalchemy_check, ("sqlite://",), "engine='sqlite://' is not accepted: use an Engine"),
    ],
)
def test_bad_arguments_are_refused(
    check: Callable[..., Any], arguments: tuple[Any, ...], message: str
) -> None:
    """The message names the argument, and its value unless it may have a password."""
    with pytest.raises(ConfigError) as raised:
        check(*arguments)

    assert str(raised.value).startswith(message)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("package", "check", "argument"),
    [
        ("redis", "redis_check", "'redis://localhost'"),
        ("psycopg", "psycopg_check", "'postgresql://localhost'"),
        ("sqlalchemy", "sqlalchemy_check", "None"),
    ],
)
def test_a_missing_client_is_named(package: str, check: str, argument: str) -> None:
    """The message has the command that installs it; other checks work without it."""
    script = f"""
import sys
class Hidden:
    def find_spec(name, path=None, target=None):
        if name == {package!r}:
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Hidden)
import pantheon_obs.health
try:
    pantheon_obs.health.{check}({argument})
except pantheon_obs.MissingExtraError as error:
    print(error)
"""
    run = run_python(script)

    assert (
        f"{check}() needs the package {package!r}, which is not installed: pip install {package}\n"
    ) == run.stdout


def test_a_sync_client_does_not_bring_in_asyncio_s() -> None:
    """SQLAlchemy's asyncio part, which needs another package, is not imported."""
    script = """
import sys, sqlalchemy
from pantheon_obs.health import sqlalchemy_check
sqlalchemy_check(sqlalchemy.create_engine("sqlite://"))()
print("sqlalchemy.ext.asyncio" in sys.modules)
"""
    run = run_python(script)

    assert "False\n" == run.stdout


def engine_url(postgres: Postgres) -> str:
    """The URL of the server, for SQLAlchemy."""
    return postgres.url.replace("postgresql:", "postgresql+psycopg:")


def kill_connections(postgres: Postgres) -> None:
    """Close every connection on the server's side."""
    with psycopg.connect(postgres.url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    wait_for_connections(postgres, 0)


def wait_for_connections(postgres: Postgres, expected: int) -> None:
    """Wait until the server has this many connections besides the one that asks."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        found = None
        while found != expected:
            [(found,)] = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
