"""Which checks there are, when they run, and what has become of them."""

from __future__ import annotations

import asyncio
import logging
import os
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from pantheon_obs.core.guard import Guard
from pantheon_obs.health.arguments import is_text, refuse, seconds
from pantheon_obs.health.flight import Check, Flight
from pantheon_obs.health.report import CheckResult, Report

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable

    _Function = TypeVar("_Function", bound=Callable[[], object])

LONGEST_TIMEOUT = 10.0
"""Seconds; the ready-made checks give up by themselves after as long."""
_LONGEST_CACHE = 3600.0

_log = logging.getLogger("pantheon_obs.health")
_guard = Guard("health")
_all: WeakSet[Health] = WeakSet()


class Health:
    """The checks of a service, and whether it is ready.

    Checks run in parallel, each in a thread of its own and never twice at once; however many probes
    ask at once or within `cache_ttl`, they get one answer.

    Args:
        timeout: Seconds until the answer is given, more than 0 and at most 10; a check that has
            none of its own has that long. Kubernetes waits 1 s by default.
        cache_ttl: Seconds for which an answer is given again, 0 to 3600.
        details: Whether the answer has the text of errors; else it is in the log only.
        checks: Critical checks by their names: callables, async ones too, that raise or return
            False if something is wrong.

    Raises:
        ConfigError: An argument is not accepted; the message says what is.

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
        self._timeout = seconds("timeout", timeout, LONGEST_TIMEOUT)
        self._cache_ttl = seconds("cache_ttl", cache_ttl, _LONGEST_CACHE, or_zero=True)
        self.details = details
        self.draining = False
        self._checks: dict[str, Check] = {}
        self._failing: dict[str, str] = {}
        self.forget_runs()
        for name, function in checks.items():
            self.check(name)(function)
        _all.add(self)

    def forget_runs(self) -> None:
        """Start without a run, as after a fork: its threads are not in the child."""
        self._lock = Lock()
        self._run: _Run | None = None
        self._flights: dict[str, Flight] = {}

    def check(
        self, name: str, *, critical: bool = True, timeout: float | None = None
    ) -> Callable[[_Function], _Function]:
        """Add a check: as a decorator, or `health.check("cache")(redis_check(client))`.

        Args:
            name: Its name in answers and lines, one that no other check has.
            critical: Whether its failing makes the service not ready (503) or only `warn`.
            timeout: Seconds it may take, at most the timeout of the whole; None means that.

        Returns:
            A decorator that returns the function itself.

        Raises:
            ConfigError: An argument is not accepted; the message says what is.

        Example:
            >>> from pantheon_obs import Health
            >>> health = Health()
            >>> @health.check("model", critical=False, timeout=0.5)
            ... async def model() -> None:
            ...     "Raise if the model is not loaded."
        """
        if not is_text(name) or name in self._checks:
            refuse("name", name, "a text that no other check has")
        limit = self._timeout
        if timeout is not None:
            limit = seconds(f"timeout of {name!r}", timeout, self._timeout)

        def add(function: _Function) -> _Function:
            if not callable(function):
                refuse(name, function, "a callable without arguments")
            with self._lock:
                self._checks[name] = Check(name, function, critical, limit)
                self._run = None  # an answer that is known lacks the new check
            return function

        return add

    def drain(self) -> None:
        """Answer that the service is not ready from now on: it is about to stop.

        Safe in a signal handler.

        Example:
            >>> from pantheon_obs import Health
            >>> health = Health()
            >>> health.drain()
            >>> health.report().status
            'fail'
        """
        self.draining = True

    def report(self) -> Report:
        """Whether the service is ready; blocks for the timeout at most.

        Returns:
            The report, at most `cache_ttl` old.

        Example:
            >>> from pantheon_obs import Health
            >>> Health(nothing=lambda: None).report().status
            'pass'
        """
        if self.draining:
            return Report(draining=True)
        run = self._current_run(None)
        for flight in run.flights:
            flight.wait()
        return self._conclude(run)

    async def areport(self) -> Report:
        """Whether the service is ready, for asyncio: never blocks the loop.

        Returns:
            The report, at most `cache_ttl` old.

        Example:
            >>> import asyncio
            >>> from pantheon_obs import Health
            >>> asyncio.run(Health(nothing=lambda: None).areport()).status
            'pass'
        """
        if self.draining:
            return Report(draining=True)
        run = self._current_run(asyncio.get_running_loop())
        for flight in run.flights:
            await flight.wait_async()
        return self._conclude(run)

    def _current_run(self, loop: AbstractEventLoop | None) -> _Run:
        """The run that answers now: one under way, one that is fresh enough, else a new one."""
        with self._lock:
            if self._run is None or perf_counter() >= self._run.fresh_until:
                # A check that still hangs is not started again.
                flights = [self._flight_of(check, loop) for check in self._checks.values()]
                # Should nobody stay to conclude it, its results are not told much later as fresh.
                self._run = _Run(flights, perf_counter() + self._timeout + self._cache_ttl)
            return self._run

    def _flight_of(self, check: Check, loop: AbstractEventLoop | None) -> Flight:
        flight = self._flights.get(check.name)
        if flight is None or flight.landed:
            flight = self._flights[check.name] = Flight(check, loop)
        return flight

    def _conclude(self, run: _Run) -> Report:
        """The run's report; whoever comes first makes it and logs what has changed."""
        with self._lock:
            if run.report is not None:
                return run.report
            report = run.report = Report(tuple(flight.result() for flight in run.flights))
            run.fresh_until = perf_counter() + self._cache_ttl
            before = self._failing
            self._failing = {
                result.name: result.error_type
                for result in report.results
                if result.error_type is not None
            }
        for flight, result in zip(run.flights, report.results, strict=True):
            error, flight.error = flight.error, None
            if result.error_type != before.get(result.name):
                with _guard:
                    _log_change(result, error)
        return report


class _Run:
    """One run of all checks.

    Attributes:
        flights: One per check.
        fresh_until: The time of `perf_counter` from which on probes start another.
        report: How it has gone, once that is known.
    """

    def __init__(self, flights: Iterable[Flight], fresh_until: float) -> None:
        self.flights = tuple(flights)
        self.fresh_until = fresh_until
        self.report: Report | None = None


def _log_change(result: CheckResult, error: BaseException | None) -> None:
    """One line when a check begins to fail, fails in another way, or passes again."""
    fields: dict[str, Any] = {"check": result.name, "critical": result.critical}
    fields["latency_ms"] = result.latency_ms
    if result.error_type is None:
        _log.info("health_check_recovered", extra=fields)
        return
    fields["error_type"] = result.error_type
    fields["error"] = result.error
    level = logging.ERROR if result.critical else logging.WARNING
    _log.log(level, "health_check_failed", exc_info=error, extra=fields)


def _after_fork() -> None:
    for health in list(_all):
        health.forget_runs()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
