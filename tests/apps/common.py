"""The routes of every sample application, and their handlers; those that fail are in `failures`.

A framework's file only declares these routes in the framework's own way.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from pantheon_obs import bind, current_trace_id
from pantheon_obs.core.context import current_trace
from tests.apps import failures, neutral
from tests.apps.neutral import Gate, Handler, Incoming, Reply, is_on_loop, on_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

FILES = Path(__file__).parent
ORIGIN = "https://front.example"

OPTIONS: dict[str, Any] = {}
"""Options of `instrument`; a test's module sets them before it imports an application."""

log = logging.getLogger("contract")


@asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    """Start and stop, as services do."""
    log.info("started")
    yield
    log.info("stopped")


gates: defaultdict[str, Gate] = defaultdict(Gate)


# Context and plain answers.


async def ok(_: Incoming) -> Reply:
    """Answer with the context."""
    return Reply(neutral.seen() | {"thread": threading.get_ident()})


async def sync(incoming: Incoming) -> Reply:
    """Bind from a thread."""
    bind(tenant=incoming.key)
    log.info("in a thread")
    return Reply(neutral.seen())


async def bound(incoming: Incoming) -> Reply:
    """Bind fields in both ways."""
    bind(tenant=incoming.key)
    structlog.contextvars.bind_contextvars(user=incoming.key)
    log.info("bound", extra={"size": 3})
    return Reply(neutral.seen())


async def empty(_: Incoming) -> Reply:
    """Answer without a body."""
    return Reply(status=204)


async def redirect(_: Incoming) -> Reply:
    """Send the client to `/ok`."""
    return Reply(status=307, headers=(("Location", "/ok"),))


async def handled(incoming: Incoming) -> Reply:
    """Fail with a status, in the framework's own way."""
    return Reply(status=int(incoming.key), is_refusal=True)


async def unavailable(_: Incoming) -> Reply:
    """Answer with an error status that no exception caused."""
    return Reply(status=503)


async def own_header(_: Incoming) -> Reply:
    """Set the id's headers, one of them twice and in another spelling."""
    mine = (("X-Trace-Id", "mine"), ("x-trace-id", "mine-again"), ("X-Request-ID", "mine"))
    return Reply(headers=mine)


async def cors(incoming: Incoming) -> Reply:
    """Answer a request of another origin."""
    headers = [("Access-Control-Allow-Origin", "*")]
    if incoming.key:
        exposed = "X-Other" if incoming.key == "exposing" else incoming.key
        headers.append(("Access-Control-Expose-Headers", exposed))
    return Reply(headers=tuple(headers))


async def slow(incoming: Incoming) -> Reply:
    """Answer when the gate is opened."""
    log.info("waiting")
    await gates[incoming.key].arrive()
    return Reply()


async def release(incoming: Incoming) -> Reply:
    """Open a gate."""
    gates[incoming.key].open()
    return Reply(status=204)


async def threads(_: Incoming) -> Reply:
    """List the names of this process's threads."""
    return Reply([thread.name for thread in threading.enumerate()])


class OpenCall:
    """An LLM call in progress, as the trace sees it."""

    nested = False
    started = 0.0

    def force_finish(self) -> None:
        """End with the request."""
        log.info("force_finished")


async def open_call(_: Incoming) -> Reply:
    """Return while a call is in progress."""
    trace = current_trace.get()
    assert trace is not None
    trace.open_calls.add(OpenCall())
    return Reply()


# Streams, and work after the response.


async def chunks(key: str) -> AsyncGenerator[bytes, None]:
    """Yield a first chunk at once, a second one when the gate is opened."""
    yield f"one {current_trace_id.get()}\n".encode()
    await gates[key].arrive()
    log.info("second chunk")
    yield f"two {current_trace_id.get()}\n".encode()


async def endless_chunks(key: str) -> AsyncGenerator[bytes, None]:
    """Yield until the client leaves, and log the end where a key is given."""
    try:
        while True:
            yield b"data: again\n\n"
            if is_on_loop():
                await asyncio.sleep(0.005)
            else:
                time.sleep(0.005)  # noqa: ASYNC251 - on a thread
    finally:
        if key:
            log.info("the stream ends")


async def stream(incoming: Incoming) -> Reply:
    """Stream, held by a gate."""
    return Reply(parts=chunks(incoming.key))


async def sync_stream(incoming: Incoming) -> Reply:
    """Stream from a plain generator, held by a gate."""
    return Reply(parts=on_thread(chunks(incoming.key)))


async def endless(incoming: Incoming) -> Reply:
    """Stream until the client leaves."""
    return Reply(parts=endless_chunks(incoming.key))


async def work(key: str) -> None:
    """Work in the background, held by a gate."""
    await gates[key].arrive()
    log.info("worked")


async def background(incoming: Incoming) -> Reply:
    """Work after the response."""
    return Reply(after=(work, incoming.key))


ROUTES: dict[str, Handler] = {
    "ok": ok,
    "slash/": ok,
    "posted": ok,
    "added": ok,
    "sync/{key}": sync,
    "bound/{key}": bound,
    "empty": empty,
    "redirect": redirect,
    "handled/{key}": handled,
    "unavailable": unavailable,
    "own-header": own_header,
    "cors": cors,
    "cors/{key}": cors,
    "slow/{key}": slow,
    "release/{key}": release,
    "threads": threads,
    "open-call": open_call,
    "stream/{key}": stream,
    "sync-stream/{key}": sync_stream,
    "broken-stream": failures.broken_stream,
    "endless": endless,
    "endless/{key}": endless,
    "background/{key}": background,
    "background-boom/{key}": failures.background_boom,
    "boom": failures.boom,
    "fail": failures.fail,
    "stream": failures.failing_stream,
    "thread": failures.thread,
    "carried": failures.carried,
    "logged": failures.logged,
    "llm": failures.llm,
    "meet/{key}": failures.meet,
    "sentry-debug/": failures.debug,
    "health/ready": failures.thread,  # served where no `Health` is
}
"""The routes, of one segment and one key at most, without the slash before them."""
POSTED = {"posted", "sentry-debug/"}
SYNC = {"sync/{key}"}
"""The routes that a framework with both kinds of handlers serves on a thread."""


def find(path: str) -> tuple[Handler | None, str]:
    """The handler and the key of a path, for applications without a framework."""
    name, _, key = path[1:].partition("/")
    plain = ROUTES.get(path[1:])
    return (plain, "") if plain or not key else (ROUTES.get(f"{name}/{{key}}"), key)
