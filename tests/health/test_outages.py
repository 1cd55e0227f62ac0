"""Real servers whose PostgreSQL and Redis are stopped, hang, and come back."""

from __future__ import annotations

import importlib.util
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest
import redis

from tests.support import loopback
from tests.support.lines import parse_line
from tests.support.server import SECONDS, Server, gunicorn, read_until, uvicorn, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from examples.databases import Database, Postgres, Redis

APPS = "tests.health.apps"
UVICORN = ("--factory", "--log-level", "warning")
GUNICORN = ("--worker-class", "gthread", "--threads", "4", "--no-control-socket")
# Checks have 0.6 s. Without a timeout the answer would hang with its dependency, which ends only
# after it; this limit tells the two apart, on a busy machine too.
IN_TIME = 20.0
AT_REST = 5  # readings in a row that are the same


class Service(NamedTuple):
    """A served app and its dependencies."""

    name: str
    server: Server
    client: httpx.Client
    prefix: str
    postgres: Postgres
    redis: Redis

    def probe(self, name: str) -> httpx.Response:
        """Send a probe."""
        return self.client.get(f"{self.prefix}/{name}")

    def wait_until_ready(self, *, ready: bool = True) -> None:
        """Wait until it is ready, or is not: an answer is reused for a while."""
        wait_until(lambda: ready == (self.probe("ready").status_code == 200))

    def run_checks(self, rounds: int) -> None:
        """Send probes until all checks have run so often: each time they take as long as never."""
        answers: set[str] = set()
        wait_until(lambda: answers.add(self.probe("ready").text) or len(answers) > rounds)

    def threads(self) -> list[str]:
        """List the names of its threads, without those of pools that grow with use."""
        names: list[str] = self.client.get("/threads").json()
        return sorted(name for name in names if not name.startswith("ThreadPoolExecutor"))

    def connections(self) -> tuple[int, int]:
        """Count the connections of PostgreSQL and Redis besides the one that asks."""
        with psycopg.connect(self.postgres.url) as connection:
            [(number,)] = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        with redis.Redis.from_url(self.redis.url) as client:
            return number, len(client.client_list()) - 1

    def resources(self) -> tuple[list[str], tuple[int, int]]:
        """List its threads and count its connections."""
        return self.threads(), self.connections()

    def resources_at_rest(self) -> tuple[list[str], tuple[int, int]]:
        """Read its threads and connections once closed ones have left the servers' lists."""
        deadline = time.monotonic() + SECONDS
        found, times_the_same = self.resources(), 0
        while times_the_same < AT_REST:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
            before, found = found, self.resources()
            times_the_same = times_the_same + 1 if found == before else 0
        return found

    def wait_for_resources(self, expected: tuple[list[str], tuple[int, int]]) -> None:
        """Wait until it has no more than before; a server notices a closed connection later."""
        assert expected == read_until(expected, self.resources)


@pytest.fixture(scope="module", params=["asgi", "wsgi", "django-asgi", "django-wsgi"])
def service(
    request: pytest.FixtureRequest, postgres: Postgres, redis_server: Redis
) -> Iterator[Service]:
    """A service that is ready and has answered a few probes."""
    django = request.param.startswith("django")
    if django and importlib.util.find_spec("django") is None:
        pytest.skip("django is not installed")
    protocol = request.param.removeprefix("django-")
    app = f"{APPS}.{'django_project' if django else 'outages'}:make_{protocol}"
    env = {"POSTGRES_URL": postgres.url, "REDIS_URL": redis_server.url}
    if protocol == "asgi":
        server = uvicorn(app, *UVICORN, env=env)
    else:
        server = gunicorn(f"{app}()", *GUNICORN, env=env)
    with server, loopback.client_of(server) as client:
        prefix = "/api/v1/health" if django else "/health"
        found = Service(request.param, server, client, prefix, postgres, redis_server)
        found.wait_until_ready()
        found.run_checks(3)
        yield found


@pytest.fixture
def ready(service: Service) -> Iterator[Service]:
    """The service with all dependencies running; its liveness is 200 throughout."""
    service.wait_until_ready()
    with always_alive(service) as asked:
        yield service
    assert asked
    assert {200} == set(asked)


@contextmanager
def always_alive(service: Service) -> Iterator[list[int]]:
    """Send liveness probes for the duration of the block."""
    over = threading.Event()
    asked: list[int] = []

    def ask() -> None:
        with loopback.client_of(service.server, timeout=IN_TIME) as client:
            while not over.wait(0.02):
                asked.append(client.get(f"{service.prefix}/live").status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join(SECONDS)


def not_ready(service: Service) -> dict[str, Any]:
    """Return the body of an answer that is in time and says that the service is not ready."""
    started = time.monotonic()
    answer = service.probe("ready")
    assert time.monotonic() - started < IN_TIME
    assert 503 == answer.status_code, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_stopped_database_and_its_return_are_reported(ready: Service, kind: str) -> None:
    """Its own checks fail, the others pass; dead connections in pools fail no check later."""
    database: Database = getattr(ready, kind)
    before = ready.resources_at_rest()

    with stopped(database, ready):
        of_kind = of(kind, not_ready(ready))
        # On a busy machine another check may be late.
        assert of_kind == read_until(of_kind, lambda: failing(not_ready(ready)))
    ready.wait_until_ready()

    ready.wait_for_resources(before)


def test_hung_databases_and_their_return_are_reported(ready: Service) -> None:
    """Two hundred probes in a row are answered, and no thread or connection is left over."""
    before = ready.resources_at_rest()
    body = ready.probe("ready").json()

    ready.postgres.pause()
    ready.redis.pause()
    try:
        of_both = of("postgres", body) | of("redis", body)
        assert of_both == read_until(of_both, lambda: failing(ready.probe("ready").json()))
        bodies = [not_ready(ready) for _ in range(200)]
        threads = ready.threads()
    finally:
        ready.postgres.resume()
        ready.redis.resume()
    ready.wait_until_ready()

    assert [of_both] * 200 == [failing(body) for body in bodies]
    assert len(threads) <= len(before[0]) + len(body["checks"])
    ready.wait_for_resources(before)


def test_a_failure_is_one_line(ready: Service) -> None:
    """It is logged once for any number of probes; the line has the error's text."""
    already = len(ready.server.out)
    with stopped(ready.redis, ready):
        ready.run_checks(3)
        body = not_ready(ready)
    ready.wait_until_ready()
    ready.server.wait_for(
        lambda: any("health_check_recovered" in line for line in ready.server.out[already:])
    )

    lines = [parse_line(line.encode()) for line in ready.server.out[already:]]
    assert not [line for line in lines if line["event"] == "request_finished"]
    failed = [line["check"] for line in lines if "refused" in line.get("error", "")]
    assert sorted(of("redis", body)) == sorted(failed)
    assert all({"status", "latency_ms"} == set(check) for check in body["checks"].values())


@contextmanager
def stopped(database: Database, service: Service) -> Iterator[None]:
    """Stop the database until the service has noticed, and for the duration of the block."""
    database.stop()
    try:
        service.wait_until_ready(ready=False)
        yield
    finally:
        database.start()


def failing(body: dict[str, Any]) -> set[str]:
    """List the checks that fail."""
    return {name for name, check in body["checks"].items() if check["status"] == "fail"}


def of(kind: str, body: dict[str, Any]) -> set[str]:
    """List the checks that need the database."""
    needed = {
        "postgres": {"engine", "psycopg", "database", "database:pooled"},
        "redis": {"redis", "redis_url", "cache"},
    }
    return needed[kind] & set(body["checks"])
