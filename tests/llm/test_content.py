"""The first content of an answer, and chunks that follow its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import llm_call
from pantheon_obs.core import guard
from pantheon_obs.llm.usage.answer import Reported
from pantheon_obs.llm.usage.shapes import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]


def block(**parts: Any) -> dict[str, Any]:
    """Make the event that begins a block of Anthropic's."""
    return {"type": "content_block_start", "index": 0, "content_block": parts}


def item(**parts: Any) -> dict[str, Any]:
    """Make the event that begins an item of the Responses API."""
    return {"type": "response.output_item.added", "item": parts}


@pytest.mark.parametrize(
    ("chunk", "content"),
    [
        (block(type="tool_use", name="write_file", input={}), True),
        (block(type="redacted_thinking", data="x"), True),
        (block(type="text", text=""), False),
        (item(type="function_call", name="write_file", arguments=""), True),
        (item(type="reasoning", encrypted_content="x"), True),
        (item(type="reasoning", summary=[]), False),
        (item(type="message", content=[]), False),
        ({"type": "response.image_generation_call.partial_image", "partial_image_b64": "x"}, True),
        ({"type": "response.created", "response": {"model": "m"}}, False),
        ({"type": "error", "code": "server_error", "message": "private"}, False),
        ({"type": "error", "error": {"type": "overloaded_error"}}, False),
        ({"choices": [{"delta": {"tool_calls": [{"function": {"name": "write_file"}}]}}]}, True),
        ({"choices": [{"delta": {"content": "", "reasoning_details": [{"data": "x"}]}}]}, True),
        ({"choices": [{"delta": {"content": "", "images": [{"image_url": {}}]}}]}, True),
        ({"candidates": [{"content": {"parts": [{"thought_signature": b"x"}]}}]}, True),
        ({"candidates": [{"content": {"parts": [{"inline_data": {"data": b"x"}}]}}]}, True),
        ({"contentBlockStart": {"start": {"toolUse": {"name": "write_file"}}}}, True),
        ({"contentBlockStart": {"start": {}}}, False),
        ({"contentBlockDelta": {"delta": {"reasoningContent": {"redactedContent": b"x"}}}}, True),
    ],
)
def test_the_first_part_of_an_answer_is_content(chunk: Any, *, content: bool) -> None:
    """The name of a tool, encrypted reasoning and images are content; an error is not."""
    reported = Reported()

    assert read(chunk, reported)
    assert content is reported.content


NOTE = {"choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {}}]}
STATUS = {"status": "done", "queue": 3}
TAILS = [NOTE, STATUS, {"choices": []}]


def chat(*tail: Any, finish: str | None = "stop") -> Iterator[Any]:
    """Stream a chat, and more after its end."""
    yield {"choices": [{"delta": {"content": "Paris."}}]}
    yield {"choices": [{"delta": {}, "finish_reason": finish}]}
    yield from tail


class TestTail:
    """A stream that has ended well may go on."""

    @pytest.mark.parametrize("chunk", TAILS)
    @pytest.mark.parametrize("count", [3, 8, 40])
    def test_its_end_is_no_longer_known(self, chunk: Any, count: int, events: Events) -> None:
        """The last chunks are all of a kind that is sent after the end."""
        usage = {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3}}
        list(llm_call(lambda: chat(*[chunk] * count, usage))())

        [event] = events
        assert ("ok", None, 12, 3) == (
            event.outcome,
            event.error_type,
            event.input_tokens,
            event.output_tokens,
        )

    @pytest.mark.parametrize(
        "tail",
        [
            [],
            [NOTE] * 3,
            [NOTE, {"choices": [{"delta": {"content": ""}}]}] * 5,
            [{"choices": [{"text": "a"}]}] * 9,
            ["a"] * 9,
            [{"type": "ping"}] * 9,
        ],
    )
    def test_a_stream_that_is_cut_is_incomplete(self, tail: Any, events: Events) -> None:
        """Parts of an answer, and frames that keep the connection alive, come before its end."""
        list(llm_call(lambda: chat(*tail, finish=None))())

        assert ("error", "IncompleteStream") == (events[0].outcome, events[0].error_type)

    def test_a_chunk_that_cannot_be_read_is_no_end(self, events: Events) -> None:
        """The guard reports it once."""

        class Hostile:
            @property
            def choices(self) -> Any:
                raise LookupError

        list(llm_call(lambda: chat(*[Hostile()] * 9, finish=None))())

        assert "error" == events[0].outcome
        assert frozenset({"llm chunk"}) == guard.reported()
        guard.forget()
