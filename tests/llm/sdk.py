"""The ways to observe a call of an SDK's client, the ways to use its stream, and its clients."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pantheon_obs import instrument_llm, llm_call

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

MESSAGES: Any = [{"role": "user", "content": "The capital of France?"}]

DECORATOR, INSTRUMENT, CLASS, WITH = "decorator", "instrument_llm", "of its class", "with"
ROADS = (DECORATOR, INSTRUMENT, CLASS, WITH)

SHORT = "IncompleteStream"
SILENT = (SHORT, "server_error")
"""Errors that the SDK does not raise."""


def openai_client(url: str, kind: Any = None, **options: Any) -> Any:
    """Make a client for a provider, of a class of OpenAI's; it tries once."""
    kind = kind or pytest.importorskip("openai").OpenAI
    return kind(**{"api_key": "none", "base_url": f"{url}/v1", "max_retries": 0} | options)


def anthropic_client(url: str, kind: Any = None, **options: Any) -> Any:
    """Make a client for a provider, of a class of Anthropic's; it tries once."""
    kind = kind or pytest.importorskip("anthropic").Anthropic
    return kind(**{"api_key": "none", "base_url": url, "max_retries": 0} | options)


def genai_client(url: str, **options: Any) -> Any:
    """Make Google's client, for a provider; it tries once."""
    made = pytest.importorskip("google.genai").Client
    return made(api_key="none", http_options={"base_url": url} | options)


class Sdk(NamedTuple):
    """An SDK: how its clients are made, and what a failing stream raises.

    Attributes:
        name: The name of the test.
        client: Makes a client, given the provider's URL.
        async_client: Makes an async client; None if a client is both.
        retrying: The options of a client that tries twice.
        errors: The error that each failure has, by the model's name.
        async_errors: Those of the async client that differ.
        left: The status of the usage and the input of a stream that is left after a chunk.
        whole: Asks for an answer in one piece, given a client and a model.
        reasons: The reason why each model stops.
    """

    name: str
    client: Callable[..., Any]
    async_client: Callable[..., Any] | None
    retrying: Mapping[str, Any]
    errors: Mapping[str, str]
    async_errors: Mapping[str, str]
    left: tuple[str, int | None]
    whole: Callable[[Any, str], Any]
    reasons: Mapping[str, str]


class Way(NamedTuple):
    """A way of an SDK to stream an answer.

    Attributes:
        sdk: The SDK.
        name: The name of the test.
        opens: Opens the stream, given a client and a model.
        kinds: The classes of the stream and of the async client's stream.
        chunks: The number of chunks of a complete answer.
        answer: The expected fields of the event, as `answer()` selects them.
        waits: The number of times that the provider waits between two events: before the first
            content, and in all.
        entered: Whether the SDK requires a `with` statement.
        errors: The errors that differ from those of the SDK.
        opens_async: Opens the async stream, if `opens` does not.
    """

    sdk: Sdk
    name: str
    opens: Callable[[Any, str], Any]
    kinds: tuple[Any, Any]
    chunks: int
    answer: tuple[Any, ...]
    waits: tuple[int, int]
    entered: bool = False
    errors: Mapping[str, str] = {}
    opens_async: Callable[[Any, str], Any] | None = None

    def error(self, model: str) -> str:
        """Return the type of the error of a stream that fails as the model's name says."""
        return self.errors.get(model) or self.sdk.errors.get(model, SHORT)

    def async_error(self, model: str) -> str:
        """Like `error`, of the async client."""
        return self.sdk.async_errors.get(model) or self.error(model)


class Gateway:
    """A gateway of the application's that returns the SDK's own value."""

    def __init__(self, client: Any, way: Way) -> None:
        self.client = client
        self.way = way

    @llm_call
    def stream(self, model: str) -> Any:
        """Answer in pieces."""
        return self.way.opens(self.client, model)


@contextmanager
def observed(road: str, client: Any, way: Way) -> Iterator[Callable[[str], Any]]:
    """Yield a function that opens an observed stream, in a way other than `with`."""
    if road == DECORATOR:
        yield Gateway(client, way).stream
    else:
        with instrument_llm(type(client) if road == CLASS else client):
            yield lambda model: way.opens(client, model)


