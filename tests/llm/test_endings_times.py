"""The times on the event, which separate the model's time from the consumer's."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import llm_call
from tests.llm.kinds import ASYNC, SYNC, Kind
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

ROLE = {"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
WORD = {"choices": [{"delta": {"content": "a"}, "finish_reason": None}]}
STOP = {"choices": [{"delta": {}, "finish_reason": "stop"}]}

STEP = 0.008  # seconds: the model takes one for each chunk and for the end
STEP_MS = STEP * 1000
PAUSE = 0.012  # the consumer takes one after each chunk
PAUSE_MS = PAUSE * 1000


def script() -> Iterator[Any]:
    """Give chunks, of which the first has no content."""
    for chunk in (ROLE, WORD, STOP):
        time.sleep(STEP)
        yield chunk
    time.sleep(STEP)


async def ascript() -> AsyncIterator[Any]:
    """Give chunks, of which the first has no content."""
    for chunk in (ROLE, WORD, STOP):
        await asyncio.sleep(STEP)
        yield chunk
    await asyncio.sleep(STEP)


def broken() -> Iterator[Any]:
    """Give two chunks, then fail as a cut connection."""
    for chunk in (ROLE, WORD):
        time.sleep(STEP)
        yield chunk
    time.sleep(STEP)
    raise ConnectionError


async def abroken() -> AsyncIterator[Any]:
    """Give two chunks, then fail as a cut connection."""
    for chunk in (ROLE, WORD):
        await asyncio.sleep(STEP)
        yield chunk
    await asyncio.sleep(STEP)
    raise ConnectionError


def check(events: Events, steps: int, pauses: int) -> None:
    """Check that a time has so many of the model's steps and of the consumer's pauses.

    A sleep may take longer than requested. So each time has a lower bound, and the other times
    give its upper bound.
    """
    collect_garbage()
    [event] = events
    assert event.ttfc_ms is not None
    assert event.ttft_ms is not None
    assert event.producer_ms is not None
    assert STEP_MS <= event.ttfc_ms
    assert event.ttfc_ms + STEP_MS + PAUSE_MS <= event.ttft_ms
    assert steps * STEP_MS <= event.producer_ms
    assert event.producer_ms + pauses * PAUSE_MS <= event.latency_ms
    assert event.ttft_ms + (steps - 2) * STEP_MS + (pauses - 1) * PAUSE_MS <= event.latency_ms


@pytest.mark.parametrize("kind", SYNC, ids=lambda kind: kind.name)
class TestSync:
    """Chunks that come from an iterator."""

    def test_read_to_the_end(self, kind: Kind, events: Events) -> None:
        """The last step is the one that finds the end."""
        for _ in kind.chunks(kind.call(script)):
            time.sleep(PAUSE)

        check(events, steps=4, pauses=3)

    def test_cut(self, kind: Kind, events: Events) -> None:
        """The failing step counts as the model's time, too."""

        def consume() -> None:
            for _ in kind.chunks(kind.call(broken)):
                time.sleep(PAUSE)

        with pytest.raises(ConnectionError):
            consume()

        check(events, steps=3, pauses=2)

    def test_left(self, kind: Kind, events: Events) -> None:
        """The consumer's time after leaving does not count."""
        began = time.perf_counter()
        for chunk in kind.chunks(kind.call(script)):
            time.sleep(PAUSE)
            if chunk is WORD:
                break
        collect_garbage()
        took = (time.perf_counter() - began) * 1000
        time.sleep(PAUSE)

        check(events, steps=2, pauses=2)
        assert events[0].latency_ms <= took


@pytest.mark.parametrize("kind", ASYNC, ids=lambda kind: kind.name)
class TestAsync:
    """Chunks that come from an async iterator."""

    @staticmethod
    async def opened(kind: Kind, script: Any) -> Any:
        """Return the object that a consumer of this kind iterates."""
        result = kind.call(script)
        return kind.chunks(await result if inspect.isawaitable(result) else result)

    def test_read_to_the_end(self, kind: Kind, events: Events) -> None:
        """The last step is the one that finds the end."""

        async def main() -> None:
            async for _ in await self.opened(kind, ascript):
                await asyncio.sleep(PAUSE)

        asyncio.run(main())

        check(events, steps=4, pauses=3)

    def test_cut(self, kind: Kind, events: Events) -> None:
        """The failing step counts as the model's time, too."""

        async def main() -> None:
            async for _ in await self.opened(kind, abroken):
                await asyncio.sleep(PAUSE)

        with pytest.raises(ConnectionError):
            asyncio.run(main())

        check(events, steps=3, pauses=2)

    def test_cancelled(self, kind: Kind, events: Events) -> None:
        """The wait before the cancellation is the model's time."""

        async def main() -> None:
            waiting = asyncio.Event()

            async def stuck() -> AsyncIterator[Any]:
                async for chunk in ascript():
                    yield chunk
                    if chunk is WORD:
                        waiting.set()
                        await asyncio.Event().wait()

            async def consume() -> None:
                async for _ in await self.opened(kind, stuck):
                    await asyncio.sleep(PAUSE)

            task = asyncio.create_task(consume())
            await waiting.wait()
            await asyncio.sleep(STEP)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())

        check(events, steps=3, pauses=2)


def test_a_call_is_timed_until_its_end_and_no_further(events: Events) -> None:
    """The consumer's time with the answer does not count."""

    @llm_call
    def generate() -> str:
        time.sleep(STEP)
        return "answer"

    began = time.perf_counter()
    generate()
    took = (time.perf_counter() - began) * 1000
    time.sleep(PAUSE)

    [event] = events
    assert STEP_MS <= event.latency_ms <= took
    assert (None, None, None) == (event.ttfc_ms, event.ttft_ms, event.producer_ms)


@pytest.mark.parametrize("kind", SYNC, ids=lambda kind: kind.name)
def test_an_answer_that_nobody_reads_has_no_times_of_chunks(kind: Kind, events: Events) -> None:
    """Such an answer has no times of chunks, rather than zeros."""
    kind.call(script)
    collect_garbage()

    assert all(
        (None, None, None, 0) == (event.ttfc_ms, event.ttft_ms, event.producer_ms, event.chunks)
        for event in events
    )
    assert kind.starts_at_once == len(events)
