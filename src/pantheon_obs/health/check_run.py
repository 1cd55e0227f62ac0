"""One run of one check, which may outlive the probe that started it."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_threads
from contextlib import suppress
from dataclasses import dataclass
from inspect import isawaitable
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.errors import ObsError
from pantheon_obs.health.report import CheckResult

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable

_LOOK_AT_LOOP = 1.0  # seconds between two looks at whether the loop of an async check is closed


class CheckFailedError(ObsError):
    """A check has returned False."""


@dataclass(frozen=True, slots=True)
class Check:
    """A condition of the service's readiness.

    Attributes:
        name: Its name.
        function: Passes by returning, fails by raising or by returning False; may be async.
        critical: Whether the service is not ready while it fails.
        timeout: Seconds after which it has failed.
    """

    name: str
    function: Callable[[], object]
    critical: bool
    timeout: float


class CheckRun:
    """A check that runs, or has run, in a daemon thread of its own.

    It has a thread of its own because a check that hangs must not occupy a worker of a pool, or
    block the end of the process. The awaitable of an async check runs on the event loop of the
    probe that started it, so that clients bound to that loop work; without one, on a new loop.

    Args:
        check: The check.
        loop: The event loop that runs here; None without one.
    """

    def __init__(self, check: Check, loop: AbstractEventLoop | None) -> None:
        self.check = check
        self.started = perf_counter()
        self.error: BaseException | None = None
        self._latency: float | None = None
        self._loop = loop
        self._done: Future[None] = Future()
        self._done.set_running_or_notify_cancel()  # a probe that disconnects does not cancel it
        thread = Thread(target=self._run, name=f"pantheon-obs health: {check.name}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the process may start no more threads
            self._finish(error)

    @property
    def done(self) -> bool:
        """Whether the check has ended."""
        return self._done.done()

    def wait(self) -> None:
        """Block until the check has ended or timed out."""
        with suppress(TimeoutError):
            self._done.result(self._seconds_left())

    async def wait_async(self) -> None:
        """Wait, without blocking the loop, until the check has ended or timed out."""
        seconds = self._seconds_left()
        if seconds and not self.done:  # each wait leaves a callback with the future
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(self._done), seconds)

    def result(self) -> CheckResult:
        """Describe the state of the check now."""
        latency = self._latency
        error_type = error = None
        if latency is None or latency > self.check.timeout:
            error_type = TimeoutError.__name__
            error = f"no answer within {self.check.timeout:g} s"
        elif self.error is not None:
            error_type = type(self.error).__name__
            error = _text_of(self.error)
        if latency is None:
            latency = perf_counter() - self.started
        return CheckResult(
            name=self.check.name,
            critical=self.check.critical,
            latency_ms=round(latency * 1000, 3),
            error_type=error_type,
            error=error,
        )

    def _seconds_left(self) -> float:
        return max(0.0, self.started + self.check.timeout - perf_counter())

    def _run(self) -> None:
        try:
            answer = self.check.function()
            if isawaitable(answer):
                answer = self._result_of(answer)
        except BaseException as error:  # noqa: BLE001 - the thread ends here
            self._finish(error)
        else:
            self._finish(CheckFailedError("the check returned False") if answer is False else None)

    def _result_of(self, awaitable: Awaitable[Any]) -> object:
        """Wait for an async check; it is cancelled when it has timed out."""

        async def bounded() -> object:
            async with asyncio.timeout(self._seconds_left()):
                return await awaitable

        if self._loop is None:
            return asyncio.run(bounded())
        future = asyncio.run_coroutine_threadsafe(bounded(), self._loop)
        while not wait_for_threads([future], _LOOK_AT_LOOP).done:
            if self._loop.is_closed():
                msg = "the event loop was closed while the check was running"
                raise RuntimeError(msg)
        return future.result()

    def _finish(self, error: BaseException | None) -> None:
        latency = perf_counter() - self.started
        if latency <= self.check.timeout:
            # A later error is not reported, and its frames would keep connections alive.
            self.error = error
        self._latency = latency
        self._done.set_result(None)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an error with a broken __str__ still fails the check
        return ""
