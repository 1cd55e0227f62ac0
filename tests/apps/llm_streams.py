"""The FastAPI application that streams from a gateway, for clients that stay and those that leave.

A module of its own, for its calls of models have more routes than the other tests need.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from pantheon_obs import llm_call
from tests.apps import common
from tests.apps.neutral import Incoming, Reply
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

DELAY = 0.01
MANY = 3000  # chunks; nobody stays for so long


def chunks(count: int) -> Iterator[dict[str, Any]]:
    """Make chunks as OpenAI does: an empty role frame, words, a terminal chunk, the usage."""
    yield {"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
    for _ in range(count):
        yield {"choices": [{"delta": {"content": "word "}, "finish_reason": None}]}
    yield {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    yield {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": count}}


class Stream:
    """A stream object, as an SDK's."""

    def __init__(self, count: int) -> None:
        self._chunks = chunks(count)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        time.sleep(DELAY)
        return next(self._chunks)


class AsyncStream:
    """A stream object, as an SDK's async one."""

    def __init__(self, count: int) -> None:
        self._chunks = chunks(count)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        await asyncio.sleep(DELAY)
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


class Gateway:
    """One stream in four forms, and an answer in one piece."""

    @llm_call(model="fast", operation="stream")
    def sync_generator(self, count: int) -> Iterator[Any]:
        """A generator function."""
        for chunk in chunks(count):
            time.sleep(DELAY)
            yield chunk

    @llm_call(model="fast", operation="stream")
    async def async_generator(self, count: int) -> AsyncIterator[Any]:
        """An async generator function."""
        for chunk in chunks(count):
            await asyncio.sleep(DELAY)
            yield chunk

    @llm_call(model="fast", operation="stream")
    def sync_object(self, count: int) -> Stream:
        """A function that returns a stream object."""
        return Stream(count)

    @llm_call(model="fast", operation="stream")
    async def async_object(self, count: int) -> AsyncStream:
        """A coroutine function that returns an async stream object."""
        return AsyncStream(count)

    @llm_call(model="fast")
    async def generate(self, tokens: int) -> dict[str, Any]:
        """Answer in one piece."""
        await asyncio.sleep(DELAY)
        return {"usage": {"input_tokens": tokens, "output_tokens": 1}}

    @llm_call(model="fast", operation="generate")
    def generate_in_thread(self, tokens: int) -> dict[str, Any]:
        """Stream an answer from a sync endpoint."""
        time.sleep(DELAY)
        return {"usage": {"input_tokens": tokens, "output_tokens": 1}}


gateway = Gateway()


def frame(chunk: Any) -> bytes:
    """Format a chunk as a server-sent event."""
    return f"data: {json.dumps(chunk)}\n\n".encode()


def sync_frames(stream: Iterator[Any]) -> Iterator[bytes]:
    """The chunks as server-sent events."""
    for chunk in stream:
        yield frame(chunk)


async def async_frames(stream: AsyncIterator[Any]) -> AsyncGenerator[bytes, None]:
    """The chunks as server-sent events."""
    async for chunk in stream:
        yield frame(chunk)


def count(incoming: Incoming) -> int:
    """Return how many chunks the client wants."""
    return int(incoming.query.get("count", MANY))


async def sync_generator(incoming: Incoming) -> Reply:
    """Read step by step in threads."""
    return Reply(parts=sync_frames(gateway.sync_generator(count(incoming))))


async def async_generator(incoming: Incoming) -> Reply:
    """Read by the server's task."""
    return Reply(parts=async_frames(gateway.async_generator(count(incoming))))


async def sync_object(incoming: Incoming) -> Reply:
    """Read step by step in threads."""
    return Reply(parts=sync_frames(gateway.sync_object(count(incoming))))


async def async_object(incoming: Incoming) -> Reply:
    """Read by the server's task."""
    return Reply(parts=async_frames(await gateway.async_object(count(incoming))))


async def concurrent(_: Incoming) -> Reply:
    """Make calls in tasks, in a group and in threads, all at once."""
    async with asyncio.TaskGroup() as group:
        group.create_task(gateway.generate(1))
        group.create_task(gateway.generate(2))
        answers = await asyncio.gather(
            gateway.generate(3), asyncio.to_thread(gateway.generate_in_thread, 4)
        )
    return Reply({"answers": len(answers)})


async def agent(_: Incoming) -> Reply:
    """Stream from code that asks two models at once, to a reader that asks another one."""

    @llm_call(operation="agent")
    async def think() -> AsyncIterator[str]:
        await asyncio.gather(gateway.generate(1), gateway.generate(2))
        yield "done"

    async def frames() -> AsyncGenerator[bytes, None]:
        async for chunk in think():
            yield frame(chunk)
        await gateway.generate(3)

    return Reply(parts=frames())


async def still_open(_: Incoming) -> Reply:
    """Answer while a call, and a call within it, still run; a third one has reported no usage."""
    begun, gate = asyncio.Event(), asyncio.Event()

    @llm_call(operation="unreported")
    def unreported() -> str:
        return "an answer without usage"

    @llm_call(operation="inner")
    async def inner() -> None:
        begun.set()
        await gate.wait()

    @llm_call(operation="outer")
    async def outer() -> None:
        await inner()

    async def end() -> None:
        gate.set()
        await task

    unreported()
    task = asyncio.create_task(outer())
    await begun.wait()
    return Reply(after=(end,))


async def collect(_: Incoming) -> Reply:
    """Run the garbage collector now instead of later."""
    collect_garbage()
    return Reply({"collected": "all"})


common.SYNC |= {"sync_generator", "sync_object", "collect"}
common.ROUTES |= {
    "sync_generator": sync_generator,
    "async_generator": async_generator,
    "sync_object": sync_object,
    "async_object": async_object,
    "concurrent": concurrent,
    "agent": agent,
    "open": still_open,
    "collect": collect,
}

from tests.apps.fastapi_app import app  # noqa: E402 - declares the routes

__all__ = ["app"]
