"""Each shape is read by its own function, in whatever order the rows are, and nothing fails."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from pantheon_obs import llm_call
from pantheon_obs.llm.usage.answer import Reported
from pantheon_obs.llm.usage.fields import class_fields
from pantheon_obs.llm.usage.shapes import MESSAGES, USAGE, first, read, read_usage
from pantheon_obs.llm.usage.sources import tokens_of
from tests.llm.test_usage import ENDED, FIXTURES, MADE_OF, Asking, as_mapping, load, says

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pantheon_obs.core.events import LlmCallFinished
    from pantheon_obs.llm.usage.shapes import Rows

    Events = list[LlmCallFinished]

USAGE_FIXTURES = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "fixtures" / "usage").glob("*.json"))
}


def name_of(shape: Callable[..., Any]) -> str:
    """Return the module and the name of a row's function."""
    return f"{shape.__module__.rpartition('.')[2]}.{shape.__name__}"


def claimed_by(rows: Rows, value: Any) -> list[str]:
    """Return the functions of all rows that would read a value, in the order of the rows."""
    return [name_of(row[1]) for row in rows if first((row,), value, Reported()) is not False]


def values(name: str) -> list[Any]:
    """Return the response, or the chunks, of a fixture."""
    fixture = load(name)
    return fixture.get("chunks") or [fixture["response"]]


@pytest.mark.parametrize("name", FIXTURES)
def test_each_fixture_is_claimed_first_by_its_own_row(name: str) -> None:
    """Other rows that would read it come later, whatever it is made of."""
    for make in MADE_OF:
        for value in values(name):
            assert claimed_by(MESSAGES, make(value))[0] in load(name)["shape"].split()


@pytest.mark.parametrize("name", USAGE_FIXTURES)
def test_each_usage_object_is_claimed_first_by_its_own_row(name: str) -> None:
    """The fixture names the function."""
    fixture = USAGE_FIXTURES[name]
    assert fixture["shape"] == claimed_by(USAGE, fixture["usage"])[0]


def test_the_memory_of_classes_has_a_bound() -> None:
    """A function may make a new class for each of its answers."""
    for number in range(1100):
        kind = type(f"Answer{number}", (), {"usage": None})
        read(kind(), Reported())

    assert len(class_fields) <= 1024


@pytest.mark.parametrize("found", [None, {"usage": 7}, len, Mock()])
def test_an_object_that_has_every_field_says_nothing(found: Any) -> None:
    """A mock, and one that returns a value in the place of an `AttributeError`."""
    answers: Any = type("Answers", (), {"__getattr__": lambda _, _name: found})
    reported = Reported()

    assert not read(answers(), reported)
    assert "missing" == reported.usage_status
    assert reported.finished is None


def test_an_object_that_asks_elsewhere_has_no_list_price(genai: Any, events: Events) -> None:
    """It may have more that is billed than is asked for."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 200}
    answer = as_mapping(Asking, {"model": "gpt-4o-mini", "usage": usage})
    llm_call(lambda: answer)()
    llm_call(lambda: as_mapping(MappingProxyType, {"model": "gpt-4o-mini", "usage": usage}))()

    assert ["reported"] * 2 == [event.usage_status for event in events]
    assert [None, 0.00027] == [event.cost_usd for event in events]


def test_each_row_has_a_fixture() -> None:
    """Each row of the tables is tested with a vendor's documented answer."""
    shapes = {name for fixture in FIXTURES for name in load(fixture)["shape"].split()}

    # Those are no answers; the others have bytes and headers, and are tested on real ones.
    none = {"errors.beside_answer", "errors.whole_body", "errors.no_answer"}
    others = {*none, "shapes.of_part", "bedrock.invoked"}
    assert {name_of(shape) for _, shape in MESSAGES} == {*shapes, *others}
    assert {name_of(shape) for _, shape in USAGE} == {
        "any_vendor.cost",  # these decline, so that another row reads the tokens
        "xai.cost_in_ticks",
        *(fixture["shape"] for fixture in USAGE_FIXTURES.values()),
    }


@pytest.mark.parametrize(
    ("name", "make"),
    [
        (name, make)
        for name, fixture in USAGE_FIXTURES.items()
        for make in MADE_OF
        if make is dict or all(key.isidentifier() for key in fixture["usage"])
    ],
)
def test_a_bare_usage_object_is_read(name: str, make: Callable[[Any], Any], events: Events) -> None:
    """A usage object may be the result of `usage=` or the argument of `call.usage()`."""
    usage = USAGE_FIXTURES[name]["usage"]
    llm_call(usage=lambda _: make(usage), prices=lambda _: None)(lambda: "Paris.")()

    [event] = events
    expected = {
        key: value for key, value in USAGE_FIXTURES[name]["says"].items() if "_tokens" in key
    }
    assert expected == {key: value for key, value in says(event).items() if "_tokens" in key}
    assert "reported" == event.usage_status


