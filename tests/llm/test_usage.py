"""Responses, chunks and usage objects are read, whichever types they are made of."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import UserDict
from functools import partial
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ConfigDict

from pantheon_obs import llm_call
from pantheon_obs.llm.usage.answer import Reported
from pantheon_obs.llm.usage.shapes import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

# Each has a response, or the chunks of a stream, and the values to read from them.
FIXTURES = {path.stem: path for path in sorted((Path(__file__).parent / "fixtures").glob("*.json"))}
STREAMS = [name for name, path in FIXTURES.items() if '"chunks"' in path.read_text()]


def load(name: str) -> Any:
    """Load a fixture."""
    return json.loads(FIXTURES[name].read_text())


ENDED = [name for name in STREAMS if load(name).get("terminal", True)]  # by a terminal chunk


def as_namespace(value: Any) -> Any:
    """Convert to plain objects."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: as_namespace(part) for key, part in value.items()})
    return [as_namespace(part) for part in value] if isinstance(value, list) else value


def as_slots(value: Any) -> Any:
    """Convert to dataclasses with slots."""
    if isinstance(value, dict):
        kind = dataclasses.make_dataclass("Part", list(value), slots=True, frozen=True)
        return kind(**{key: as_slots(part) for key, part in value.items()})
    return [as_slots(part) for part in value] if isinstance(value, list) else value


class Loose(BaseModel):
    """A pydantic object all of whose fields are extra ones."""

    model_config = ConfigDict(extra="allow")


def as_pydantic(value: Any) -> Any:
    """Convert to pydantic objects with declared fields, and extra ones below."""
    if isinstance(value, dict):
        kind = type("Part", (Loose,), {"__annotations__": dict.fromkeys(value, Any)})
        return kind(**{key: as_pydantic(part) for key, part in value.items()})
    return [as_pydantic(part) for part in value] if isinstance(value, list) else value


def as_unmade(value: Any) -> Any:
    """Convert to pydantic objects that were made without their constructor."""
    if isinstance(value, dict):
        part: Any = Loose.__new__(Loose)
        part.__dict__.update({key: as_unmade(each) for key, each in value.items()})
        return part
    return [as_unmade(part) for part in value] if isinstance(value, list) else value


def as_properties(value: Any) -> Any:
    """Convert to objects whose fields are properties, as those of Azure's SDK are.

    Their `data` is none: a property of that name is never asked, as it may read a whole response.
    """
    if isinstance(value, dict):
        fields = {key: as_properties(part) for key, part in value.items()}
        members = {name: property(lambda _, n=name: fields[n]) for name in fields if name != "data"}
        part: Any = type("Part", (), members)()
        if "data" in fields:
            part.data = fields["data"]
        return part
    return [as_properties(part) for part in value] if isinstance(value, list) else value


class Part(dict[str, Any]):
    """A dict with attributes, as several SDKs have them."""


def as_kind_of_dict(value: Any) -> Any:
    """Convert to dicts of a class of its own."""
    if isinstance(value, dict):
        return Part({key: as_kind_of_dict(part) for key, part in value.items()})
    return [as_kind_of_dict(part) for part in value] if isinstance(value, list) else value


def as_mapping(kind: Callable[[Any], Any], value: Any) -> Any:
    """Convert to mappings that are no dicts."""
    if isinstance(value, dict):
        return kind({key: as_mapping(kind, part) for key, part in value.items()})
    return [as_mapping(kind, part) for part in value] if isinstance(value, list) else value


