"""When checks run, how long an answer takes, and its content."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import ConfigError, Health
from tests.support.server import run_python

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pantheon_obs.health import Report

PATIENCE = 30.0


def passing() -> None:
    """Pass."""


def refused() -> None:
    """Fail."""
    msg = "connection refused"
    raise ConnectionError(msg)


def blocking(health: Health) -> Report:
    """Ask as a WSGI server does."""
    return health.report()


def awaiting(health: Health) -> Report:
    """Ask as an ASGI server does."""
    return asyncio.run(health.areport())


@pytest.fixture(params=[blocking, awaiting], ids=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest) -> Callable[[Health], Report]:
    """Ask as both servers do."""
    found: Callable[[Health], Report] = request.param
    return found


class Hanging:
    """A check that hangs until it is released."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.released = threading.Event()
        self.left = threading.Semaphore(0)
        self.runs = 0

    def __call__(self) -> None:
        """Hang."""
        self.runs += 1
        self.entered.release()
        self.released.wait(PATIENCE)
        self.left.release()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """A check that hangs; it is released after the test."""
    check = Hanging()
    yield check
    check.released.set()
    for _ in range(check.runs):
        assert check.left.acquire(timeout=PATIENCE)


def statuses(report: Report) -> dict[str, str]:
    """Map each check to its status."""
    return {result.name: result.status for result in report.results}


def test_without_checks_it_is_ready(ask: Callable[[Health], Report]) -> None:
    """A service without checks is ready."""
    assert {"status": "pass", "checks": {}} == ask(Health()).as_dict()


def test_a_check_passes_by_returning(ask: Callable[[Health], Report]) -> None:
    """None and every truthy value pass, for sync and async checks."""

    async def sleeping() -> int:
        await asyncio.sleep(0)
        return 1

    health = Health(nothing=passing, truth=lambda: True, awaited=sleeping, partial=partial(int, 1))

    report = ask(health)

    assert "pass" == report.status
    assert ["nothing", "truth", "awaited", "partial"] == [result.name for result in report.results]
    assert all(result.latency_ms > 0 for result in report.results)


def test_a_check_fails_by_raising_or_returning_false(ask: Callable[[Health], Report]) -> None:
    """Every exception fails the check, also SystemExit."""

    async def raising() -> None:
        raise KeyError(1)

    async def false() -> bool:
        return False

    def leaving() -> None:
        raise SystemExit

    health = Health(
        refused=refused, raising=raising, false=lambda: False, afalse=false, leaving=leaving
    )

    report = ask(health)

    assert "fail" == report.status
    assert {"fail"} == set(statuses(report).values())
    assert [
        ("ConnectionError", "connection refused"),
        ("KeyError", "1"),
        ("CheckFailedError", "the check returned False"),
        ("CheckFailedError", "the check returned False"),
        ("SystemExit", ""),
    ] == [(result.error_type, result.error) for result in report.results]


class Response:
    """A response of an HTTP client."""

    def __init__(self, **attributes: object) -> None:
        vars(self).update(attributes)


def generator() -> Iterator[bool]:
    """Fail, if anything ran it."""
    yield False


async def async_generator() -> AsyncIterator[bool]:
    """Fail, if anything ran it."""
    yield False


class Unclear:
    """A value that is neither true nor false, as an array."""

    def __bool__(self) -> bool:
        msg = "ambiguous"
        raise ValueError(msg)


GENERATOR = "the check returned a generator, and nothing in it has run: return the result"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (False, "the check returned False"),
        (0, "the check returned 0"),
        ("", "the check returned a failing str"),
        ([], "the check returned a failing list"),
        ((), "the check returned a failing tuple"),
        ({}, "the check returned a failing dict"),
        ((False, "no disk"), "the check returned a failing tuple"),
        ({"ok": False, "password": "hunter2"}, "the check returned a failing dict"),
        ({"ok": True, "status": "fail"}, "the check returned a failing dict"),
        ({"status": "FAIL"}, "the check returned a failing dict"),
        (Response(status_code=503), "the check returned a response with the status 503"),
        (
            Response(status=HTTPStatus.NOT_FOUND),
            "the check returned a response with the status 404",
        ),
        (generator(), GENERATOR),
        (async_generator(), GENERATOR),
        (Unclear(), "ambiguous"),
    ],
)
def test_a_return_value_may_say_that_a_check_has_failed(value: object, error: str) -> None:
    """A check that returns its verdict must not pass for ever; the content stays unknown."""
    [result] = Health(check=lambda: value).report().results

    assert ("fail", error) == (result.status, result.error)


