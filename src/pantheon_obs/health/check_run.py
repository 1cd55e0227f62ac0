"""One run of one check, which may outlive the probe that started it, and one round of all."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from inspect import isawaitable
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.health.results import CheckResult, Report, raise_if_failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.health.loops import Loop

_log = logging.getLogger("pantheon_obs.health")


@dataclass(frozen=True, slots=True)
class Check:
    """A condition of the service's readiness, which is not ready while a critical one fails."""

    name: str
    function: Callable[[], object]  # may be async; fails as `raise_if_failed` says
    critical: bool
    timeout: float  # seconds


class CheckRun:
    """A check that runs, or has run, in a daemon thread of its own.

    It has a thread of its own because a check that hangs must not occupy a worker of a pool, or
    block the end of the process. The awaitable of an async check runs on the event loop of the
    probe that started it, so that clients bound to that loop work; without one, on a new loop.
    """

    def __init__(self, check: Check, loop: Loop) -> None:
        self.check = check
        self.started = perf_counter()
        self.error: BaseException | None = None
        self._latency: float | None = None
        self._loop = loop
        self.ended: Future[None] = Future()
        self.ended.set_running_or_notify_cancel()  # a probe that disconnects does not cancel it

    def start(self) -> None:
        """Start the thread."""
        name = f"pantheon-obs health: {self.check.name}"
        try:
            Thread(target=self._run, name=name, daemon=True).start()
        except RuntimeError as error:  # the process may start no more threads
            self._finish(error)

    def wait(self) -> None:
        """Block until the check has ended or timed out."""
        with suppress(TimeoutError):
            self.ended.result(self._seconds_left())

    async def wait_on(self, loop: Loop) -> None:
        """Wait, without blocking the loop, until the check has ended or timed out."""
        seconds = self._seconds_left()
        if seconds and not self.ended.done():  # each wait leaves a callback with the future
            await loop.wait(self.ended, seconds)

    def result(self) -> CheckResult:
        """Describe the state of the check now."""
        latency = self._latency
        error_type = error = None
        if latency is None or latency > self.check.timeout:
            error_type = TimeoutError.__name__
            error = f"no answer within {self.check.timeout:g} s"
        elif self.error is not None:
            error_type = type(self.error).__name__
            error = ""
            with suppress(Exception):  # an error with a broken __str__ still fails the check
                error = str(self.error)
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
                answer = self._loop.result_of(answer, self._seconds_left())
            raise_if_failed(answer)
        except BaseException as error:  # noqa: BLE001 - the thread ends here
            self._finish(error)
        else:
            self._finish(None)

    def _finish(self, error: BaseException | None) -> None:
        latency = perf_counter() - self.started
        if latency <= self.check.timeout:
            # A later error is not reported, and its frames would keep connections alive.
            self.error = error
        self._latency = latency
        self.ended.set_result(None)


@dataclass(slots=True)
class Round:
    """One run of all checks; after `fresh_until` a probe starts another round."""

    runs: list[CheckRun]
    fresh_until: float  # by perf_counter
    report: Report | None = None  # once it is concluded


def log_change(result: CheckResult, error: BaseException | None) -> None:
    """Log that a check begins to fail, fails with another error, or passes again."""
    fields = {"check": result.name, "critical": result.critical, "latency_ms": result.latency_ms}
    if result.error_type is None:
        _log.info("health_check_recovered", extra=fields)
        return
    fields |= {"error_type": result.error_type, "error": result.error}
    level = logging.ERROR if result.critical else logging.WARNING
    _log.log(level, "health_check_failed", exc_info=error, extra=fields)
