"""The answers to probes, on each kind of app under its real server."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from pantheon_obs import ConfigError, Health, instrument
from pantheon_obs.health.endpoints import AsgiHealth, WsgiHealth
from pantheon_obs.health.lifespans import current_lifespan
from tests.support import loopback
from tests.support.server import ROOT, SECONDS, Server, gunicorn, uvicorn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

APP = "tests.health.apps.mounted"
GUNICORN = ("--worker-class", "gthread", "--threads", "8", "--no-control-socket")


class Mounted(NamedTuple):
    """An app that is served."""

    kind: str
    server: Server
    client: httpx.Client


def serve(kind: str, *options: str, **env: str) -> Server:
    """Serve one kind of app."""
    if kind in ("fastapi", "flask") and importlib.util.find_spec(kind) is None:
        pytest.skip(f"{kind} is not installed")
    if kind in ("wsgi", "flask"):
        return gunicorn(f"{APP}:make_{kind}()", *GUNICORN, *options, env=env)
    return uvicorn(f"{APP}:make_{kind}", "--factory", *options, env=env)


@pytest.fixture(scope="module", params=["asgi", "fastapi", "wsgi", "flask"])
def mounted(request: pytest.FixtureRequest) -> Iterator[Mounted]:
    """Each kind of app."""
    with (
        serve(request.param) as server,
        loopback.client_of(server) as client,
    ):
        yield Mounted(request.param, server, client)


@pytest.fixture(params=["asgi", "wsgi"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Return either protocol."""
    found: str = request.param
    return found


@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize("name", ["live", "ready"])
def test_probes_are_answered(mounted: Mounted, name: str, end: str) -> None:
    """GET and HEAD, with and without a slash at the end; no cache may store the answer."""
    found = mounted.client.get(f"/health/{name}{end}")
    head = mounted.client.head(f"/health/{name}{end}")

    assert (200, 200) == (found.status_code, head.status_code)
    assert "pass" == found.json()["status"]
    assert b"" == head.content
    for answer in (found, head):
        assert "application/health+json" == answer.headers["content-type"]
        assert "no-store" == answer.headers["cache-control"]
        assert answer.headers["x-trace-id"]
    assert f"{len(found.content)}" == found.headers["content-length"]


def test_readiness_lists_its_checks(mounted: Mounted) -> None:
    """Each check has a status and a latency."""
    checks = mounted.client.get("/health/ready").json()["checks"]

    assert ["gate", "optional", "needed"] == list(checks)
    for check in checks.values():
        assert "pass" == check["status"]
        assert check["latency_ms"] >= 0


def test_other_methods_are_refused(mounted: Mounted) -> None:
    """They get 405 with the methods that are allowed."""
    for name in ("live", "ready"):
        answer = mounted.client.post(f"/health/{name}", content=b"x" * 1000)

        assert 405 == answer.status_code
        assert "GET, HEAD" == answer.headers["allow"]


def test_other_requests_reach_the_app(mounted: Mounted) -> None:
    """Paths that begin like a probe's are the app's, too."""
    for path in ("/health/lives", "/health", "/a/health/live", "/health/live/x"):
        assert path == mounted.client.get(path).json()["path"]


@pytest.mark.parametrize(
    ("fails", "status_code", "status"),
    [("optional", 200, "warn"), ("needed", 503, "fail"), ("needed,optional", 503, "fail")],
)
def test_failing_checks_decide_by_their_weight(
    mounted: Mounted, fails: str, status_code: int, status: str
) -> None:
    """A critical check makes it 503, another only `warn`; liveness is 200 all the time."""
    mounted.client.get(f"/fail/{fails}")
    try:
        answer = mounted.client.get("/health/ready")
        live = mounted.client.get("/health/live")
    finally:
        mounted.client.get("/fail/nothing")

    assert (status_code, status) == (answer.status_code, answer.json()["status"])
    assert 200 == live.status_code
    for name in fails.split(","):
        check = answer.json()["checks"][name]
        assert "fail" == check["status"]
        assert "CheckFailedError: the check returned False" == check["output"]


