"""Measure the code of a trace: find the trace, add to its sums, notify the sinks."""

from __future__ import annotations

from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.calls import call_here
from pantheon_obs.core.context import Trace, current_trace
from pantheon_obs.core.in_force import in_force
from pantheon_obs.core.measurements import Operation
from pantheon_obs.core.serving import active
from pantheon_obs.core.times import MOST_WAITING, UNNAMED, Times, statement_of

if TYPE_CHECKING:
    from contextvars import Token

    from pantheon_obs.core.times import Statement

_NO_FACTS: dict[str, Any] = {}

_running: ContextVar[Running | None] = ContextVar("pantheon_obs_running", default=None)


class Running:
    """A measured call whose own code runs: calls of the same name within it are a part of it."""

    __slots__ = ("calls", "name", "outer", "over", "started", "token", "trace")

    name: str
    calls: int  # 0 for a further step of a generator
    trace: Trace
    outer: Running | None
    over: bool
    token: Token[Running | None] | None
    started: float


def measuring() -> Trace | None:
    """Return the trace whose time is measured here; None outside of one."""
    trace = current_trace.get()
    if trace is not None and (trace.times is None or trace.ended):
        trace = active()[1]
        if trace is None or not trace.trace_id or not in_force("measure_time"):
            return None
        if type(trace) is not Trace:  # it has a line
            sums_of(trace)
    return trace


def sums_of(trace: Trace) -> Times | None:
    """Return the sums of a trace, which begin here at the latest; None if time is not measured."""
    if trace.times is None and in_force("measure_time"):
        trace.__dict__.setdefault("times", Times())  # several threads may be the first
    return trace.times


def enter(name: str, *, visible: bool = True, calls: int = 1) -> Running | None:
    """Begin a measured call; None outside of a trace, and within a call of the same name.

    `visible` says whether the code in this context runs for it until `leave`.
    """
    trace = current_trace.get()
    if trace is None:
        return None
    if trace.times is None or trace.ended:
        trace = measuring()
        if trace is None:
            return None
    outer = around = _running.get()
    while around is not None:
        if around.name == name and around.trace is trace and not around.over:
            return None
        around = around.outer
    running = Running()  # without an __init__, which would cost 0.2 µs
    running.name = name
    running.calls = calls
    running.trace = trace
    running.outer = outer
    running.over = False
    running.token = _running.set(running) if visible else None
    running.started = perf_counter()
    return running


def leave(
    running: Running, error: BaseException | None = None, facts: dict[str, Any] = _NO_FACTS
) -> None:
    """End a measured call; `facts` are fields of `Operation`."""
    now = perf_counter()
    running.over = True
    # A coroutine that a finalizer closes must set no variable.
    if running.token is not None and (error is None or not isinstance(error, GeneratorExit)):
        try:  # noqa: SIM105 - `suppress` costs more
            _running.reset(running.token)
        except ValueError:
            pass  # another context, where it was never set
    trace = running.trace
    times = trace.times
    if times is not None and trace.last_byte is None:
        waiting = times.waiting  # as `Times.add`, without its call
        waiting.append((running.started, now, running.name, running.calls, None))
        if len(waiting) >= MOST_WAITING:
            times.add_up()
    if pipeline.timing and running.calls:
        _tell(running.name, now - running.started, error, facts)


def ended(  # noqa: PLR0913 - the last three are known of few calls
    trace: Trace,
    name: str,
    started: float,
    error: BaseException | None = None,
    facts: dict[str, Any] = _NO_FACTS,
    *,
    statement: Statement | None = None,
) -> None:
    """Add a call that ends now, and was no `Running` one."""
    now = perf_counter()
    if trace.times is not None and trace.last_byte is None:
        trace.times.add(name, started, now, 1, statement)
    if pipeline.timing:
        _tell(name, now - started, error, facts)


def queried(
    trace: Trace, started: float, error: BaseException | None, text: object, system: str
) -> None:
    """Add a database statement that ends now; without a text it is not counted as repeated."""
    ended(trace, "db", started, error, {"system": system}, statement=statement_of(text, system))


def add_llm_call(trace: Trace, started: float, seconds: float) -> None:
    """Note the time of an LLM call, which has totals of its own, as measured."""
    times = sums_of(trace)
    if times is not None:
        times.add(UNNAMED, started, started + seconds)


def add_open_calls(trace: Trace) -> None:
    """Note the time of the LLM calls that are still open, up to now, as measured."""
    now = perf_counter()
    for call in tuple(trace.open_calls):
        add_llm_call(trace, call.started, now - call.started)


def in_llm_call(trace: Trace) -> bool:
    """Whether the code that runs belongs to an open LLM call of the trace."""
    call = call_here() if trace.open_calls else None
    return call is not None and (call in trace.open_calls or bool(call.nested))


def _tell(name: str, seconds: float, error: BaseException | None, facts: dict[str, Any]) -> None:
    error_type = None if error is None else type(error).__name__
    pipeline.timed(Operation(name=name, seconds=seconds, error_type=error_type, **facts))
