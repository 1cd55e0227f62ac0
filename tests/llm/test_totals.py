"""The LLM totals of a trace, whichever code makes the calls."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import bind, current_trace_id, llm_call, trace_context
from pantheon_obs.core.context import Trace, begin, current_trace, end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

CALLS = 50


@llm_call
def generate(number: int) -> dict[str, Any]:
    """Answer, or fail every fifth time."""
    if number % 5 == 0:
        raise ValueError
    return {"usage": {"input_tokens": 10, "output_tokens": number}}


@llm_call
async def agenerate(number: int) -> dict[str, Any]:
    """Answer after a turn of the event loop."""
    await asyncio.sleep(0)
    return generate.__wrapped__(number)  # type: ignore[attr-defined, no-any-return]


def totals(trace: Trace) -> tuple[int | None, ...]:
    """Return the calls, errors and tokens of a trace."""
    llm = trace.llm
    assert llm is not None
    return llm.calls, llm.errors, llm.input_tokens, llm.output_tokens


EXPECTED = (CALLS, 10, 400, sum(number for number in range(CALLS) if number % 5))


def quietly(function: Callable[[int], object], number: int) -> None:
    """Call the function, and ignore its failure."""
    with suppress(ValueError):
        function(number)


def test_calls_made_one_after_the_other_are_added_up(events: Events) -> None:
    """Counts, tokens and latencies are added up."""
    trace = Trace("request")
    begin(trace)
    for number in range(CALLS):
        quietly(generate, number)
    end(trace)

    assert EXPECTED == totals(trace)
    assert trace.llm is not None
    assert pytest.approx(sum(event.latency_ms for event in events)) == trace.llm.latency_ms


def test_calls_from_threads_are_added_up(events: Events) -> None:
    """No call of several threads is lost."""
    trace = Trace("request")
    begin(trace)
    with ThreadPoolExecutor(8) as pool:
        for number in range(CALLS):
            pool.submit(contextvars.copy_context().run, quietly, generate, number)
    end(trace)

    assert EXPECTED == totals(trace)


def test_calls_gathered_in_tasks_are_added_up(events: Events) -> None:
    """Each task has a copy of the context, and all share the trace."""

    async def main() -> Trace:
        trace = Trace("request")
        begin(trace)
        await asyncio.gather(*map(agenerate, range(CALLS)), return_exceptions=True)
        end(trace)
        return trace

    assert EXPECTED == totals(asyncio.run(main()))


def test_requests_at_the_same_time_are_kept_apart(events: Events) -> None:
    """Each call has the trace id of its own request, and counts there."""

    async def request(trace_id: str, calls: int) -> Trace:
        trace = Trace(trace_id)
        begin(trace)
        for number in range(1, calls + 1):
            await agenerate(number)
        end(trace)
        return trace

    async def main() -> list[Trace]:
        return await asyncio.gather(*(request(f"r{calls}", calls) for calls in (1, 2, 3)))

    assert [(calls, 0, 10 * calls, sum(range(calls + 1))) for calls in (1, 2, 3)] == [
        totals(trace) for trace in asyncio.run(main())
    ]
    assert ["r1", "r2", "r2", "r3", "r3", "r3"] == sorted(event.trace_id for event in events)


def test_a_stream_counts_where_it_was_asked_for(events: Events) -> None:
    """It does not count where it is read, because a worker thread has another context."""

    @llm_call
    def chunks() -> Iterator[str]:
        yield "a"
        yield "b"

    trace = Trace("request")
    begin(trace)
    stream = chunks()
    next(stream)
    with ThreadPoolExecutor(1) as pool:
        assert ["b"] == pool.submit(list, stream).result()
    end(trace)

    assert (1, 0, None, None) == totals(trace)
    assert ["request"] == [event.trace_id for event in events]


def test_an_observed_stream_changes_no_context(events: Events) -> None:
    """Between two chunks the consumer finds its own context, and nothing to reset."""

    @llm_call
    async def chunks() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def main() -> None:
        before = dict(contextvars.copy_context())
        stream = chunks()
        async for _ in stream:
            assert before == dict(contextvars.copy_context())

    asyncio.run(main())


def test_bound_fields_are_on_the_event(events: Events) -> None:
    """Fields that are bound after the start of the call are on the event too."""
    with trace_context("job"), llm_call(model="fast"):
        bind(tenant="acme")

    [event] = events
    assert ("job", {"tenant": "acme"}) == (event.trace_id, event.bound)


def test_outside_a_request_there_is_no_trace(events: Events) -> None:
    """Outside a request the event has neither a trace id nor bound fields."""
    assert current_trace.get() is None
    quietly(generate, 1)

    [event] = events
    assert ("", {}) == (event.trace_id, event.bound)
    assert "" == current_trace_id.get()


def test_a_call_that_begins_after_its_request_is_reported_at_its_own_end(events: Events) -> None:
    """Work that outlives its request still has the trace id."""
    trace = Trace("request")
    begin(trace)
    context = contextvars.copy_context()
    end(trace)
    stream = context.run(llm_call(lambda: (chunk for chunk in "ab")))
    assert not trace.open_calls  # an open call would never be ended
    assert ["a", "b"] == list(stream)

    [event] = events
    assert ("request", "ok") == (event.trace_id, event.outcome)


def test_a_trace_forgets_the_calls_that_have_ended(events: Events) -> None:
    """A long request does not keep its finished calls."""
    trace = Trace("request")
    begin(trace)
    for number in range(1, 4):
        generate(number)
    open_ = llm_call(lambda: (chunk for chunk in "ab"))()
    assert 1 == len(trace.open_calls)
    list(open_)
    assert 0 == len(trace.open_calls)
    end(trace)


class EndsAnother:
    """A finished call; the garbage collector ends another one while it is counted."""

    outcome = "ok"
    usage_status = "reported"
    input_tokens = output_tokens = 1
    cost_usd = None
    unpriced = 0

    def __init__(self, trace: Trace, other: Any) -> None:
        self._trace = trace
        self._other = other

    @property
    def latency_ms(self) -> float:
        """End the other call while the totals change."""
        self._trace.add_call(self._other)
        return 1.0


def test_a_call_that_ends_while_another_is_counted_is_counted_too() -> None:
    """A finalizer runs on the same thread, so a lock would wait for itself."""
    trace = Trace("request")
    other: Any = SimpleNamespace(
        outcome="ok",
        usage_status="reported",
        latency_ms=2.0,
        input_tokens=1,
        output_tokens=1,
        cost_usd=None,
        unpriced=0,
    )
    ending: Any = EndsAnother(trace, other)
    counting = Thread(target=trace.add_call, args=(ending,), daemon=True)
    counting.start()
    counting.join(10)

    assert not counting.is_alive()
    assert (2, 0, 2, 2) == totals(trace)
