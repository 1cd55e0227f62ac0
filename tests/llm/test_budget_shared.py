"""One budget of several real workers, through a real Redis."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from tests.support.lines import parse_line
from tests.support.server import SECONDS, Server, gunicorn, uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from examples.databases import Redis

APP = "tests.llm.apps.spending"
CALLS = 100  # that a dollar pays for
AT_ONCE = 8


class Service(NamedTuple):
    """Four workers, and the path that calls the model."""

    server: Server
    redis: Redis
    client: httpx.Client
    path: str

    def get(self, path: str, tenant: str) -> httpx.Response:
        """Send a request on a connection of its own, so that any worker may get it."""
        return self.client.get(path, params={"tenant": tenant}, headers={"Connection": "close"})

    def call(self, tenant: str) -> int:
        """Call the model, and return the status."""
        return self.get(self.path, tenant).status_code

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of an event."""
        lines = [parse_line(line.encode()) for line in list(self.server.out) if line[:1] == "{"]
        return [line for line in lines if line["event"] == event]

    def wait_until_spent(self, tenant: str, dollars: float) -> None:
        """Wait until every worker knows that this was spent."""
        deadline = time.monotonic() + SECONDS
        known = 0
        while known < 20:
            known = known + 1 if float(self.get("/spent", tenant).text) == dollars else 0
            assert time.monotonic() < deadline


@pytest.fixture(scope="module", params=["/call", "/stream", "sync"])
def service(request: pytest.FixtureRequest, redis_server: Redis) -> Iterator[Service]:
    """Serve the application with four workers."""
    env = {"SPENDING_REDIS": redis_server.url, "PANTHEON_OBS_SERVICE": request.param}
    if request.param == "sync":
        options = ("--workers", "4", "--worker-class", "gthread", "--threads", "4")
        server = gunicorn(f"{APP}:wsgi()", *options, "--no-control-socket", env=env)
    else:
        server = uvicorn(f"{APP}:asgi", "--factory", "--workers", "4", "--lifespan", "off", env=env)
    path = request.param if request.param[0] == "/" else "/call"
    with server, httpx.Client(base_url=server.url, timeout=SECONDS, trust_env=False) as client:
        yield Service(server, redis_server, client, path)


def test_what_is_beyond_a_budget_was_already_in_flight(service: Service) -> None:
    """One after the other exactly the paid calls pass; at once, at most those in flight more."""
    one_by_one = [service.call("one") for _ in range(CALLS + 5)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        at_once = list(pool.map(service.call, ["many"] * (CALLS + 5 * AT_ONCE)))

    assert [200] * CALLS + [402] * 5 == one_by_one
    served = at_once.count(200)
    assert CALLS <= served < CALLS + AT_ONCE
    assert {200, 402} == set(at_once)
    service.wait_until_spent("one", 1.0)
    service.wait_until_spent("many", served / 100)
    told = service.lines("llm_budget_exceeded")
    assert ["many", "one"] == sorted(line["key"] for line in told)


def test_a_service_runs_on_without_redis(service: Service) -> None:
    """It uses the last known sums, and writes the unwritten spending when the store is back."""
    assert [200] * 20 == [service.call("steady") for _ in range(20)]
    service.redis.stop()
    try:
        assert [200] * 20 == [service.call("steady") for _ in range(20)]
        service.server.wait_for(
            lambda: service.lines("llm_budget_store_lost"), "llm_budget_store_lost"
        )
    finally:
        service.redis.start()
    assert [200] * 20 == [service.call("steady") for _ in range(20)]
    service.wait_until_spent("steady", 0.6)
