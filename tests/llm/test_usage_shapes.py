"""Each shape is read by its own function, in whatever order the rows are, and nothing fails."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from pantheon_obs import llm_call
from pantheon_obs.llm.rows import first
from pantheon_obs.llm.tokens import TOKENS, read_tokens
from pantheon_obs.llm.usage import MESSAGES, Seen, read, tokens_of
from tests.llm.test_usage import FIXTURES, MADE_OF, load, says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished
    from pantheon_obs.llm.rows import Rows, Shape

    Events = list[LlmCallFinished]

USAGE = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "fixtures" / "usage").glob("*.json"))
}


def name_of(shape: Shape) -> str:
    """A row's function: the module that it is in and its name."""
    return f"{shape.__module__.rpartition('.')[2]}.{shape.__name__}"


def claimed_by(rows: Rows, value: Any) -> list[str]:
    """The functions of all rows that would read a value, in the order of the rows."""
    return [name_of(row[1]) for row in rows if first((row,), value, Seen())]


def values(name: str) -> list[Any]:
    """The response, or the chunks, of a fixture."""
    fixture = load(name)
    return fixture.get("chunks") or [fixture["response"]]


@pytest.mark.parametrize("name", FIXTURES)
@pytest.mark.parametrize("make", MADE_OF)
def test_each_fixture_is_claimed_first_by_its_own_row(
    name: str, make: Callable[[Any], Any]
) -> None:
    """Other rows may know it, too; they come later."""
    for value in values(name):
        assert claimed_by(MESSAGES, make(value))[0] in load(name)["shape"].split()


@pytest.mark.parametrize("name", USAGE)
def test_each_usage_object_is_claimed_first_by_its_own_row(name: str) -> None:
    """The fixture has the name of the function."""
    assert f"tokens.{name}" == claimed_by(TOKENS, USAGE[name]["usage"])[0]


def test_each_row_has_a_fixture() -> None:
    """Nothing is in the tables that was not read off a vendor's documented answer."""
    shapes = {name for fixture in FIXTURES for name in load(fixture)["shape"].split()}

    assert {name_of(shape) for _, shape in MESSAGES} == shapes
    assert {name_of(shape) for _, shape in TOKENS} == {
        "tokens.told_cost",  # reads what others then read on
        *(f"tokens.{name}" for name in USAGE),
    }


@pytest.mark.parametrize(
    ("name", "make"),
    [
        (name, make)
        for name, fixture in USAGE.items()
        for make in MADE_OF
        if make is dict or all(key.isidentifier() for key in fixture["usage"])
    ],
)
def test_a_bare_usage_object_is_read(name: str, make: Callable[[Any], Any], events: Events) -> None:
    """What `usage=` returns, or `call.usage()` is given, whatever it is made of."""
    usage = USAGE[name]["usage"]
    llm_call(usage=lambda _: make(usage), prices=lambda _: None)(lambda: "Paris.")()

    [event] = events
    expected = {key: value for key, value in USAGE[name]["says"].items() if "_tokens" in key}
    assert expected == {key: value for key, value in says(event).items() if "_tokens" in key}
    assert "reported" == event.usage_status


def test_attributes_of_a_span_name_model_and_reason(events: Events) -> None:
    """OpenTelemetry's flat keys, returned as they are."""
    llm_call(lambda: USAGE["opentelemetry"]["usage"])()

    [event] = events
    assert USAGE["opentelemetry"]["says"] == says(event) | {"usage_status": "reported"}


@pytest.mark.parametrize("name", USAGE)
@pytest.mark.parametrize(
    "junk",
    [None, "7", True, -1, float("nan"), pytest.param(10**400, id="huge"), [], {}],
)
def test_junk_in_a_usage_object_is_nothing(name: str, junk: object) -> None:
    """Each of its parts in turn, and all of them; no count comes from junk, and none is bad."""
    usage = USAGE[name]["usage"]
    for key in usage:
        seen = Seen()
        read_tokens({**usage, key: junk, "unknown": junk, "cost": junk}, seen)
        for count in (seen.input_tokens, seen.output_tokens, seen.cached_input_tokens):
            assert count is None or (type(count) is int and count >= 0)
        assert seen.cost is None
    seen = Seen()
    read_tokens(dict.fromkeys(usage, junk), seen)
    assert "missing" == seen.usage_status