def test_a_coroutine_that_an_async_check_does_not_await_is_a_failure() -> None:
    """It is true, so that such a check would pass for ever."""
    ping = refused_later()

    async def check() -> object:
        return ping

    [result] = Health(check=check).report().results
    ping.close()
    error = "the check returned a coroutine, and nothing in it has run: await it"
    assert ("fail", error) == (result.status, result.error)


async def refused_later() -> None:
    """Fail, if anything ran it."""
    raise ConnectionRefusedError


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 1, "PONG", [0], (True, "enough disk"), {"ok": True, "lag": 0}, {"lag": 0}),
        *({"status": "pass"}, {"status": "warn"}, Response(status_code=204), Response(status=399)),
        *(Response(status="fine"), Response()),
    ],
)
def test_other_return_values_pass(value: object) -> None:
    """They say nothing, or that all is well."""
    assert "pass" == Health(check=lambda: value).report().status


def test_a_check_that_is_not_critical_only_warns(ask: Callable[[Health], Report]) -> None:
    """The service is ready, and the status is `warn`."""
    health = Health(database=passing)
    health.check("cache", critical=False)(refused)

    report = ask(health)

    assert "warn" == report.status
    assert {"database": "pass", "cache": "fail"} == statuses(report)


def test_details_show_the_error_text() -> None:
    """The text is cut; without `details` it is left out."""

    def long() -> None:
        raise ValueError("x" * 10_000_000)

    report = Health(long=long, refused=refused).report()

    assert {"status", "latency_ms"} == set(report.as_dict()["checks"]["long"])
    detailed = report.as_dict(details=True)["checks"]
    assert "ConnectionError: connection refused" == detailed["refused"]["output"]
    assert detailed["long"]["output"].startswith("ValueError: xxx")
    assert 500 == len(detailed["long"]["output"])


def test_an_error_without_a_text_is_an_error() -> None:
    """An error with a broken `__str__` fails the check with an empty text."""

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def broken() -> None:
        raise BrokenError

    [result] = Health(broken=broken).report().results

    assert ("fail", "BrokenError", "") == (result.status, result.error_type, result.error)


def test_a_hung_check_fails_at_its_deadline(
    ask: Callable[[Health], Report], hanging: Hanging
) -> None:
    """The other checks are not delayed, and the answer comes in time."""
    health = Health(fast=passing)
    health.check("hangs", timeout=0.05)(hanging)

    report = ask(health)

    assert {"fast": "pass", "hangs": "fail"} == statuses(report)
    assert ("TimeoutError", "no answer within 0.05 s") == (
        report.results[1].error_type,
        report.results[1].error,
    )
    assert not hanging.released.is_set()
    assert report.results[1].latency_ms < 5000


def test_a_check_that_ignores_its_cancellation_does_not_delay_the_probe() -> None:
    """An async check fails at its timeout, too, and is not started twice."""
    runs = 0

    async def stubborn(released: asyncio.Event) -> None:
        nonlocal runs
        runs += 1
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    async def main() -> list[Report]:
        released = asyncio.Event()
        health = Health(timeout=0.05, cache_ttl=0, stubborn=partial(stubborn, released))
        hung = [await health.areport() for _ in range(10)]
        released.set()
        while (report := await health.areport()).status != "pass":  # noqa: ASYNC110 - asked anew
            await asyncio.sleep(0)
        return [*hung, report]

    *hung, last = asyncio.run(main())

    assert ["fail"] * 10 == [report.status for report in hung]
    assert "pass" == last.status
    assert 2 == runs


def test_without_a_loop_an_async_check_is_cut_off_too() -> None:
    """Under WSGI it runs on a new loop, which ends at its timeout."""
    ended = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            ended.set()

    assert "fail" == Health(timeout=0.05, forever=forever).report().status
    assert ended.wait(PATIENCE)


