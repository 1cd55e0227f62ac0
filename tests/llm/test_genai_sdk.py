"""Google's real client, over HTTP: by the decorator, by `instrument_llm`, in a `with`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import instrument_llm
from tests.llm.scripted import Raw, scripted
from tests.llm.sdk import ROADS, answer, genai_client, observed
from tests.llm.sdks import ANSWER, CONTENTS, GENAI, WAYS, generate, generate_stream
from tests.support.garbage import collect_garbage

genai = pytest.importorskip("google.genai")

# The client's own warning if aiohttp is installed.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

[WAY] = [way for way in WAYS if way.sdk is GENAI]


@pytest.fixture(scope="module")
def client(clients: Callable[..., Any]) -> Any:
    """Return the client."""
    return clients(GENAI)


def test_an_answer(client: Any, events: Events) -> None:
    """The output includes the thoughts, which Gemini counts separately."""
    with instrument_llm(client):
        response = generate(client, "whole")
        list(generate_stream(client, "whole"))

    assert genai.types.GenerateContentResponse is type(response)
    assert [("llm.generate_content", "ok", None, "whole", ANSWER)] * 2 == [
        (event.event, event.outcome, event.provider, event.model_alias, answer(event))
        for event in events
    ]


def test_an_async_answer(client: Any, loop: asyncio.Runner, events: Events) -> None:
    """The async client behaves the same."""
    with instrument_llm(client):
        loop.run(client.aio.models.generate_content(model="whole", contents=CONTENTS))

    assert [("ok", ANSWER)] == [(event.outcome, answer(event)) for event in events]


def test_a_chat(client: Any, loop: asyncio.Runner, events: Events) -> None:
    """A chat uses the same methods of the client."""

    async def main() -> None:
        chat = client.aio.chats.create(model="whole")
        await chat.send_message(CONTENTS)
        assert 3 == len([part async for part in await chat.send_message_stream(CONTENTS)])

    with instrument_llm(client):
        chat = client.chats.create(model="whole")
        chat.send_message(CONTENTS)
        assert 3 == len(list(chat.send_message_stream(CONTENTS)))
        loop.run(main())

    assert [("ok", ANSWER)] * 4 == [(event.outcome, answer(event)) for event in events]


def test_the_tier_that_has_served(request: pytest.FixtureRequest, events: Events) -> None:
    """The client drops it from the usage; a header of the response has it."""
    request.getfixturevalue("genai")  # not by its name here, which is the client's module
    usage = {"promptTokenCount": 3000, "candidatesTokenCount": 200}
    body = {
        "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
        "modelVersion": "gemini-2.5-flash",
        "usageMetadata": usage | {"serviceTier": "flex"},
    }
    headers = (("X-Gemini-Service-Tier", "flex"),)
    begun, ended = (json.dumps(each).encode() for each in (body | {"candidates": []}, body))
    whole = Raw(ended, "application/json", headers)
    stream = Raw(b"data: %b\n\ndata: %b\n\n" % (begun, ended), "text/event-stream", headers)
    with (
        scripted({":generateContent": whole, ":stream": stream}) as url,
        genai_client(url) as client,
    ):
        instrument_llm(client, provider="gcp.gemini")
        client.models.generate_content(model="gemini-2.5-flash", contents=CONTENTS)
        list(client.models.generate_content_stream(model="gemini-2.5-flash", contents=CONTENTS))

    assert [("ok", 3000, None)] * 2 == [
        (event.outcome, event.input_tokens, event.cost_usd) for event in events
    ]


def test_embeddings(client: Any, loop: asyncio.Runner, events: Events) -> None:
    """Gemini sends no usage for embeddings."""
    with instrument_llm(client):
        client.models.embed_content(model="whole", contents=CONTENTS)
        loop.run(client.aio.models.embed_content(model="whole", contents=CONTENTS))

    assert [("llm.embeddings", "ok", "missing", None)] * 2 == [
        (event.event, event.outcome, event.usage_status, event.input_tokens) for event in events
    ]


@pytest.mark.parametrize("road", ROADS[:2])
def test_the_consumer_leaves(road: str, client: Any, events: Events) -> None:
    """The consumer leaves by `break`, or closes the generator."""
    with observed(road, client, WAY) as opens:
        for _ in opens("whole"):
            break
        stream = opens("whole")
        next(stream)
        stream.close()
    collect_garbage()

    assert [("closed", 1149, 1)] * 2 == [
        (event.outcome, event.input_tokens, event.chunks) for event in events
    ]


def test_a_stream_that_nobody_starts(client: Any, events: Events) -> None:
    """The client's method is a generator function, which has sent nothing: there is no call.

    Sentry's wrapper, which other tests may have left in this process, sends it at once.
    """
    is_wrapped = hasattr(type(client.models).generate_content_stream, "__wrapped__")
    with instrument_llm(client):
        generate_stream(client, "whole")
    collect_garbage()

    assert (["not_consumed"] if is_wrapped else []) == [event.outcome for event in events]