class TestExtras:
    """Fields that a pydantic class does not declare, as SDKs keep what they do not know."""

    class Open(BaseModel):
        """Takes anything."""

        model_config = ConfigDict(extra="allow")

    def test_a_mark_among_them_is_seen(self) -> None:
        """DeepSeek's cached tokens through OpenAI's client."""
        seen = Seen()
        usage = self.Open(**USAGE["deepseek"]["usage"])

        assert read({"choices": [], "usage": usage}, seen)
        assert (14, 9, 8) == (seen.input_tokens, seen.output_tokens, seen.cached_input_tokens)

    def test_a_whole_response_of_them_is_read(self) -> None:
        """A class that declares nothing."""
        seen = Seen()

        body = {"text": "Paris.", "usage": {"input_tokens": 1, "output_tokens": 2}}

        assert read(self.Open(**body), seen)
        assert (1, 2) == (seen.input_tokens, seen.output_tokens)


class TestCutStreams:
    """What is known of a stream that ended too early."""

    @pytest.mark.parametrize("name", [name for name in FIXTURES if "chunks" in load(name)])
    def test_without_its_last_word_it_is_incomplete(self, name: str, events: Events) -> None:
        """An error, not a success."""
        seen = Seen()
        before = [chunk for chunk in values(name) if read(chunk, seen) and not seen.finished]

        @llm_call(prices=lambda _: None)
        def cut() -> Iterator[Any]:
            yield from before

        list(cut())

        [event] = events
        assert ("error", "IncompleteStream") == (event.outcome, event.error_type)

    @pytest.mark.parametrize("chunks", [1, 3, 6])
    def test_anthropics_placeholder_is_not_the_output(self, chunks: int, events: Events) -> None:
        """The input is known from the first event on, the output is not."""

        @llm_call
        def cut() -> Iterator[Any]:
            yield from values("anthropic_messages_stream")[:chunks]

        list(cut())

        [event] = events
        assert (1174, None, "partial") == (
            event.input_tokens,
            event.output_tokens,
            event.usage_status,
        )
        assert (1163, 7, None) == (
            event.cached_input_tokens,
            event.cache_write_tokens,
            event.reasoning_tokens,
        )
        assert event.cost_usd is None

    def test_anthropics_input_is_kept_over_a_long_stream(self, events: Events) -> None:
        """It comes first, thousands of events before the output."""
        start, *_, delta, stop = values("anthropic_messages_stream_of_old")
        text = {"type": "content_block_delta", "index": 0, "delta": {"text": "a"}}

        @llm_call
        def long() -> Iterator[Any]:
            yield start
            yield from [text] * 3000
            yield delta
            yield stop

        list(long())

        [event] = events
        assert (1174, 158, "max_tokens", "ok") == (
            event.input_tokens,
            event.output_tokens,
            event.finish_reason,
            event.outcome,
        )

    def test_a_failed_response_has_no_last_word(self, events: Events) -> None:
        """`response.failed`: what there was is counted, and it is an error."""

        @llm_call(prices=lambda _: None)
        def failed() -> Iterator[Any]:
            *chunks, last = values("openai_responses_stream")
            yield from chunks
            yield {
                "type": "response.failed",
                "response": {**last["response"], "status": "failed"},
            }

        list(failed())

        [event] = events
        assert ("error", "IncompleteStream", "failed") == (
            event.outcome,
            event.error_type,
            event.finish_reason,
        )
        assert (1149, 212) == (event.input_tokens, event.output_tokens)

    def test_an_error_event_is_no_last_word(self, events: Events) -> None:
        """Neither client raises on all of them."""

        @llm_call(prices=lambda _: None)
        def broken() -> Iterator[Any]:
            yield from values("openai_responses_stream")[:5]
            yield {"type": "error", "code": "server_error", "message": "…"}

        list(broken())

        [event] = events
        assert ("error", "IncompleteStream") == (event.outcome, event.error_type)