def test_liveness_does_not_wait_for_readiness(mounted: Mounted) -> None:
    """While a readiness probe waits for its checks, liveness and the app answer."""
    before = mounted.client.get("/close").json()["runs"]
    with ThreadPoolExecutor(1) as pool:
        probe = pool.submit(httpx.get, f"{mounted.server.url}/health/ready", timeout=SECONDS)
        while mounted.client.get("/state").json()["runs"] == before:
            pass

        live = [mounted.client.get("/health/live").status_code for _ in range(20)]

        assert not probe.done()
        mounted.client.get("/open")
        assert 200 == probe.result(SECONDS).status_code
    assert [200] * 20 == live


def test_a_storm_of_probes_runs_each_check_once(protocol: str) -> None:
    """Five hundred probes at once run each check once."""

    async def probe(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health/ready HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.partition(b"\r\n")[0]

    async def storm(port: int) -> list[bytes]:
        return await asyncio.gather(*[probe(port) for _ in range(500)])

    with serve(protocol, CACHE_TTL="60") as server:
        assert [b"HTTP/1.1 200 OK"] * 500 == asyncio.run(storm(server.port or 0))
        assert 1 == loopback.get(f"{server.url}/state").json()["runs"]


def test_a_draining_service_is_alive_but_not_ready(protocol: str) -> None:
    """Readiness is 503 after the call of `drain`."""
    with serve(protocol) as server, loopback.client_of(server) as client:
        assert 200 == client.get("/health/ready").status_code
        client.get("/drain")

        answer = client.get("/health/ready")

        assert (503, {"status": "fail", "checks": {}}) == (answer.status_code, answer.json())
        assert 200 == client.get("/health/live").status_code


def test_the_end_of_the_lifespan_drains() -> None:
    """The service drains when the server sends `lifespan.shutdown`."""
    with serve("asgi") as server:
        server.stop()

        assert [{"status": "fail", "checks": {}}] == [
            json.loads(line) for line in server.out if line.startswith('{"status"')
        ]


def test_gunicorn_workers_of_a_preloaded_app_each_check_for_themselves() -> None:
    """The `Health` is made before the fork."""
    with serve("wsgi", "--preload", "--workers", "2") as server:
        for _ in range(10):
            assert 200 == loopback.get(f"{server.url}/health/ready").status_code


def test_behind_a_root_path_the_prefix_follows_it() -> None:
    """Servers prepend the root path that a proxy has removed."""
    with serve("asgi", "--root-path", "/api") as server:
        assert "pass" == loopback.get(f"{server.url}/health/ready").json()["status"]


def test_the_prefix_may_be_the_root() -> None:
    """A variable that is a slash alone stops no application."""
    with serve("asgi", PANTHEON_OBS_HEALTH_PREFIX="/") as server:
        assert "pass" == httpx.get(f"{server.url}/ready").json()["status"]


class Lifespan:
    """A lifespan of an ASGI app, whose messages a test sends."""

    def __init__(self, app: Any) -> None:
        self._messages: asyncio.Queue[str] = asyncio.Queue()
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self.task = asyncio.create_task(app({"type": "lifespan"}, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        return {"type": await self._messages.get()}

    async def _send(self, message: Any) -> None:
        self._answers.put_nowait(message["type"])

    async def say(self, message: str) -> str:
        """Send a message; return the app's answer."""
        self._messages.put_nowait(f"lifespan.{message}")
        return await self._answers.get()

    async def start(self) -> Lifespan:
        """Begin it."""
        assert "lifespan.startup.complete" == await self.say("startup")
        return self

    async def end(self) -> None:
        """End it."""
        assert "lifespan.shutdown.complete" == await self.say("shutdown")
        await self.task


async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Take part in a lifespan; the application has no other responses."""
    assert "lifespan" == scope["type"]
    for _ in range(2):
        await send({"type": (await receive())["type"] + ".complete"})


async def readiness(app: Any) -> int:
    """Return the status of a probe of readiness."""
    sent: list[Any] = []

    async def receive() -> Any:
        """Nothing comes."""

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/health/ready", "headers": []}
    await app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


def test_a_server_that_starts_again_finds_it_ready() -> None:
    """One app object may have several lifespans, one after the other or at once."""
    health = Health()
    app = AsgiHealth(with_lifespan, health, "/health")

    async def main() -> None:
        for _ in range(2):
            lifespan = await Lifespan(app).start()
            assert (False, 200) == (health.draining, await readiness(app))
            await lifespan.end()
            assert (True, 503) == (health.draining, await readiness(app))
        outer, inner = await Lifespan(app).start(), await Lifespan(app).start()
        await inner.end()
        assert (False, 200) == (health.draining, await readiness(app))
        await outer.end()
        assert (True, 503) == (health.draining, await readiness(app))

    asyncio.run(main())


def test_an_app_that_starts_again_is_ready_although_it_was_drained() -> None:
    """A test of the shutdown must not decide the next one."""
    health = Health()
    app = AsgiHealth(with_lifespan, health, "/health")

    async def main() -> None:
        lifespan = await Lifespan(app).start()
        health.drain()
        assert 503 == await readiness(app)
        other = await Lifespan(app).start()
        assert 503 == await readiness(app)
        await lifespan.end()
        await other.end()
        await Lifespan(app).start()
        assert 200 == await readiness(app)

    asyncio.run(main())


def test_apps_that_share_a_health_drain_by_themselves() -> None:
    """The end of one app's lifespan affects neither the other nor an app without lifespan."""
    health = Health()
    public, admin, bare = (AsgiHealth(with_lifespan, health, "/health") for _ in range(3))
    wsgi = WsgiHealth(None, health, "/health")
    environ: dict[str, Any] = {"PATH_INFO": "/health/ready", "REQUEST_METHOD": "GET"}

    def wsgi_status() -> str:
        found: list[str] = []
        wsgi(environ, lambda status, _: found.append(status))  # type: ignore[arg-type]
        return found[0][:3]

    async def main() -> None:
        first, second = await Lifespan(public).start(), await Lifespan(admin).start()
        await second.end()
        assert [200, 503, 200] == [await readiness(app) for app in (public, admin, bare)]
        assert not health.draining
        await first.end()
        assert [503, 503, 200] == [await readiness(app) for app in (public, admin, bare)]
        assert health.draining
        assert "200" == wsgi_status()
        health.drain()
        assert [503, 503, 503] == [await readiness(app) for app in (public, admin, bare)]
        assert "503" == wsgi_status()

    asyncio.run(main())


def test_an_app_without_lifespan_does_not_drain() -> None:
    """It may take the first message and raise; the server serves it all the same."""

    async def without(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise NotImplementedError

    health = Health()
    app = AsgiHealth(without, health, "/health")

    async def main() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "lifespan.startup"}

        with pytest.raises(NotImplementedError):
            await app({"type": "lifespan"}, receive, receive)
        assert (False, 200) == (health.draining, await readiness(app))

    asyncio.run(main())


def test_a_shutdown_that_is_repeated_counts_once() -> None:
    """The application asks for messages until its server has none."""
    health = Health()
    messages = iter(["startup", "shutdown", "shutdown"])

    async def greedy(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            await receive()

    async def receive() -> dict[str, Any]:
        return {"type": f"lifespan.{next(messages)}"}

    async def main() -> None:
        app = AsgiHealth(greedy, health, "/health")
        await app({"type": "lifespan"}, receive, receive)
        assert (True, 503) == (health.draining, await readiness(app))
        other = await Lifespan(AsgiHealth(with_lifespan, health, "/health")).start()
        assert not health.draining
        await other.end()

    asyncio.run(main())


def test_an_app_that_is_instrumented_within_its_lifespan_drains_at_its_end() -> None:
    """The health endpoints were not there when the server sent the first message."""
    applications = pytest.importorskip("starlette.applications")
    health = Health()

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        instrument(app, health=health)
        yield

    app = applications.Starlette(lifespan=lifespan)

    async def main() -> None:
        for _ in range(2):  # the second time it is instrumented already
            running = await Lifespan(app).start()
            assert (False, 200) == (health.draining, await readiness(app))
            await running.end()
            assert (True, 503) == (health.draining, await readiness(app))

    asyncio.run(main())


def test_an_app_that_is_instrumented_by_a_request_does_not_drain_at_its_end() -> None:
    """The request is no lifespan; nor is one that has ended before."""
    applications = pytest.importorskip("starlette.applications")
    health = Health()
    app = applications.Starlette()

    async def main() -> None:
        running = await Lifespan(app).start()
        await asyncio.create_task(instrumenting())
        assert (False, 200) == (health.draining, await readiness(app))
        await running.end()

    async def instrumenting() -> None:
        instrument(app, health=health)

    asyncio.run(main())

    async def done() -> None:
        """End at once."""

    async def late() -> None:
        task = asyncio.create_task(done())
        await task
        assert 200 == await readiness(AsgiHealth(None, Health(), "/health", task))

    asyncio.run(late())


def test_on_another_loop_than_asyncios_a_lifespan_has_no_task() -> None:
    """There the end of a lifespan that already runs cannot be noticed."""
    scope = {"type": "lifespan"}

    assert "lifespan" == scope["type"]
    assert None is current_lifespan()


def test_other_connections_go_through_untouched() -> None:
    """A websocket on a probe's path is the app's, with the same scope, receive and send."""
    seen: list[tuple[Any, ...]] = []

    async def app(*arguments: Any) -> None:
        seen.append(arguments)

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: Any) -> None:
        """Nothing comes."""

    scope = {"type": "websocket", "path": "/health/live"}
    asyncio.run(AsgiHealth(app, Health(), "/health")(scope, receive, send))

    assert [(scope, receive, send)] == seen
    assert scope is seen[0][0]


def test_the_iterable_of_a_wsgi_app_is_returned_unchanged() -> None:
    """The app's own iterable is returned."""
    body = [b"of the app"]

    def start_response(*arguments: Any) -> Any:
        """Nobody reads it."""

    app = WsgiHealth(lambda environ, start: body, Health(), "/health")

    assert body is app({"PATH_INFO": "/"}, start_response)
    assert body is app({}, start_response)


def test_instrument_refuses_other_objects_than_a_health() -> None:
    """The message names the accepted values."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Never called."""

    with pytest.raises(ConfigError, match="health='yes' is not accepted"):
        instrument(app, health="yes")  # type: ignore[arg-type]


WORKERS = [
    pytest.param("wsgi", "gthread", id="gthread"),
    pytest.param("wsgi", "gevent", id="gevent"),
    pytest.param("asgi", "asgi", id="asgi"),
    pytest.param("asgi", "uvicorn_worker.UvicornWorker", id="uvicorn"),
]


@pytest.mark.parametrize(("protocol", "worker"), WORKERS)
def test_gunicorn_may_drain_before_it_stops(protocol: str, worker: str, tmp_path: Path) -> None:
    """The docs' recipe works: after SIGTERM readiness is 503, and connections are accepted."""
    if worker == "gevent":
        pytest.importorskip("gevent")
    page = (ROOT / "docs" / "health.md").read_text()
    [hook] = [block for block in page.split("```python\n") if "def post_worker_init" in block]
    config = tmp_path / "gunicorn.conf.py"
    config.write_text(hook.partition("```")[0].replace("shop.service", APP))
    options = ("--worker-class", worker, "--no-control-socket", "--config", str(config))

    with gunicorn(f"{APP}:make_{protocol}()", *options) as server:

        def status(path: str) -> int:
            return loopback.get(server.url + path).status_code

        assert 200 == status("/health/ready")
        server.process.terminate()
        while status("/health/ready") != 503:
            pass
        assert [200, 200] == [status("/health/live"), status("/state")]
        assert 0 == server.stop(signal.SIGALRM)  # the time is over
