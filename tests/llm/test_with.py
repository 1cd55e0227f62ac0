"""`with llm_call(…) as call` observes calls that are no function."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import llm_call
from pantheon_obs.core import guard
from pantheon_obs.core.context import Trace, begin, end
from tests.llm.test_usage import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]


def only(events: Events) -> dict[str, Any]:
    """Return the fields of the one event, without its times."""
    [event] = events
    return {key: value for key, value in event.fields().items() if not key.endswith("_ms")}


def test_a_call_by_hand(events: Events) -> None:
    """The call has its given name and usage."""
    with llm_call(model="fast", operation="summarise", provider="acme") as call:
        call.usage((120, 30))

    assert "llm.summarise" == events[0].event
    assert {
        "model_alias": "fast",
        "input_tokens": 120,
        "output_tokens": 30,
        "usage_status": "reported",
        "outcome": "ok",
        "provider": "acme",
    } == only(events)


def test_an_async_call_without_options(events: Events) -> None:
    """Only the outcome is known."""

    async def main() -> None:
        async with llm_call():
            await asyncio.sleep(0)

    asyncio.run(main())

    assert "llm.call" == events[0].event
    assert {
        "model_alias": None,
        "input_tokens": None,
        "output_tokens": None,
        "usage_status": "missing",
        "outcome": "ok",
    } == only(events)


def test_the_response_is_shown(events: Events) -> None:
    """The usage, model and finish reason that it reports are read."""
    with llm_call(operation="chat") as call:
        call.result(load("openai_chat")["response"])

    fields = only(events)
    assert ("gpt-5-mini-2026-08-07", 1149, "stop") == (
        fields["model_alias"],
        fields["input_tokens"],
        fields["finish_reason"],
    )


def test_the_chunks_are_shown(events: Events) -> None:
    """The chunks are counted and read like those of a stream."""
    with llm_call(model="fast") as call:
        for chunk in load("openai_chat_stream")["chunks"]:
            call.chunk(chunk)

    fields = only(events)
    assert ("ok", 5, True, 212) == (
        fields["outcome"],
        fields["chunks"],
        fields["stream"],
        fields["output_tokens"],
    )
    assert events[0].ttfc_ms is not None
    assert events[0].ttft_ms is not None
    assert events[0].producer_ms is None


def test_left_before_the_last_chunk_it_is_closed(events: Events) -> None:
    """We cannot know whether the application meant to stop, so the call is closed."""
    with llm_call(model="fast") as call:
        call.chunk(load("openai_chat_stream")["chunks"][1])

    assert "closed" == only(events)["outcome"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError(), "error"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
    ],
)
def test_an_exception_passes(error: BaseException, outcome: str, events: Events) -> None:
    """The exception object itself passes, and the event has its name."""
    with pytest.raises(type(error)) as caught, llm_call(model="fast"):
        raise error

    assert caught.value is error
    assert (outcome, type(error).__name__) == (events[0].outcome, events[0].error_type)


def test_in_a_generator_that_is_closed_it_is_closed(events: Events) -> None:
    """The consumer closes the generator."""

    def chunks() -> Iterator[str]:
        with llm_call(model="fast") as call:
            for chunk in "abc":
                call.chunk(chunk)
                yield chunk

    for _ in chunks():
        break

    assert ("closed", 1) == (events[0].outcome, events[0].chunks)


def test_the_end_of_the_request_closes_it(events: Events) -> None:
    """The end of the request ends the call once."""
    trace = Trace("request")
    begin(trace)
    with llm_call(model="fast"):
        end(trace)

    assert "closed" == only(events)["outcome"]


def test_one_within_another(events: Events) -> None:
    """One object may serve for both calls."""
    observed = llm_call(operation="step")
    with observed as outer:
        outer.usage((1, 1))
        with observed as inner:
            inner.usage((2, 2))

    assert [2, 1] == [event.input_tokens for event in events]


def test_a_usage_given_by_hand_goes_before_the_responses(events: Events) -> None:
    """The given usage wins, in either order."""

    class Response:
        usage = {"input_tokens": 1, "output_tokens": 1}  # noqa: RUF012 - a response's field

    with llm_call() as call:
        call.usage((120, 7))
        call.result(Response())

    assert (120, 7) == (events[0].input_tokens, events[0].output_tokens)


def test_a_usage_future_is_waited_for(events: Events) -> None:
    """The future may be given by hand, or be on the response."""
    future: Future[Any] = Future()

    class Response:
        usage_future = future

    with llm_call() as call:
        call.usage(future)
    with llm_call() as call:
        call.result(Response())
    assert [] == events
    future.set_result({"input_tokens": 120, "output_tokens": 7})

    assert [120, 120] == [event.input_tokens for event in events]


def test_each_result_is_read_once(events: Events) -> None:
    """However many of them there are."""
    read = []

    class Answer(dict[str, Any]):
        def __contains__(self, name: object) -> bool:
            read.append(name)
            return super().__contains__(name)

    looks = []
    with llm_call() as call:
        for _ in range(20):
            call.result(Answer(object="list", usage={"input_tokens": 3, "output_tokens": 1}))
            looks.append(len(read))
            read.clear()

    assert (60, 20) == (events[0].input_tokens, events[0].output_tokens)
    assert 1 == len(set(looks[2:]))


class Hostile:
    """An object whose attributes all raise."""

    def __getattribute__(self, name: str) -> Any:
        raise OSError(name)


def test_nothing_given_by_hand_can_fail(events: Events) -> None:
    """Chunks, usages and results whose attributes raise do not fail the call."""
    with llm_call(model="fast") as call:
        call.chunk(Hostile())
        call.usage(Hostile())
        call.result(Hostile())

    assert ("ok", "missing") == (events[0].outcome, events[0].usage_status)
    assert guard.reported()
    guard.forget()
