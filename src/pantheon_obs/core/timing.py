"""Measure what code of a trace does: find the trace, add to its sums, tell the sinks."""

from __future__ import annotations

from contextvars import ContextVar
from sys import exception
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.calls import call_here
from pantheon_obs.core.context import Trace
from pantheon_obs.core.guard import report
from pantheon_obs.core.in_force import in_force
from pantheon_obs.core.measurements import Operation
from pantheon_obs.core.serving import active
from pantheon_obs.core.times import Times

if TYPE_CHECKING:
    from contextvars import Token

_SITE = "measured time"

_running: ContextVar[Running | None] = ContextVar("pantheon_obs_running", default=None)


class Running:
    """A measured call whose own code runs: calls of the same name within it are a part of it."""

    __slots__ = ("name", "outer", "over", "started", "token", "trace")

    def __init__(self, name: str, trace: Trace, outer: Running | None) -> None:
        self.name = name
        self.trace = trace
        self.outer = outer
        self.over = False
        self.token: Token[Running | None] | None = None
        self.started = perf_counter()


def measuring() -> Trace | None:
    """Return the trace whose time is measured here; None outside of one."""
    trace = active()[1]
    if trace is None or not trace.trace_id or not in_force("measure_time"):
        return None
    return trace


def enter(name: str, *, visible: bool = True) -> Running | None:
    """Begin a measured call; None outside of a trace, and within a call of the same name.

    `visible` says whether the code in this context runs for it until `leave`.
    """
    trace = measuring()
    if trace is None:
        return None
    outer = running = _running.get()
    while running is not None:
        if running.name == name and running.trace is trace and not running.over:
            return None
        running = running.outer
    running = Running(name, trace, outer)
    if visible:
        running.token = _running.set(running)
    return running


def leave(running: Running, error: BaseException | None = None, **facts: Any) -> None:  # noqa: ANN401 - fields of `Operation`
    """End a measured call."""
    hide(running)
    running.over = True
    ended(running.trace, running.name, running.started, error, **facts)


def hide(running: Running) -> None:
    """Take a call out of the context again; a finalizer must set no variable."""
    token, running.token = running.token, None
    if token is None or isinstance(exception(), GeneratorExit):
        return
    try:  # noqa: SIM105 - `suppress` costs more
        _running.reset(token)
    except ValueError:
        pass  # another context, where it was never set


def ended(
    trace: Trace,
    name: str,
    started: float,
    error: BaseException | None = None,
    statement: str | None = None,
    **facts: Any,  # noqa: ANN401 - fields of `Operation`
) -> None:
    """Add a call that ends now to its trace, and tell the sinks that time operations."""
    now = perf_counter()
    try:
        times = times_of(trace)
        if times is not None:
            times.add(name, started, now)
            if statement is not None:
                times.count(statement, facts.get("system", ""))
        if pipeline.timing:
            error_type = None if error is None else type(error).__name__
            pipeline.timed(Operation(name, now - started, error_type, **facts))
    except Exception as fault:  # noqa: BLE001 - the guard, without its cost per call
        report(_SITE, fault)


def cover(trace: Trace, started: float, seconds: float) -> None:
    """Note the time of an LLM call, which has totals of its own, as measured."""
    times = times_of(trace) if in_force("measure_time") else None
    if times is not None:
        times.cover(started, started + seconds)


def times_of(trace: Trace) -> Times | None:
    """Return the sums of a trace; None without a line of its own, and after its last byte."""
    times = trace.times
    if times is None and type(trace) is not Trace:
        times = trace.__dict__.setdefault("times", Times())  # several threads may be the first
    return times if trace.last_byte is None else None


def in_llm_call(trace: Trace) -> bool:
    """Whether the code that runs is that of an open LLM call of the trace."""
    call = call_here() if trace.open_calls else None
    return call is not None and (call in trace.open_calls or bool(call.nested))
