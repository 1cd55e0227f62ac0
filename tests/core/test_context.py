"""The current trace, and the fields that are bound to it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING

import pytest
import structlog

from pantheon_obs import bind, current_trace_id, get_logger, trace_context
from pantheon_obs.core.context import Trace, begin, current_trace, end
from pantheon_obs.core.events import LlmCallFinished
from pantheon_obs.core.llm_events import LlmTotals
from pantheon_obs.propagation import carry
from pantheon_obs.testing import capture_events

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def trace(trace_id: str) -> Iterator[Trace]:
    """Make a trace current, as an adapter does."""
    current = Trace(trace_id)
    begin(current)
    try:
        yield current
    finally:
        end(current)


def test_outside_of_a_trace_the_id_is_the_empty_string() -> None:
    """`current_trace_id` always has a string."""
    assert "" == current_trace_id.get()


@pytest.mark.parametrize("given", ["import-1", "0af7651916cd43dd8448eb211c80319c"])
def test_a_job_has_the_trace_that_it_was_given(given: str) -> None:
    """The id that came with the job is current in the block, and is gone after it."""
    with trace_context(given) as trace_id:
        assert given == trace_id == current_trace_id.get()

    assert "" == current_trace_id.get()


class Unreadable:
    """Fails when it is read."""

    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "é", "\ud800", Unreadable()])
def test_a_job_without_a_valid_id_gets_a_fresh_one(given: object) -> None:
    """A value that is no id is replaced, and no line shows it."""
    with capture_events() as events, trace_context(given) as trace_id:
        pass

    assert 36 == len(trace_id)
    assert {"telemetry_failed"} >= {event["event"] for event in events}


def test_a_refused_id_of_a_job_is_reported_at_debug() -> None:
    """The one line does not have the raw value."""
    with capture_events() as events:
        from pantheon_obs import configure_logging  # noqa: PLC0415 - within the capture

        configure_logging(log_level="DEBUG")
        with trace_context("not valid") as trace_id:
            pass

    [refusal] = [event for event in events if event["event"] == "trace_id_refused"]
    assert ("debug", "trace_context") == (refusal["level"], refusal["source"])
    assert trace_id == refusal["trace_id"]
    assert "not valid" not in str(refusal)


def test_traces_nest_and_one_manager_can_be_used_again() -> None:
    """The outer trace is current again after the inner one, with its bound fields."""
    job = trace_context("job")
    with job:
        bind(tenant="acme")
        structlog.contextvars.bind_contextvars(user="alice")
        with job, trace_context("inner"):
            assert "inner" == current_trace_id.get()
            assert {} == structlog.contextvars.get_contextvars()
            structlog.contextvars.bind_contextvars(user="bob")
        assert {"user": "alice"} == structlog.contextvars.get_contextvars()
        with capture_events() as events:
            get_logger("test").info("after")

    assert ("job", "acme", "alice") == (
        events[0]["trace_id"],
        events[0]["tenant"],
        events[0]["user"],
    )
    assert {} == structlog.contextvars.get_contextvars()


def test_a_trace_ends_also_where_its_block_raises() -> None:
    """The exception escapes from the block, and the context is restored."""
    with pytest.raises(ZeroDivisionError), trace_context("job"):
        raise ZeroDivisionError

    assert "" == current_trace_id.get()


def test_a_field_that_a_thread_binds_is_bound_for_the_whole_trace() -> None:
    """All copies of the context share the trace."""
    with trace("job") as current:
        context = copy_context()
        thread = threading.Thread(target=context.run, args=(lambda: bind(tenant="acme"),))
        thread.start()
        thread.join()

    assert {"tenant": "acme"} == current.bound


def test_binding_outside_of_a_trace_is_for_this_context_only() -> None:
    """Later lines of this context have the fields; a trace that begins there does not."""

    async def main() -> None:
        bind(worker=7)
        bind(shard=1, worker=8)
        get_logger("test").info("outside")
        with trace_context("job"):
            get_logger("test").info("inside")

    with capture_events() as events:
        asyncio.run(main())
        get_logger("test").info("elsewhere")

    assert [(8, 1), (None, None), (None, None)] == [
        (event.get("worker"), event.get("shard")) for event in events
    ]


def test_ending_in_another_context_does_no_harm() -> None:
    """A generator or coroutine may be closed in another context, and ends its trace there."""
    current = Trace("job")
    copy_context().run(begin, current)

    with trace_context("other"):
        end(current)

        assert "other" == current_trace_id.get()
    assert current.ended


class Call:
    """A call in progress."""

    nested = False
    started = 0.0

    def __init__(self, current: Trace, *, fails: bool = False) -> None:
        current.open_calls.add(self)
        self.current = current
        self.fails = fails
        self.finished = 0

    def force_finish(self) -> None:
        """End, as an LLM call does."""
        self.finished += 1
        self.current.open_calls.discard(self)
        if self.fails:
            raise ZeroDivisionError


def test_calls_that_are_open_are_finished_with_their_trace() -> None:
    """Each call is finished once, even if another one fails to finish."""
    with trace("job") as current:
        calls = [Call(current), Call(current, fails=True), Call(current)]

    assert [1, 1, 1] == [call.finished for call in calls]
    assert current_trace.get() is None


def call(**fields: object) -> LlmCallFinished:
    """A finished call."""
    known: dict[str, object] = {
        "trace_id": "t",
        "bound": {},
        "operation": "generate",
        "model_alias": "small",
        "latency_ms": 10.0,
        "outcome": "ok",
        "usage_status": "missing",
    }
    return LlmCallFinished(**(known | fields))  # type: ignore[arg-type]


def test_a_trace_adds_up_its_calls() -> None:
    """Tokens and cost are known if those of any call are; calls without usage are counted."""
    current = Trace("job")
    assert current.llm is None

    current.add_call(call(outcome="error"))
    first = current.llm
    assert isinstance(first, LlmTotals)
    assert (1, 1, 10.0, None, None, None, 1) == totals(first)

    current.add_call(call(usage_status="reported", input_tokens=3, output_tokens=4, cost_usd=0.5))
    current.add_call(call(usage_status="partial", input_tokens=1, cost_usd=0.25))
    current.add_call(call(usage_status="error"))
    assert first is current.llm
    assert (4, 1, 40.0, 4, 4, 0.75, 2) == totals(first)


def totals(of: LlmTotals) -> tuple[object, ...]:
    """Return all totals of a trace."""
    tokens = (of.input_tokens, of.output_tokens)
    return (of.calls, of.errors, of.latency_ms, *tokens, of.cost_usd, of.usage_missing)


class UnmarkableError(Exception):
    """An error that takes no attributes."""

    __dict__ = None  # type: ignore[assignment]


def test_an_error_that_takes_no_marks_passes_as_it_is() -> None:
    """The failure cannot be recorded, and the error escapes unchanged."""

    def fail() -> None:
        raise UnmarkableError

    with pytest.raises(UnmarkableError), trace_context("job-1"):
        fail()
    with trace_context("job-1"):
        carried = carry(fail)
    with pytest.raises(UnmarkableError):
        carried()