def test_an_async_check_runs_on_the_loop_that_asks() -> None:
    """A client that is bound to that loop works; a function may also return an awaitable."""

    async def main() -> bool:
        loop = asyncio.get_running_loop()

        async def on_this_loop() -> bool:
            return asyncio.get_running_loop() is loop

        health = Health(function=on_this_loop, plain=lambda: on_this_loop())  # noqa: PLW0108 - it is sync
        return (await health.areport()).status == "pass"

    assert asyncio.run(main())


def test_a_sync_check_leaves_the_loop_free(hanging: Hanging) -> None:
    """The loop runs while a check blocks its thread."""

    async def main() -> Report:
        health = Health(timeout=10, hangs=hanging)
        asked = asyncio.create_task(health.areport())
        while hanging.runs == 0:  # noqa: ASYNC110 - it is entered in a thread
            await asyncio.sleep(0)
        hanging.released.set()
        return await asked

    assert "pass" == asyncio.run(main()).status


def test_a_hung_check_is_not_started_again(
    ask: Callable[[Health], Report], hanging: Hanging
) -> None:
    """It occupies one thread for any number of probes; when it has ended, it runs again."""
    before = set(threading.enumerate())
    health = Health(timeout=0.05, cache_ttl=0, hangs=hanging)

    hung = [ask(health) for _ in range(50)]

    assert ["fail"] * 50 == [report.status for report in hung]
    assert 1 == hanging.runs
    assert 1 == len(set(threading.enumerate()) - before)
    hanging.released.set()
    while ask(health).status != "pass":
        pass
    assert 2 <= hanging.runs


def test_a_check_of_a_loop_that_has_gone_is_started_again() -> None:
    """A loop may be closed during a check: the next probe gets an answer."""
    started = []

    async def check() -> None:
        started.append(asyncio.get_running_loop())
        if len(started) == 1:
            await asyncio.sleep(PATIENCE)

    health = Health(timeout=10, cache_ttl=0, check=check)
    loop = asyncio.new_event_loop()
    asked = loop.create_task(health.areport())
    while not started:
        loop.run_until_complete(asyncio.sleep(0))
    asked.cancel()
    loop.run_until_complete(asyncio.wait([asked]))
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    while asyncio.run(health.areport()).status != "pass":
        pass

    assert 2 <= len(started)


def test_a_loop_that_is_closed_under_a_check_ends_it() -> None:
    """A check that can no longer be cancelled is not waited for forever."""
    started = threading.Event()

    async def check() -> None:
        started.set()
        await asyncio.get_running_loop().create_future()

    health = Health(timeout=10, cache_ttl=0, check=check)
    loop = asyncio.new_event_loop()
    asked = loop.create_task(health.areport())
    while not started.is_set():
        loop.run_until_complete(asyncio.sleep(0))
    tasks = asyncio.all_tasks(loop)
    loop.close()
    [thread] = [thread for thread in threading.enumerate() if "health: check" in thread.name]

    thread.join(PATIENCE)

    assert not thread.is_alive()
    for task in tasks:  # asyncio would report the tasks that this test leaves pending
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
        task.get_coro().close()  # type: ignore[union-attr]
    assert asked in tasks


def test_probes_at_once_run_each_check_once_in_threads(hanging: Hanging) -> None:
    """They wait for the same run, although nothing is cached."""
    health = Health(timeout=10, cache_ttl=0, hangs=hanging)
    waiting = threading.Semaphore(0)

    def probe() -> Report:
        waiting.release()
        return health.report()

    with ThreadPoolExecutor(100) as pool:
        asked = [pool.submit(probe) for _ in range(100)]
        for _ in asked:
            assert waiting.acquire(timeout=PATIENCE)
        hanging.released.set()
        reports = [probe.result(PATIENCE) for probe in asked]

    assert ["pass"] * 100 == [report.status for report in reports]
    assert hanging.runs <= 2  # a thread that was suspended before it asked starts another run


def test_probes_at_once_run_each_check_once_on_a_loop(hanging: Hanging) -> None:
    """Five hundred probes get the same report object."""

    async def main() -> list[Report]:
        health = Health(timeout=10, cache_ttl=0, hangs=hanging)
        asked = [asyncio.create_task(health.areport()) for _ in range(500)]
        await asyncio.sleep(0)
        hanging.released.set()
        return await asyncio.gather(*asked)

    reports = asyncio.run(main())

    assert 1 == hanging.runs
    assert 1 == len({id(report) for report in reports})
    assert "pass" == reports[0].status