class TestCumulation:
    """What a stream says again replaces what it said before."""

    def test_a_later_count_of_fresh_tokens_alone_keeps_the_cache(self) -> None:
        """Anthropic's delta may repeat the input without what was cached."""
        seen = Seen()
        for usage in (
            USAGE["anthropic"]["usage"],
            {"input_tokens": 5, "output_tokens": 9, "cache_read_input_tokens": None},
        ):
            read_tokens(usage, seen)

        assert (5 + 1163 + 7, 9) == (seen.input_tokens, seen.output_tokens)

    def test_a_later_count_of_the_cache_alone_keeps_the_fresh_tokens(self) -> None:
        """The other way round."""
        seen = Seen()
        read_tokens(USAGE["anthropic"]["usage"], seen)
        read_tokens({"cache_read_input_tokens": 1000, "cache_creation_input_tokens": 0}, seen)

        assert (4 + 1000, 1000, 0) == (
            seen.input_tokens,
            seen.cached_input_tokens,
            seen.cache_write_tokens,
        )

    def test_a_vendors_cost_of_nothing_is_known(self) -> None:
        """A free model costs 0, which is not unknown; a cost once known stays."""
        seen = Seen()
        read_tokens({"prompt_tokens": 1, "cost": 0}, seen)
        assert Decimal(0) == seen.cost
        read_tokens({"prompt_tokens": 1, "cost": 0.1}, seen)
        read_tokens({"prompt_tokens": 1}, seen)
        assert Decimal("0.1") == seen.cost


class TestLookalikes:
    """A host's own protocol is not taken for a vendor's."""

    @pytest.mark.parametrize(
        "value",
        [
            {"type": "text", "text": "Paris."},
            {"type": "message", "usage": {"input_tokens": 1, "output_tokens": 2}},
            {"done": False, "text": "Paris."},
            {"done": lambda: None, "created_at": 1},
            {"data": [1, 2]},
            {"data": {"text": "Paris."}},
            {"data": None, "object": "list"},
            {"embeddings": [[0.1]]},
            {"metadata": {"user": 7}},
            {"meta": {"page": 2}},
            {"candidates": "Ada"},
            {"candidates": ["Ada", "Grace"]},
            {"usage_metadata": {"user": 7}},
            # a chunk of LangChain's
            {"content": "a", "type": "AIMessageChunk", "usage_metadata": None},
            {"content": "a", "usage_metadata": {"input_tokens": 1, "output_tokens": 2}},
            # a message of Gemini's Live API
            {"server_content": {}, "usage_metadata": {"prompt_token_count": 1}},
            # a result of the Model Context Protocol
            {"role": "assistant", "content": {}, "model": "m", "stopReason": "endTurn"},
            {"text": "a", "metadata": {"usage": {"input_tokens": 1}}},
            {"text": "a", "tokens": 5},
            {"incomplete_details": None, "object": "form"},
            {"stop_reason": "end", "type": "machine"},
            {"chunk": "Paris.", "type": "chunk"},
            {"chunk": {"choices": []}, "type": "file"},
            {"type": None},
            {"type": ["ping"]},
        ],
    )
    def test_its_stream_needs_no_last_word(self, value: Any) -> None:
        """Only a known shape's end can be missed."""
        seen = Seen()
        read(value, seen)

        assert seen.finished is None

    def test_its_usage_is_found_where_it_is(self, events: Events) -> None:
        """Beside a part that has the name of a vendor's mark."""
        usage = {"input_tokens": 1, "output_tokens": 2}
        for mark in ({"candidates": ["Ada"]}, {"stopReason": "end"}, {"metadata": {"usage": 1}}):
            llm_call(lambda mark=mark: {**mark, "usage": usage})()

        assert [(1, 2)] * 3 == [(event.input_tokens, event.output_tokens) for event in events]

    def test_a_cost_without_tokens_is_not_the_calls(self, events: Events) -> None:
        """It may be that of what the answer is about."""
        llm_call(lambda: {"product": "hat", "cost": 12})()

        assert events[0].cost_usd is None

    def test_a_ping_is_no_shape(self) -> None:
        """It is no content, and promises nothing."""
        seen = Seen()

        assert read({"type": "ping"}, seen)
        assert (False, None) == (seen.content, seen.finished)

    def test_a_property_called_data_is_not_asked(self) -> None:
        """An HTTP response would read its body, under its reader's feet."""

        class Response:
            @property
            def data(self) -> bytes:
                raise AssertionError

        assert not read(Response(), Seen())


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, (None, None, "missing")),
        ({"prompt_tokens": 5}, (5, 0, "reported")),
        ({"prompt_tokens": 5, "completion_tokens": 2}, (5, 2, "reported")),
    ],
)
def test_embeddings_generate_nothing(usage: object, expected: object, events: Events) -> None:
    """Unless they say so."""
    llm_call(lambda: {"object": "list", "data": [], "usage": usage})()

    [event] = events
    assert expected == (event.input_tokens, event.output_tokens, event.usage_status)