def test_attributes_of_a_span_name_model_and_reason(events: Events) -> None:
    """OpenTelemetry's flat keys, returned as they are."""
    llm_call(lambda: USAGE_FIXTURES["opentelemetry"]["usage"])()

    [event] = events
    assert USAGE_FIXTURES["opentelemetry"]["says"] == says(event) | {"usage_status": "reported"}


@pytest.mark.parametrize(
    "junk",
    [None, "7", True, -1, float("nan"), pytest.param(10**400, id="huge"), [], {}],
)
def test_junk_in_a_usage_object_is_nothing(junk: object) -> None:
    """Each part is junk in turn, then all of them; no count comes from junk."""
    for fixture in USAGE_FIXTURES.values():
        usage = fixture["usage"]
        for key in usage:
            reported = Reported()
            read_usage({**usage, key: junk, "unknown": junk, "cost": junk}, reported)
            counts = (reported.input_tokens, reported.output_tokens, reported.cached_input_tokens)
            for count in counts:
                assert count is None or (type(count) is int and count >= 0)
            assert reported.cost is None
        reported = Reported()
        read_usage(dict.fromkeys(usage, junk), reported)
        assert "missing" == reported.usage_status


class TestExtras:
    """Fields that a pydantic class does not declare, as SDKs keep unknown fields."""

    class Open(BaseModel):
        """A class that accepts any fields."""

        model_config = ConfigDict(extra="allow")

    def test_a_mark_among_them_is_reported(self) -> None:
        """DeepSeek's cached tokens come through OpenAI's client as such a field."""
        reported = Reported()
        usage = self.Open(**USAGE_FIXTURES["deepseek"]["usage"])

        assert read({"choices": [], "usage": usage}, reported)
        assert (14, 9, 8) == (
            reported.input_tokens,
            reported.output_tokens,
            reported.cached_input_tokens,
        )

    def test_a_whole_response_of_them_is_read(self) -> None:
        """The class of such a response declares no field."""
        reported = Reported()

        body = {"text": "Paris.", "usage": {"input_tokens": 1, "output_tokens": 2}}

        assert read(self.Open(**body), reported)
        assert (1, 2) == (reported.input_tokens, reported.output_tokens)


class TestCutStreams:
    """A stream that ends early reports the counts that had arrived."""

    @pytest.mark.parametrize("name", ENDED)
    def test_without_its_terminal_chunk_it_is_incomplete(self, name: str, events: Events) -> None:
        """The call is an error."""
        reported = Reported()
        before = [
            chunk for chunk in values(name) if read(chunk, reported) and not reported.finished
        ]

        @llm_call(prices=lambda _: None)
        def cut() -> Iterator[Any]:
            yield from before

        list(cut())

        [event] = events
        assert ("error", "IncompleteStream") == (event.outcome, event.error_type)

    @pytest.mark.parametrize("chunks", [1, 3, 6])
    def test_anthropics_placeholder_is_not_the_output(self, chunks: int, events: Events) -> None:
        """The first event has the input; its output is only a placeholder."""

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
        """The input comes thousands of events before the output, and is kept."""
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

    @pytest.mark.parametrize("read", [list, next], ids=["read", "left"])
    def test_a_stream_of_a_failed_response_has_the_error_of_its_body(
        self, read: Any, events: Events
    ) -> None:
        """An unstreamed one has it too; its tokens are counted, read to its end or not."""
        error = {"code": "server_error", "message": "…"}

        @llm_call(prices=lambda _: None)
        def failed() -> Generator[Any, None, None]:
            *chunks, last = values("openai_responses_stream")
            yield from chunks[: 0 if read is next else None]
            yield {
                "type": "response.failed",
                "response": {**last["response"], "status": "failed", "error": error},
            }

        stream = failed()
        read(stream)
        stream.close()

        [event] = events
        assert ("error", "server_error", "server_error", "failed") == (
            event.outcome,
            event.error_type,
            event.error_code,
            event.finish_reason,
        )
        assert (1149, 212) == (event.input_tokens, event.output_tokens)

    @pytest.mark.parametrize("wrap", [dict, lambda **error: {"error": error}])
    def test_an_error_event_has_the_error_type(self, wrap: Any, events: Events) -> None:
        """The clients do not raise on every such event."""

        @llm_call(prices=lambda _: None)
        def broken() -> Iterator[Any]:
            yield from values("openai_responses_stream")[:5]
            yield {"type": "error", **wrap(code="server_error", message="…")}

        list(broken())

        [event] = events
        assert ("error", "server_error") == (event.outcome, event.error_type)


