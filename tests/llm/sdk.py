"""The ways to observe a call of an SDK's client, and the ways to use its stream."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from pantheon_obs import instrument_llm, llm_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

MESSAGES: Any = [{"role": "user", "content": "The capital of France?"}]

DECORATOR, INSTRUMENT, CLASS, WITH = "decorator", "instrument_llm", "of its class", "with"
ROADS = (DECORATOR, INSTRUMENT, CLASS, WITH)


class Way(NamedTuple):
    """A way of an SDK to stream an answer.

    Attributes:
        name: The name of the test.
        opens: Opens the stream, given a client and a model.
        kind: The stream's class.
        chunks: The number of chunks of a complete answer.
        answer: The expected fields of the event, as `answer()` selects them.
        entered: Whether the SDK requires a `with` statement.
    """

    name: str
    opens: Callable[[Any, str], Any]
    kind: Any
    chunks: int
    answer: tuple[Any, ...]
    entered: bool = False


class Ending(NamedTuple):
    """The ending that a model's name produces, and the outcome that its event must have."""

    model: str
    outcome: str
    error_type: str | None

    @property
    def raised(self) -> str | None:
        """Return the name of the SDK's exception."""
        return None if self.error_type in ("IncompleteStream", "server_error") else self.error_type


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
        return _read(opens(model), way, lambda _: None)


def _read(opened: Any, way: Way, tell: Callable[[Any], None]) -> list[Any]:
    if way.entered:
        with opened as stream:
            return _read(stream, way._replace(entered=False), tell)
    assert isinstance(opened, way.kind)
    chunks = []
    for chunk in opened:
        tell(chunk)
        chunks.append(chunk)
    return chunks


async def async_stream_of(client: Any, way: Way, road: str, model: str) -> list[Any]:
    """Read an async stream to its end, and return its chunks."""
    if road == WITH:
        async with llm_call(model=model, operation="stream", provider="p") as call:
            return await _aread(way.opens(client, model), way, call.chunk)
    with observed(road, client, way) as opens:
        return await _aread(opens(model), way, lambda _: None)


async def _aread(opened: Any, way: Way, tell: Callable[[Any], None]) -> list[Any]:
    if way.entered:
        async with opened as stream:
            return await _aread(stream, way._replace(entered=False), tell)
    if inspect.isawaitable(opened):
        opened = await opened
    assert isinstance(opened, way.kind)
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


def assert_ended(events: Events, ending: Ending) -> None:
    """Check that there is one event, with the outcome of this failure."""
    assert [(ending.outcome, ending.error_type, ending.model)] == [
        (event.outcome, event.error_type, event.model_alias) for event in events
    ]