def test_a_loop_and_threads_share_a_run(hanging: Hanging) -> None:
    """Sync and async probes at once share one run."""
    health = Health(timeout=10, cache_ttl=PATIENCE, hangs=hanging)
    with ThreadPoolExecutor(2) as pool:
        from_a_loop = pool.submit(awaiting, health)
        assert hanging.entered.acquire(timeout=PATIENCE)
        from_a_thread = pool.submit(blocking, health)
        hanging.released.set()

        assert from_a_loop.result(PATIENCE) is from_a_thread.result(PATIENCE)
    assert 1 == hanging.runs


def test_a_probe_that_disconnects_does_not_end_the_run(hanging: Hanging) -> None:
    """One probe may disconnect; the others get the answer."""

    async def main() -> Report:
        health = Health(timeout=10, hangs=hanging)
        leaves = asyncio.create_task(health.areport())
        stays = asyncio.create_task(health.areport())
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.wait([leaves])
        hanging.released.set()
        return await stays

    assert "pass" == asyncio.run(main()).status
    assert 1 == hanging.runs


def test_a_run_that_no_probe_has_concluded_is_not_reported_later() -> None:
    """A run that no probe has concluded expires."""
    up = True

    def check() -> bool:
        return up

    async def leave(health: Health) -> None:
        asked = asyncio.create_task(health.areport())
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])

    health = Health(timeout=0.05, cache_ttl=0, check=check)
    asyncio.run(leave(health))
    up = False

    while health.report().status == "pass":
        pass


def test_an_answer_is_reused_while_it_is_fresh(ask: Callable[[Health], Report]) -> None:
    """Within `cache_ttl` no check runs again, whether it passes or fails."""
    runs = []

    def check() -> bool:
        runs.append(1)
        return False

    health = Health(cache_ttl=PATIENCE, check=check)

    assert ask(health) is ask(health)
    assert 1 == len(runs)


def test_without_a_cache_each_probe_runs_the_checks(ask: Callable[[Health], Report]) -> None:
    """Each of several probes in a row runs the checks."""
    runs = []
    health = Health(cache_ttl=0, check=lambda: runs.append(1))

    ask(health)
    ask(health)

    assert 2 == len(runs)


def test_a_check_added_later_is_in_the_next_answer() -> None:
    """An answer that is cached without it is dropped."""
    health = Health(cache_ttl=PATIENCE, first=passing)
    health.report()

    @health.check("second")
    def second() -> bool:
        return True

    assert second() is True
    assert {"first": "pass", "second": "pass"} == statuses(health.report())


def test_a_draining_service_is_not_ready_and_runs_no_check(ask: Callable[[Health], Report]) -> None:
    """It is not ready after `drain`, in spite of a cached answer."""
    runs = []
    health = Health(cache_ttl=PATIENCE, check=lambda: runs.append(1))
    ask(health)

    health.drain()

    assert {"status": "fail", "checks": {}} == ask(health).as_dict()
    assert 1 == len(runs)


def test_a_check_fails_if_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that cannot start a thread answers that it is not ready."""

    def start(self: threading.Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    health = Health(check=passing)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        report = health.report()

    assert ("fail", "can't start new thread") == (report.status, report.results[0].error)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_afresh(hanging: Hanging) -> None:
    """The child ignores a run and an acquired lock of its parent."""
    health = Health(timeout=10, cache_ttl=PATIENCE, hangs=hanging)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(health.report)
        assert hanging.entered.acquire(timeout=PATIENCE)
        with health._lock:  # noqa: SLF001 - as another thread of the parent may hold it
            child = os.fork()
        if not child:  # pragma: no cover - it measures nothing
            hanging.released = threading.Event()
            hanging.released.set()
            os._exit(0 if health.report().status == "pass" else 1)
        _, status = os.waitpid(child, 0)
        hanging.released.set()

        assert "pass" == asked.result(PATIENCE).status
    assert 0 == status


def test_a_child_that_was_forked_in_c_starts_afresh(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uWSGI forks its workers without Python's knowledge."""
    health = Health(timeout=0.001, cache_ttl=0, hangs=hanging)
    assert "fail" == health.report().status

    assert hanging.entered.acquire(timeout=PATIENCE)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    health.report()

    assert hanging.entered.acquire(timeout=PATIENCE)  # it runs again
    hanging.released.set()