class TestCumulation:
    """A repeated count replaces the earlier one."""

    def test_a_later_count_of_fresh_tokens_alone_keeps_the_cache(self) -> None:
        """Anthropic's delta may repeat the input without the cached tokens."""
        reported = Reported()
        for usage in (
            USAGE_FIXTURES["anthropic"]["usage"],
            {"input_tokens": 5, "output_tokens": 9, "cache_read_input_tokens": None},
        ):
            read_usage(usage, reported)

        assert (5 + 1163 + 7, 9) == (reported.input_tokens, reported.output_tokens)

    def test_a_later_count_of_the_cache_alone_keeps_the_fresh_tokens(self) -> None:
        """Anthropic's delta may also repeat only the cached input; a 0 replaces no count."""
        reported = Reported()
        read_usage(USAGE_FIXTURES["anthropic"]["usage"], reported)
        read_usage({"cache_read_input_tokens": 1000, "cache_creation_input_tokens": 0}, reported)

        assert (4 + 1000 + 7, 1000, 7) == (
            reported.input_tokens,
            reported.cached_input_tokens,
            reported.cache_write_tokens,
        )

    def test_a_vendors_cost_of_nothing_is_known(self) -> None:
        """A free model costs 0, which is not unknown; a cost once known stays."""
        reported = Reported()
        read_usage({"prompt_tokens": 1, "cost": 0}, reported)
        assert Decimal(0) == reported.cost
        read_usage({"prompt_tokens": 1, "cost": 0.1}, reported)
        read_usage({"prompt_tokens": 1}, reported)
        assert Decimal("0.1") == reported.cost


class TestLookalikes:
    """The application's own protocol is not taken for a vendor's."""

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
    def test_its_stream_needs_no_terminal_chunk(self, value: Any) -> None:
        """Only a known shape requires a terminal chunk."""
        reported = Reported()
        read(value, reported)

        assert reported.finished is None

    def test_its_usage_is_found_where_it_is(self, events: Events) -> None:
        """The usage is found, although another field has a vendor's name."""
        usage = {"input_tokens": 1, "output_tokens": 2}
        for mark in ({"candidates": ["Ada"]}, {"stopReason": "end"}, {"metadata": {"usage": 1}}):
            llm_call(lambda mark=mark: {**mark, "usage": usage})()

        assert [(1, 2)] * 3 == [(event.input_tokens, event.output_tokens) for event in events]

    def test_a_cost_without_tokens_is_not_the_calls(self, events: Events) -> None:
        """Such a cost may be part of the answer's content."""
        llm_call(lambda: {"product": "hat", "cost": 12})()

        assert events[0].cost_usd is None

    def test_a_ping_is_no_shape(self) -> None:
        """A ping is no content, and requires no terminal chunk."""
        reported = Reported()

        assert read({"type": "ping"}, reported)
        assert (False, None) == (reported.content, reported.finished)

    def test_a_property_called_data_is_not_asked(self) -> None:
        """The property of an HTTP response would read the body before the application does."""

        class Response:
            @property
            def data(self) -> bytes:
                raise AssertionError

        assert not read(Response(), Reported())

    def test_a_large_answer_is_not_read_as_a_usage_in_camel_case(self) -> None:
        """To rename all keys of a megabyte of JSON took a second."""

        class Key:
            def __str__(self) -> str:
                raise AssertionError

        assert not read({"pages": {Key(): "Paris."}, "text": "Paris."}, Reported())


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, (None, None, "missing")),
        ({"prompt_tokens": 5}, (5, 0, "reported")),
        ({"prompt_tokens": 5, "completion_tokens": 2}, (5, 2, "reported")),
    ],
)
def test_embeddings_generate_nothing(usage: object, expected: object, events: Events) -> None:
    """Embeddings have no output unless the response reports one."""
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
def test_content(event: object, content: bool) -> None:  # noqa: FBT001 - expected
    """Text, reasoning and arguments are content; the frames around them are not."""
    reported = Reported()
    assert read(event, reported)

    assert content is reported.content


NAMES = sorted(
    {mark for mark, _ in (*MESSAGES, *USAGE)}
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
    """Any value in any place is read without an error, and the result fits into an event."""
    reported = Reported()
    read(value, reported)
    tokens_of(value)

    for count in (reported.input_tokens, reported.output_tokens, reported.reasoning_tokens):
        assert count is None or (type(count) is int and count >= 0)
    assert reported.cost is None or 0 <= reported.cost
    assert all(type(text) in (str, type(None)) for text in (reported.model, reported.finish_reason))
