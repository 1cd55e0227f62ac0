"""What the served apps of the contract share; each adapter's app has the routes described there."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from typing import TYPE_CHECKING

import structlog

from pantheon_obs import current_trace_id
from pantheon_obs.core.context import current_trace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SECONDS = 30.0

log = logging.getLogger("contract")


class Gate:
    """Holds a handler until a second request, `/release/{key}`, opens it."""

    def __init__(self) -> None:
        self._blocking = threading.Event()
        self._awaited = asyncio.Event()

    def open(self) -> None:
        """Let those who wait go on."""
        self._blocking.set()
        self._awaited.set()

    def wait(self) -> None:
        """Wait in a thread."""
        if not self._blocking.wait(SECONDS):
            raise TimeoutError

    async def arrive(self) -> None:
        """Wait on the event loop."""
        await self._awaited.wait()


gates: defaultdict[str, Gate] = defaultdict(Gate)


def seen() -> dict[str, object]:
    """What a handler sees of its context."""
    return {
        "trace_id": current_trace_id.get(),
        "structlog": structlog.contextvars.get_contextvars(),
    }


async def chunks(key: str) -> AsyncIterator[bytes]:
    """A first chunk at once, a second when the gate has been opened."""
    yield f"one {current_trace_id.get()}\n".encode()
    await gates[key].arrive()
    log.info("second chunk")
    yield f"two {current_trace_id.get()}\n".encode()


def sync_chunks(key: str) -> Iterator[bytes]:
    """The same from a plain generator."""
    yield f"one {current_trace_id.get()}\n".encode()
    gates[key].wait()
    log.info("second chunk")
    yield f"two {current_trace_id.get()}\n".encode()


async def broken_chunks() -> AsyncIterator[bytes]:
    """A stream that fails in its middle."""
    yield b"one\n"
    msg = "the stream broke"
    raise RuntimeError(msg)


async def endless() -> AsyncIterator[bytes]:
    """A stream that only its client ends."""
    while True:
        yield b"data: again\n\n"
        await asyncio.sleep(0.005)


async def work(key: str) -> None:
    """Background work that waits for its gate."""
    await gates[key].arrive()
    log.info("worked")


def fail() -> None:
    """Background work that fails."""
    msg = "the background broke"
    raise LookupError(msg)


class OpenCall:
    """An LLM call in progress, as the record sees it."""

    def force_finish(self) -> None:
        """End with the request."""
        log.info("force_finished")


def leave_a_call_open() -> None:
    """Leave a call open for the request's end."""
    record = current_trace.get()
    if record is None:
        raise LookupError
    record.open_calls.add(OpenCall())
