"""Start the checks of a service, share their results, and log changes: `Health`."""

from __future__ import annotations

import os
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from pantheon_obs.core import pipeline
from pantheon_obs.core.errors import refuse, refuse_unless_text
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.measurements import CheckEnded
from pantheon_obs.health.check_run import Check, CheckRun, Round, log_change
from pantheon_obs.health.lifespans import Lifespans
from pantheon_obs.health.loops import NoLoop, current_loop
from pantheon_obs.health.results import Report, refuse_unless_check

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.health.loops import Loop

    _Function = TypeVar("_Function", bound=Callable[[], object])

LONGEST_TIMEOUT = 10.0
"""Seconds; also the timeout of each network call of the ready-made checks."""

_guard = Guard("health")


class Health:
    """The checks of a service, and whether it is ready.

    Checks run in parallel, each in a thread of its own and never twice at once. All probes that ask
    at once or within `cache_ttl` get the same answer.

    Args:
        timeout: Seconds until the answer is given, more than 0 and at most 10; also the default
            timeout of a check. Kubernetes waits 1 s by default.
        cache_ttl: Seconds for which an answer is reused, 0 to 3600.
        details: Whether the answer has the text of errors; else only the log has it.
        checks: Critical checks by their names: callables, sync or async. A check fails by raising,
            or by returning a falsy value other than None, a tuple that begins with one, a mapping
            with a falsy `ok` or the `status` `fail`, or a response with a status from 400 on.

    Raises:
        ConfigError: An argument is not accepted.

    Example:
        >>> from pantheon_obs import Health
        >>> from pantheon_obs.health import tcp_check
        >>> health = Health(database=tcp_check("127.0.0.1", 5432))
        >>> @health.check("disk", critical=False)
        ... def disk() -> bool:
        ...     return True
    """

    def __init__(
        self,
        *,
        timeout: float = 0.8,
        cache_ttl: float = 1.0,
        details: bool = False,
        **checks: Callable[[], object],
    ) -> None:
        self._timeout = _seconds("timeout", timeout, LONGEST_TIMEOUT)
        self._cache_ttl = _seconds("cache_ttl", cache_ttl, 3600.0, or_zero=True)
        if type(details) is not bool:
            refuse("details", details, "a boolean")
        self.details = details
        self.drained = False
        self.lifespans = Lifespans()
        self._checks: dict[str, Check] = {}
        self._failing: dict[str, str] = {}
        self._begin()
        for name, function in checks.items():
            self.check(name)(function)

    def _begin(self) -> None:
        """Begin without running checks: a child process does not have their threads."""
        self._process = os.getpid()
        self._lock = Lock()
        self._round: Round | None = None
        self._runs: dict[str, CheckRun] = {}

    def check(
        self, name: str, *, critical: bool = True, timeout: float | None = None
    ) -> Callable[[_Function], _Function]:
        """Add a check: as a decorator, or `health.check("cache")(redis_check(client))`.

        Args:
            name: Its name in answers and log lines; no other check has it.
            critical: Whether the service is not ready (503) or only `warn` while it fails.
            timeout: Seconds it may take, at most the timeout of all; None means that timeout.

        Returns:
            A decorator that returns the function itself.

        Raises:
            ConfigError: An argument is not accepted.

        Example:
            >>> from pantheon_obs import Health
            >>> health = Health()
            >>> @health.check("model", critical=False, timeout=0.5)
            ... async def model() -> None:
            ...     "Raise if the model is not loaded."
        """
        accepted = "a text that no other check has"
        if callable(name):
            accepted = f'@health.check("{getattr(name, "__name__", "name")}")'
        refuse_unless_text("name", name, accepted)
        if name in self._checks:
            refuse("name", name, accepted)
        limit = self._timeout
        if timeout is not None:
            limit = _seconds(f"timeout of {name!r}", timeout, self._timeout)

        def add(function: _Function) -> _Function:
            refuse_unless_check(name, function)
            with self._lock:
                self._checks[name] = Check(name, function, critical, limit)
                self._round = None  # its answer lacks the new check
            return function

        return add

    def drain(self) -> None:
        """Answer from now on that the service is not ready, because it is about to stop.

        Safe in a signal handler.

        Example:
            >>> from pantheon_obs import Health
            >>> health = Health()
            >>> health.drain()
            >>> health.report().status
            'fail'
        """
        self.drained = True

    @property
    def draining(self) -> bool:
        """Whether `drain` was called, or the lifespans of all its ASGI applications have ended."""
        return self.drained or self.lifespans.over

    def report(self) -> Report:
        """Find out whether the service is ready; blocks for the timeout at most.

        Returns:
            The report, at most `cache_ttl` old.

        Example:
            >>> from pantheon_obs import Health
            >>> Health(nothing=lambda: None).report().status
            'pass'
        """
        return Report(draining=True) if self.draining else self.run_checks()

    async def areport(self) -> Report:
        """Find out whether the service is ready, without blocking the event loop.

        Returns:
            The report, at most `cache_ttl` old.

        Example:
            >>> import asyncio
            >>> from pantheon_obs import Health
            >>> asyncio.run(Health(nothing=lambda: None).areport()).status
            'pass'
        """
        return Report(draining=True) if self.draining else await self.arun_checks()

    def run_checks(self) -> Report:
        """Run the checks for `report`, whether the service drains or not."""
        current = self._current_round(NoLoop())
        for run in current.runs:
            run.wait()
        return self._conclude(current)

    async def arun_checks(self) -> Report:
        """Run the checks for `areport`, whether the service drains or not."""
        loop = current_loop()
        current = self._current_round(loop)
        for run in current.runs:
            await run.wait_on(loop)
        return self._conclude(current)

    def _current_round(self, loop: Loop) -> Round:
        """Return the round that answers now; a new one, unless the last one is fresh."""
        new: list[CheckRun] = []
        if os.getpid() != self._process:  # a server in C forks behind Python's back
            self._begin()
        with self._lock:
            if self._round is None or perf_counter() >= self._round.fresh_until:
                for name, check in self._checks.items():
                    run = self._runs.get(name)
                    if run is None or run.ended.done():  # else the last run still hangs
                        run = self._runs[name] = CheckRun(check, loop)
                        new.append(run)
                runs = [self._runs[name] for name in self._checks]
                # If all probes disconnect, the round is not concluded, and it must expire as well.
                self._round = Round(runs, perf_counter() + self._timeout + self._cache_ttl)
            current = self._round
        for run in new:  # without the lock: to start a greenlet, another one may get its turn
            run.start()
        return current

    def _conclude(self, current: Round) -> Report:
        """Return the report of a round; the first caller makes it and logs the changes."""
        with self._lock:
            if current.report is not None:
                return current.report
            report = current.report = Report(tuple(run.result() for run in current.runs))
            current.fresh_until = perf_counter() + self._cache_ttl
            before = self._failing
            self._failing = {r.name: r.error_type for r in report.results if r.error_type}
        for run, result in zip(current.runs, report.results, strict=True):
            pipeline.emit_measurement(
                CheckEnded(
                    check=result.name,
                    passed=not result.error_type,
                    seconds=result.latency_ms / 1000,
                )
            )
            error, run.error = run.error, None
            if result.error_type != before.get(result.name):
                with _guard:
                    log_change(result, error)
        return report


def _seconds(name: str, value: Any, most: float, *, or_zero: bool = False) -> float:
    """Read a number of seconds, above 0 or from 0 on."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (0 < value <= most or (or_zero and value == 0)):
        least = "0" if or_zero else "more than 0"
        refuse(name, value, f"seconds, {least} to {most:g}")
    return float(value)
