"""Async checks on each event loop that a server may have, and on none."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import Health
from pantheon_obs.core import native
from pantheon_obs.health import loops
from tests.support import loopback
from tests.support.server import SECONDS, Server, gunicorn, hypercorn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.health import Report

APP = "tests.health.apps.loops"
PATIENCE = 30.0
PROBES = 8


def needs(*names: str) -> None:
    """Skip the test if a package is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


WORKERS = {"asgi": "asgi", "uvicorn_worker.UvicornWorker": "asgi"}
KINDS = ["asyncio", "uvloop", "trio", "gevent", "gevent preloaded", "gthread", *WORKERS]


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Serve on one kind of event loop, or on none."""
    kind, _, preload = request.param.partition(" ")
    if kind in ("asyncio", "uvloop", "trio"):
        needs(kind)
        serving = hypercorn(f"{APP}:make_asgi()", "-k", kind)
    else:
        needs(*({kind} & {"gevent"}))
        options = ("--preload",) * bool(preload)
        app = f"{APP}:make_{WORKERS.get(kind, 'wsgi')}()"
        serving = gunicorn(app, "-k", kind, "--no-control-socket", *options)
    with serving:
        if kind in ("asyncio", "uvloop", "trio"):  # it listens before it has the application
            serving.wait_for(lambda: any("Running on" in line for line in serving.out), "the start")
        yield serving


def test_readiness_is_right_on_every_loop(server: Server) -> None:
    """Several async checks run at once, a hung one fails alone, and probes may come together."""

    def probe(_: int) -> tuple[int, dict[str, str]]:
        answer = loopback.get(f"{server.url}/health/ready")
        checks = answer.json()["checks"]
        return answer.status_code, {name: check["status"] for name, check in checks.items()}

    with ThreadPoolExecutor(PROBES) as pool:
        answers = [*map(probe, range(3)), *pool.map(probe, range(PROBES))]

    expected = {"sync": "pass", "first": "pass", "second": "pass", "hung": "fail"}
    assert [(200, expected)] * (3 + PROBES) == answers


def test_checks_in_greenlets_leave_the_applications_own_loops_alone() -> None:
    """asyncio has one running loop per thread, which there belongs to the application."""
    needs("gevent")
    with (
        gunicorn(f"{APP}:make_wsgi()", "-k", "gevent", "--no-control-socket") as server,
        ThreadPoolExecutor(2) as pool,
    ):

        def get(path: str) -> int:
            return loopback.get(server.url + path).status_code

        for _ in range(5):
            probe = pool.submit(get, "/health/ready")
            assert 404 == get("/own-loop")
            assert 200 == probe.result(SECONDS)


async def passing() -> None:
    """Pass on whatever loop."""


def test_without_an_event_loop_the_coroutine_of_a_report_works() -> None:
    """Code that drives it by hand gets the report with the first step."""

    async def on_asyncio() -> bool:
        await asyncio.sleep(0)
        return True

    with pytest.raises(StopIteration) as stopped:
        Health(timeout=10, first=on_asyncio, second=on_asyncio).areport().send(None)

    report: Report = stopped.value.value
    assert ["pass", "pass"] == [result.status for result in report.results]


def test_a_check_may_take_longer_than_the_loop_goes_unlooked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether its loop is closed is asked again and again, and does not end it."""
    monkeypatch.setattr(loops, "_LOOK_AT_LOOP", 0.001)

    async def slow() -> None:
        await asyncio.sleep(0.05)

    report = asyncio.run(Health(timeout=10, slow=slow).areport())

    assert "pass" == report.status


def test_without_an_event_loop_a_hung_check_fails_at_its_deadline() -> None:
    """The coroutine waits for it in vain."""

    async def hung() -> None:
        await asyncio.sleep(PATIENCE)

    with pytest.raises(StopIteration) as stopped:
        Health(timeout=0.05, hung=hung).areport().send(None)

    assert "TimeoutError" == stopped.value.value.results[0].error_type


def test_a_check_runs_on_the_trio_that_asks() -> None:
    """It may use objects that belong to that run, and fails at its deadline too."""
    trio = pytest.importorskip("trio")

    async def main() -> Report:
        event = trio.Event()

        async def uses_the_run() -> None:
            event.set()
            await trio.sleep(0)

        health = Health(timeout=10, uses=uses_the_run)
        health.check("hung", timeout=0.05)(trio.sleep_forever)
        report = await health.areport()
        await event.wait()
        return report

    report = trio.run(main)

    assert [None, "TimeoutError"] == [result.error_type for result in report.results]


def test_a_trio_that_has_ended_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    """The probe was cancelled, and the check ends after the run."""
    trio = pytest.importorskip("trio")
    released, ended = threading.Event(), threading.Event()

    def slow() -> None:
        released.wait(PATIENCE)

    health = Health(timeout=10, slow=slow)

    async def main() -> None:
        with trio.move_on_after(0.05):
            await health.areport()

    trio.run(main)
    [run] = health._runs.values()  # noqa: SLF001 - nothing else tells when a run has ended
    run.ended.add_done_callback(lambda _: ended.set())
    released.set()

    assert ended.wait(PATIENCE)
    assert [] == caplog.records


def test_a_trio_that_is_still_being_imported_does_not_run() -> None:
    """Another thread imports it for the first time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "trio", ModuleType("trio"))
        report = asyncio.run(Health(passing=passing).areport())

    assert "pass" == report.status


@pytest.fixture
def greenlet() -> Iterator[loops.NoLoop]:
    """A loop that takes this thread, in which the test runs, for the thread of its checks."""
    yield loops.NoLoop()
    loops._after_fork()  # noqa: SLF001 - the child of a fork has no such thread either


def test_checks_in_greenlets_share_a_loop_in_a_real_thread(greenlet: loops.NoLoop) -> None:
    """Two loops in one thread would fail."""

    async def where() -> tuple[asyncio.AbstractEventLoop, int]:
        return asyncio.get_running_loop(), threading.get_native_id()

    found: Any = [greenlet.result_of(where(), 10) for _ in range(2)]
    found[0][0].call_soon_threadsafe(found[0][0].stop)

    assert found[0] == found[1]
    assert threading.get_native_id() != found[0][1]


def test_the_shared_loop_is_closed_when_it_stops() -> None:
    """Nobody stops it in production."""
    started: Any = loops.Future()
    thread = threading.Thread(target=loops._run_loop, args=(started,))  # noqa: SLF001 - without a greenlet
    thread.start()
    loop = started.result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)

    assert loop.is_closed()


def test_without_a_real_thread_checks_in_greenlets_fail(greenlet: loops.NoLoop) -> None:
    """The next one tries again."""

    def start_new_thread(*_: Any) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    awaitable = passing()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native.thread, "start_new_thread", start_new_thread)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            greenlet.result_of(awaitable, 10)
    awaitable.close()

    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    found: Any = greenlet.result_of(loop(), 10)
    found.call_soon_threadsafe(found.stop)
