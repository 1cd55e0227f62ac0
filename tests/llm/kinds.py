"""Every kind of result that a decorated function may return, made of one script of chunks."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pantheon_obs import llm_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Script = Callable[[], Iterator[Any]]
    AsyncScript = Callable[[], AsyncIterator[Any]]


class ChunkIterator:
    """Its own iterator, with `close` and `with`, as an SDK's stream is."""

    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks = chunks
        self.closed = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._chunks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self.closed = True


class ChunkIterable:
    """Iterable, but not its own iterator."""

    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[Any]:
        for chunk in self._chunks:  # noqa: UP028 - as hand-written gateways do
            yield chunk

    def close(self) -> None:
        """Let go of the connection."""


class SlotsIterator:
    """An iterator that has only its slots as attributes, and no weak references."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._chunks)

    def close(self) -> None:
        """Let go of the connection."""


@dataclass(frozen=True)
class Holder:
    """Has the chunks and the future of their usage, and is not iterable itself."""

    chunks: Any
    usage_future: Future[Any]


@dataclass(frozen=True, slots=True)
class SlotsHolder:
    """An iterator object without a `__dict__`."""

    chunks: Any
    usage_future: Future[Any]


class Pair(NamedTuple):
    """The chunks and the future of their usage."""

    chunks: Any
    usage_future: Future[Any]


class Kind(NamedTuple):
    """A decorated function, and a consumer that reads the chunks of its result."""

    name: str
    call: Callable[[Any], Any]
    chunks: Callable[[Any], Any] = lambda result: result
    # A generator function makes no call until its generator is started.
    starts_at_once: bool = True


def _no_usage() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(None)
    return future


@llm_call(operation="stream")
def generator_function(script: Script) -> Iterator[Any]:
    """A generator function."""
    yield from script()


@llm_call(operation="stream")
def returns_generator(script: Script) -> Iterator[Any]:
    """A plain function that returns a generator."""
    return script()


@llm_call(operation="stream")
def returns_iterator(script: Script) -> ChunkIterator:
    """A plain function that returns an iterator object."""
    return ChunkIterator(script())


@llm_call(operation="stream")
def returns_iterable(script: Script) -> ChunkIterable:
    """A plain function that returns an iterable object."""
    return ChunkIterable(script())


@llm_call(operation="stream")
def returns_slots(script: Script) -> SlotsIterator:
    """A plain function that returns an object without attributes."""
    return SlotsIterator(script())


@llm_call(operation="stream")
def returns_holder(script: Script) -> Holder:
    """A plain function that returns the chunks beside their usage."""
    return Holder(script(), _no_usage())


@llm_call(operation="stream")
def returns_slots_holder(script: Script) -> SlotsHolder:
    """A plain function that returns the chunks beside their usage, in slots."""
    return SlotsHolder(script(), _no_usage())


@llm_call(operation="stream")
def returns_tuple(script: Script) -> tuple[Iterator[Any], Future[Any]]:
    """A plain function that returns a tuple."""
    return script(), _no_usage()


@llm_call(operation="stream")
def returns_named_tuple(script: Script) -> Pair:
    """A plain function that returns a named tuple."""
    return Pair(script(), _no_usage())


def _held(result: Any) -> Any:
    return result.chunks


SYNC = [
    Kind("generator function", generator_function, starts_at_once=False),
    Kind("generator", returns_generator),
    Kind("iterator object", returns_iterator),
    Kind("iterable object", returns_iterable),
    Kind("object with slots", returns_slots),
    Kind("holder", returns_holder, _held),
    Kind("holder with slots", returns_slots_holder, _held),
    Kind("tuple", returns_tuple, lambda result: result[0]),
    Kind("named tuple", returns_named_tuple, _held),
]


# --- async


class AsyncChunkIterator:
    """Its own async iterator, with `aclose` and `async with`."""

    def __init__(self, chunks: AsyncIterator[Any]) -> None:
        self._chunks = chunks
        self.closed = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._chunks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of the connection."""
        self.closed = True


class AsyncChunkIterable:
    """Async iterable, but not its own iterator."""

    def __init__(self, chunks: AsyncIterator[Any]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for chunk in self._chunks:
            yield chunk

    async def aclose(self) -> None:
        """Let go of the connection."""


@llm_call(operation="stream")
async def async_generator_function(script: AsyncScript) -> AsyncIterator[Any]:
    """An async generator function."""
    async for chunk in script():
        yield chunk


@llm_call(operation="stream")
async def returns_async_generator(script: AsyncScript) -> AsyncIterator[Any]:
    """A coroutine function that returns an async generator."""
    return script()


@llm_call(operation="stream")
def returns_async_generator_at_once(script: AsyncScript) -> AsyncIterator[Any]:
    """A plain function that returns an async generator."""
    return script()


@llm_call(operation="stream")
async def returns_async_iterator(script: AsyncScript) -> AsyncChunkIterator:
    """A coroutine function that returns an async iterator object."""
    return AsyncChunkIterator(script())


@llm_call(operation="stream")
async def returns_async_iterable(script: AsyncScript) -> AsyncChunkIterable:
    """A coroutine function that returns an async iterable object."""
    return AsyncChunkIterable(script())


@llm_call(operation="stream")
def returns_coroutine(script: AsyncScript) -> Any:
    """A plain function that returns a coroutine which gives an async iterator object."""

    async def coroutine() -> AsyncChunkIterator:
        return AsyncChunkIterator(script())

    return coroutine()


@llm_call(operation="stream")
async def returns_async_holder(script: AsyncScript) -> Holder:
    """A coroutine function that returns the chunks beside their usage."""
    return Holder(script(), _no_usage())


@llm_call(operation="stream")
async def returns_async_tuple(script: AsyncScript) -> Pair:
    """A coroutine function that returns a named tuple."""
    return Pair(script(), _no_usage())


ASYNC = [
    Kind("async generator function", async_generator_function, starts_at_once=False),
    Kind("async generator", returns_async_generator),
    Kind("async generator, not awaited", returns_async_generator_at_once),
    Kind("async iterator object", returns_async_iterator),
    Kind("async iterable object", returns_async_iterable),
    Kind("coroutine of a plain function", returns_coroutine),
    Kind("async holder", returns_async_holder, _held),
    Kind("async named tuple", returns_async_tuple, _held),
]