def stream_of(client: Any, way: Way, road: str, model: str) -> list[Any]:
    """Read a stream to its end, and return its chunks."""
    if road == WITH:
        with llm_call(model=model, operation="stream", provider="p") as call:
            return _read(way.opens(client, model), way, call.chunk)
    with observed(road, client, way) as opens:
        return _read(opens(model), way, bool)


def _read(opened: Any, way: Way, tell: Callable[[Any], object]) -> list[Any]:
    if way.entered:
        with opened as stream:
            return _read(stream, way._replace(entered=False), tell)
    assert isinstance(opened, way.kinds[0])
    chunks = []
    for chunk in opened:
        tell(chunk)
        chunks.append(chunk)
    return chunks


async def async_stream_of(
    client: Any, way: Way, road: str, model: str, heard: Callable[[Any], object] = bool
) -> list[Any]:
    """Read an async stream to its end, and return its chunks; `heard` gets each at once.

    By default, as in `stream_of`, it is `bool`: a no-op.
    """
    way = way._replace(opens=way.opens_async or way.opens)
    if road == WITH:
        async with llm_call(model=model, operation="stream", provider="p") as call:
            return await _aread(way.opens(client, model), way, call.chunk)
    with observed(road, client, way) as opens:
        return await _aread(opens(model), way, heard)


async def _aread(opened: Any, way: Way, tell: Callable[[Any], object]) -> list[Any]:
    if way.entered:
        async with opened as stream:
            return await _aread(stream, way._replace(entered=False), tell)
    if inspect.isawaitable(opened):
        opened = await opened
    assert isinstance(opened, way.kinds[1])
    chunks = []
    async for chunk in opened:
        tell(chunk)
        chunks.append(chunk)
    return chunks


def raised_by(act: Callable[[], Any]) -> str | None:
    """Return the name of the exception that an action raises, if any."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return type(error).__name__
    return None


def raise_at(_: object) -> None:
    """Raise as a consumer that fails on a chunk."""
    raise LookupError


def answer(event: LlmCallFinished) -> tuple[Any, ...]:
    """Select the fields of an event that describe the answer."""
    return (
        event.input_tokens,
        event.output_tokens,
        event.cached_input_tokens,
        event.reasoning_tokens,
        event.model,
        event.finish_reason,
    )


def assert_streamed(events: Events, way: Way) -> None:
    """Check that there is one event, with the answer's fields and the outcome ok."""
    [event] = events
    assert way.answer == answer(event)
    assert ("ok", "reported", True, way.chunks) == (
        event.outcome,
        event.usage_status,
        event.stream,
        event.chunks,
    )
    assert event.ttfc_ms is not None
    assert event.ttft_ms is not None
    assert event.ttfc_ms <= event.ttft_ms <= event.latency_ms


def assert_timed(event: LlmCallFinished, waits: tuple[int, int], first: int, chunk: int) -> None:
    """Check the times of a stream whose provider waited that many milliseconds, as `Way` counts."""
    before, in_all = waits
    assert event.ttfc_ms is not None
    assert event.ttft_ms is not None
    assert first <= event.ttfc_ms <= event.ttft_ms < event.latency_ms
    assert (before == 0) == (event.ttfc_ms == event.ttft_ms)
    assert first + before * chunk <= event.ttft_ms
    assert first + in_all * chunk <= event.latency_ms


def assert_ended(events: Events, outcome: str, error_type: str | None, model: str) -> None:
    """Check that there is one event, with the outcome of this failure."""
    assert [(outcome, error_type, model)] == [
        (event.outcome, event.error_type, event.model_alias) for event in events
    ]


@contextmanager
def clients_of(url: str, loop: asyncio.Runner) -> Iterator[Callable[..., Any]]:
    """Yield a function that returns the client, or the async client, of an SDK, made once."""
    made: dict[tuple[str, bool], Any] = {}

    def client_of(sdk: Sdk, *, is_async: bool = False) -> Any:
        key = (sdk.name, is_async and sdk.async_client is not None)
        if key not in made:
            make = (sdk.async_client if is_async else None) or sdk.client
            made[key] = make(url)
        return made[key]

    yield client_of
    for (_, is_async), client in made.items():
        if is_async:
            loop.run(client.close())
            continue
        if hasattr(client, "aio"):
            loop.run(client.aio.aclose())
        client.close()
