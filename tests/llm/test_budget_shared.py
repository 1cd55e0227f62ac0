"""One budget of several real workers, through a real Redis."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.support import loopback
from tests.support.lines import parse_line
from tests.support.server import SECONDS, Server, gunicorn, read_until, uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from examples.databases import Redis

APP = "tests.llm.apps.spending"
CALLS = 100  # that a dollar pays for
AT_ONCE = 8
# Enough to reach each worker. Of requests one after the other, a worker may miss hundreds: the same
# one is always the first to accept.
ASKED_AT_ONCE = 32

each_kind_of_call = pytest.mark.parametrize(
    ("service", "path"),
    [("uvicorn", "/call"), ("uvicorn", "/stream"), ("gunicorn", "/call")],
    indirect=["service"],
    scope="module",
)


class Service(NamedTuple):
    """Four workers."""

    server: Server
    redis: Redis
    client: httpx.Client

    def get(self, path: str, tenant: str) -> httpx.Response:
        """Send a request on a connection of its own, so that any worker may get it."""
        return self.client.get(path, params={"tenant": tenant}, headers={"Connection": "close"})

    def call(self, path: str, tenant: str, times: int, at_once: int = 1) -> list[int]:
        """Call the model that often, and return the statuses."""
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda _: self.get(path, tenant).status_code, range(times)))

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of an event."""
        lines = [parse_line(line.encode()) for line in list(self.server.out) if line[:1] == "{"]
        return [line for line in lines if line["event"] == event]

    def wait_until_spent(self, tenant: str, dollars: float) -> None:
        """Wait until every worker knows that this was spent."""
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:

            def answers() -> set[str]:
                asked = pool.map(lambda _: self.get("/spent", tenant).text, range(ASKED_AT_ONCE))
                return set(asked)

            assert {str(dollars)} == read_until({str(dollars)}, answers)


@pytest.fixture(scope="module")
def service(request: pytest.FixtureRequest, redis_server: Redis) -> Iterator[Service]:
    """Serve the application with four workers."""
    env = {"SPENDING_REDIS": redis_server.url, "PANTHEON_OBS_SERVICE": request.param}
    if request.param == "gunicorn":
        options = ("--workers", "4", "--worker-class", "gthread", "--threads", "4")
        server = gunicorn(f"{APP}:wsgi()", *options, "--no-control-socket", env=env)
    else:
        # On a busy machine a worker may answer late, and must not be killed for that.
        options = ("--workers", "4", "--timeout-worker-healthcheck", f"{SECONDS:.0f}")
        server = uvicorn(f"{APP}:asgi", "--factory", "--lifespan", "off", *options, env=env)
    with server, loopback.client_of(server) as client:
        yield Service(server, redis_server, client)


@each_kind_of_call
def test_what_is_beyond_a_budget_was_already_in_flight(service: Service, path: str) -> None:
    """One after the other exactly the paid calls pass; at once, at most those in flight more."""
    one, many = f"one{path}", f"many{path}"
    one_by_one = service.call(path, one, CALLS + 5)
    at_once = service.call(path, many, CALLS + 5 * AT_ONCE, AT_ONCE)

    assert [200] * CALLS + [402] * 5 == one_by_one
    served = at_once.count(200)
    assert CALLS <= served < CALLS + AT_ONCE
    assert {200, 402} == set(at_once)
    service.wait_until_spent(one, 1.0)
    service.wait_until_spent(many, served / 100)

    def exceeded() -> list[str]:
        keys = [line["key"] for line in service.lines("llm_budget_exceeded")]
        return sorted(key for key in keys if key in (one, many))

    assert [many, one] == read_until([many, one], exceeded)


@each_kind_of_call
def test_a_service_runs_on_without_redis(service: Service, path: str) -> None:
    """It uses the last known sums, and writes the unwritten spending when the store is back."""
    tenant = f"steady{path}"
    lost = len(service.lines("llm_budget_store_lost"))
    assert [200] * 20 == service.call(path, tenant, 20)
    service.redis.stop()
    try:
        assert [200] * 20 == service.call(path, tenant, 20)
        service.server.wait_for(
            lambda: len(service.lines("llm_budget_store_lost")) > lost, "llm_budget_store_lost"
        )
    finally:
        service.redis.start()
    assert [200] * 20 == service.call(path, tenant, 20)
    service.wait_until_spent(tenant, 0.6)