def test_a_failure_is_logged_when_it_begins_and_when_it_ends(
    ask: Callable[[Health], Report], lines: list[dict[str, Any]]
) -> None:
    """It is logged once, and not per probe, with the error's text and traceback."""
    fails: type[Exception] | None = ConnectionError

    def check() -> None:
        if fails is not None:
            msg = "to postgresql://user:hunter2@db/app"
            raise fails(msg)

    health = Health(cache_ttl=0, database=check)

    for fails in (ConnectionError, ConnectionError, OSError, OSError, None, None):  # noqa: B007 - read by the check
        ask(health)

    failed, changed, recovered = lines
    assert ("error", "health_check_failed", "pantheon_obs.health") == (
        failed["level"],
        failed["event"],
        failed["logger"],
    )
    assert ("database", True, "ConnectionError") == (
        failed["check"],
        failed["critical"],
        failed["error_type"],
    )
    assert "ConnectionError" in failed["exception"]
    assert "hunter2" not in str(lines)
    assert ("health_check_failed", "OSError") == (changed["event"], changed["error_type"])
    assert ("info", "health_check_recovered", "database") == (
        recovered["level"],
        recovered["event"],
        recovered["check"],
    )


def test_a_hung_check_is_logged_once_and_at_its_own_level(
    hanging: Hanging, lines: list[dict[str, Any]]
) -> None:
    """A check that is not critical is a WARNING; without an error there is no traceback."""
    health = Health(timeout=0.05, cache_ttl=0)
    health.check("cache", critical=False)(hanging)

    for _ in range(5):
        health.report()

    [line] = lines
    assert ("warning", "TimeoutError", "no answer within 0.05 s") == (
        line["level"],
        line["error_type"],
        line["error"],
    )
    assert "exception" not in line


def test_errors_of_checks_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames of errors would keep lost connections open."""
    # pytest keeps every record, with its exception.
    monkeypatch.setattr(logging.getLogger("pantheon_obs.health"), "disabled", True)

    class Connection:
        closed = threading.Event()

        def __del__(self) -> None:
            self.closed.set()

    def check() -> None:
        connection = Connection()
        raise ConnectionError(type(connection).__name__)

    health = Health(cache_ttl=PATIENCE, check=check)

    assert "fail" == health.report().status
    assert Connection.closed.wait(PATIENCE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timeout": 0}, "timeout=0 is not accepted: use seconds, more than 0 to 10"),
        ({"timeout": 11}, "timeout=11 is not accepted: use seconds, more than 0 to 10"),
        ({"timeout": float("nan")}, "timeout=nan is not accepted"),
        ({"timeout": "1"}, "timeout='1' is not accepted"),
        ({"timeout": True}, "timeout=True is not accepted"),
        ({"cache_ttl": -1}, "cache_ttl=-1 is not accepted: use seconds, 0 to 3600"),
        ({"details": print}, "details=<built-in function print> is not accepted: use a boolean"),
        ({"database": 5}, "database=5 is not accepted: use a callable without arguments"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    """The message names the argument, its value and the accepted values."""
    with pytest.raises(ConfigError) as raised:
        Health(**arguments)

    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "timeout", "message"),
    [
        ("", None, "name='' is not accepted: use a text that no other check has"),
        (passing, None, "name=<function pas"),
        ("taken", None, "name='taken' is not accepted"),
        ("slow", 0.9, "timeout of 'slow'=0.9 is not accepted: use seconds, more than 0 to 0.8"),
    ],
)
def test_bad_arguments_of_a_check_are_refused(
    name: Any, timeout: float | None, message: str
) -> None:
    """The timeout of a check is at most that of the answer."""
    health = Health(taken=passing)

    with pytest.raises(ConfigError) as raised:
        health.check(name, timeout=timeout)

    assert str(raised.value).startswith(message)


def test_it_works_where_there_is_no_fork() -> None:
    """Windows has no `os.fork`."""
    script = """
import asyncio, os, random  # these ask for the platform, not for the function
del os.register_at_fork
from pantheon_obs import Health
print(Health(nothing=lambda: None).report().status)
"""
    run = run_python(script)

    assert "pass\n" == run.stdout