@pytest.mark.parametrize(
    ("event", "content"),
    [
        ({"type": "content.delta", "delta": "", "snapshot": ""}, False),
        ({"type": "response.output_text.delta", "delta": ""}, False),
        ({"type": "response.output_text.delta", "delta": "a"}, True),
        ({"type": "response.reasoning_summary_text.delta", "delta": "a"}, True),
        ({"type": "response.function_call_arguments.delta", "delta": "{"}, True),
        ({"type": "response.output_item.added", "item": {}}, False),
        ({"type": "content_block_delta", "delta": {"partial_json": ""}}, False),
        ({"type": "content_block_delta", "delta": {"partial_json": "{"}}, True),
        ({"type": "content_block_delta", "delta": {"thinking": "a"}}, True),
        ({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}, False),
        ({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "a"}}}, True),
        ({"type": "tool-call-start", "delta": {"message": {"tool_calls": {"id": "1"}}}}, True),
        ({"candidates": [{"content": {"parts": [{"functionCall": {"name": "a"}}]}}]}, True),
        ({"candidates": [{"content": {"parts": None}}]}, False),
        ({"candidates": [{}], "usageMetadata": {"promptTokenCount": 1}}, False),
        ({"contentBlockDelta": {"delta": {"toolUse": {"input": "{"}}}}, True),
        ({"contentBlockStart": {"start": {}}}, False),
        ({"done": False, "created_at": "now", "message": {"tool_calls": [{}]}}, True),
        ({"done": False, "created_at": "now", "response": ""}, False),
    ],
)
def test_what_counts_as_content(event: object, content: bool) -> None:  # noqa: FBT001 - expected
    """Text, reasoning, arguments; not a frame around them."""
    seen = Seen()
    assert read(event, seen)

    assert content is seen.content


NAMES = sorted(
    {mark for mark, _ in (*MESSAGES, *TOKENS)}
    | {"delta", "message", "content", "parts", "finish_reason", "model", "response", "cost"}
    | {"prompt_tokens_details", "input_tokens", "object", "created_at", "candidates_token_count"}
)
KINDS = ("message_start", "message_delta", "response.completed", "message-end", "message", "chunk")
anything = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
        *(st.decimals(), st.sampled_from((*KINDS, "list", "response", 10**400))),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=5).map(
            lambda parts: SimpleNamespace(**parts)
        ),
    ),
    max_leaves=16,
)


@given(anything)
def test_no_value_makes_a_reader_fail(value: Any) -> None:
    """Whatever a provider sends, in whatever place; and what comes of it fits into an event."""
    seen = Seen()
    read(value, seen)
    tokens_of(value)

    for count in (seen.input_tokens, seen.output_tokens, seen.reasoning_tokens):
        assert count is None or (type(count) is int and count >= 0)
    assert seen.cost is None or 0 <= seen.cost
    assert all(type(text) in (str, type(None)) for text in (seen.model, seen.finish_reason))