class Asking:
    """An object that has its fields elsewhere."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def __getattr__(self, name: str) -> Any:
        if name not in self._found:
            raise AttributeError(name)
        return self._found[name]


MADE_OF: list[Callable[[Any], Any]] = [
    dict,
    as_namespace,
    as_slots,
    as_pydantic,
    as_unmade,
    as_properties,
    as_kind_of_dict,
    partial(as_mapping, MappingProxyType),
    partial(as_mapping, UserDict),
    partial(as_mapping, Asking),  # the last one, which never has a list price
]


def says(event: LlmCallFinished) -> dict[str, Any]:
    """Select the fields of an event that describe the answer."""
    names = ("model", "finish_reason", "usage_status", "input_tokens", "output_tokens")
    details = ("cached_input_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd")
    found = {name: getattr(event, name) for name in (*names, *details)}
    return {name: value for name, value in found.items() if value is not None}


def call(fixture: dict[str, Any], make: Callable[[Any], Any]) -> None:
    """Let a model answer with this value; only the vendor gives a cost."""
    observed = llm_call(prices=lambda _: None)

    @observed
    def response() -> Any:
        return make(fixture["response"])

    @observed
    def chunks() -> Iterator[Any]:
        for chunk in fixture["chunks"]:
            yield make(chunk)

    if "response" in fixture:
        response()
    else:
        list(chunks())


@pytest.mark.parametrize("name", FIXTURES)
def test_a_shape_is_read_whatever_it_is_made_of(name: str, events: Events) -> None:
    """Dicts, plain objects, dataclasses with slots, pydantic objects and others are read alike."""
    fixture = load(name)
    for make in MADE_OF:
        call(fixture, make)

    assert [fixture["says"]] * len(MADE_OF) == [says(event) for event in events]
    ended = ("ok", True if "chunks" in fixture else None)
    assert {ended} == {(event.outcome, event.stream) for event in events}


@pytest.mark.parametrize("name", STREAMS)
def test_the_first_content_is_not_the_first_frame(name: str) -> None:
    """An empty role frame is no content, and reasoning is."""
    fixture = load(name)
    reported = Reported()
    contents = []
    for chunk in fixture["chunks"]:
        assert read(chunk, reported)
        contents.append(reported.content)

    assert fixture["first_content"] == contents.index(True)


@pytest.mark.parametrize("name", ENDED)
def test_a_stream_is_finished_by_its_terminal_chunk(name: str) -> None:
    """It is among the last two chunks, and a later chunk does not undo it."""
    reported = Reported()
    finished = []
    for chunk in load(name)["chunks"]:
        read(chunk, reported)
        finished.append(reported.finished)

    assert not any(finished[:-2])
    assert finished[-1] is True


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ({"delta": {"role": "assistant", "content": ""}}, False),
        ({"delta": {"content": None, "tool_calls": None}}, False),
        ({"delta": {"content": "a"}}, True),
        ({"delta": {"reasoning": "a"}}, True),
        ({"delta": {"tool_calls": [{"index": 0}]}}, True),
        ({"delta": {"refusal": "no"}}, True),
        ({"text": "a"}, True),
        ({"text": ""}, False),
        (None, False),
    ],
)
def test_content(body: object, content: bool) -> None:  # noqa: FBT001 - expected
    """Text, reasoning, tool calls and refusals are content; roles and empty strings are not."""
    reported = Reported()
    read({"choices": [body]}, reported)

    assert content is reported.content


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, (3, 4, "reported")),
        ({"prompt_tokens": 3}, (3, None, "partial")),
        ({"prompt_tokens": "3", "completion_tokens": 4.5}, (None, None, "missing")),
        ({"prompt_tokens": 3.0, "completion_tokens": 2**53}, (3, 2**53, "reported")),
        ({"prompt_tokens": math.nan, "completion_tokens": math.inf}, (None, None, "missing")),
        ({"prompt_tokens": 10**400, "completion_tokens": 1e300}, (None, None, "missing")),
        ({"prompt_tokens": True, "completion_tokens": -1}, (None, None, "missing")),
        ({"prompt_tokens": 3, "prompt_tokens_details": 7}, (3, None, "partial")),
        ({"input_tokens_fresh": 3, "input_tokens_cached": None}, (3, None, "partial")),
        ({"input_tokens_fresh": None, "input_tokens_cached": 3}, (None, None, "missing")),
        ({"input_tokens": 0, "output_tokens": 0}, (0, 0, "reported")),
        ({"output_tokens": 4}, (None, 4, "partial")),
        ({"tokens": 4}, (None, None, "missing")),
        ({}, (None, None, "missing")),
        (None, (None, None, "missing")),
        (7, (None, None, "missing")),
        ([], (None, None, "missing")),
    ],
)  # fmt: skip
def test_a_missing_count_is_not_zero(
    usage: object, expected: tuple[int | None, int | None, str], events: Events
) -> None:
    """Absent, null or nonsensical counts are unknown."""
    llm_call(lambda: {"usage": usage})()

    [event] = events
    assert expected == (event.input_tokens, event.output_tokens, event.usage_status)


def test_a_value_that_only_resembles_a_known_shape_is_read_as_another(events: Events) -> None:
    """Other objects may have `choices`, too, such as a menu."""
    llm_call(lambda: {"choices": 2, "usage": {"input_tokens": 3, "output_tokens": 4}})()

    [event] = events
    assert (3, 4) == (event.input_tokens, event.output_tokens)


def test_cumulative_usage_is_replaced_and_not_added(events: Events) -> None:
    """Some providers repeat the usage so far on each chunk."""

    @llm_call
    def chunks() -> Iterator[Any]:
        for count in (1, 2, 3):
            done = "stop" if count == 3 else None
            yield {
                "choices": [{"delta": {"content": "a"}, "finish_reason": done}],
                "usage": {"prompt_tokens": 9, "completion_tokens": count},
            }

    list(chunks())

    [event] = events
    assert (9, 3) == (event.input_tokens, event.output_tokens)


def test_a_long_stream_keeps_a_few_chunks_only(events: Events) -> None:
    """Usage and finish reason are found at its end, the model at its beginning."""
    alive: set[int] = set()

    class Chunk(dict[str, Any]):
        def __init__(self, **parts: Any) -> None:
            super().__init__(**parts)
            alive.add(id(self))

        def __del__(self) -> None:
            alive.discard(id(self))

    most = 0

    @llm_call
    def chunks() -> Iterator[Any]:
        nonlocal most
        for _ in range(200):
            yield Chunk(model="m", choices=[{"delta": {"content": "a"}, "finish_reason": None}])
            most = max(most, len(alive))
        yield Chunk(choices=[{"delta": {}, "finish_reason": "length"}])
        yield Chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 200})

    assert 202 == sum(1 for _ in chunks())
    [event] = events
    assert (202, "length", 200, "m") == (
        event.chunks,
        event.finish_reason,
        event.output_tokens,
        event.model,
    )
    assert most <= 20


def test_the_times_of_a_stream_fit_into_one_another(events: Events) -> None:
    """The first chunk comes before the first content, both within the whole."""

    @llm_call
    def chunks() -> Iterator[Any]:
        yield from load("openai_chat_stream")["chunks"]

    list(chunks())

    [event] = events
    assert event.ttfc_ms is not None
    assert event.ttft_ms is not None
    assert event.producer_ms is not None
    assert 0 <= event.ttfc_ms < event.ttft_ms <= event.latency_ms
    assert 0 < event.producer_ms <= event.latency_ms


def test_the_models_time_goes_up_to_its_end(events: Events) -> None:
    """The producer's work after the last chunk counts; the consumer's does not."""

    def think() -> None:
        sum(range(200_000))

    @llm_call
    def quick_then_slow() -> Iterator[str]:
        yield "a"
        think()

    @llm_call
    def quick() -> Iterator[str]:
        yield "a"

    list(quick_then_slow())
    for _ in quick():
        think()

    slow_model, slow_consumer = events
    assert slow_model.producer_ms is not None
    assert slow_consumer.producer_ms is not None
    assert slow_model.producer_ms > slow_model.latency_ms / 2
    assert slow_consumer.producer_ms < slow_consumer.latency_ms / 2


def test_the_first_content_of_a_held_stream_is_not_its_first_frame(events: Events) -> None:
    """Looking for the usage on the object around the stream does not count as content."""

    class Holder:
        def __init__(self) -> None:
            self.usage = None
            self.chunks = (chunk for chunk in load("openai_chat_stream")["chunks"])

    list(llm_call(partial(Holder))().chunks)

    [event] = events
    assert event.ttfc_ms is not None
    assert event.ttft_ms is not None
    assert event.ttfc_ms < event.ttft_ms


def test_empty_text_is_not_content(events: Events) -> None:
    """A stream of text begins with the first text that is not empty."""

    @llm_call
    def chunks() -> Iterator[str]:
        yield ""
        yield "a"

    list(chunks())

    [event] = events
    assert event.ttfc_ms is not None
    assert event.ttft_ms is not None
    assert event.ttfc_ms < event.ttft_ms


def test_a_response_in_a_tuple_is_read(events: Events) -> None:
    """A function may return a tuple of the text and the usage."""
    llm_call(lambda: ("Paris.", load("split_usage")["response"]["usage"]))()

    [event] = events
    assert (1149, 212) == (event.input_tokens, event.output_tokens)


def test_an_event_at_the_end_of_a_stream_of_text_is_read(events: Events) -> None:
    """The text may be followed by an object with the usage."""

    @llm_call
    def chunks() -> Iterator[Any]:
        yield "Paris."
        yield as_namespace(load("plain_usage")["response"])

    list(chunks())

    [event] = events
    assert (1149, 212, "stop") == (event.input_tokens, event.output_tokens, event.finish_reason)
