"""Handlers that every sample application serves; a framework's file only declares their routes.

A handler gets an `Incoming` and returns a `Reply`: it knows no framework. It is a coroutine that
suspends on an event loop and blocks on a thread, so that WSGI applications run the same handlers,
through `run` and `on_thread`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from pantheon_obs import bind, current_trace_id, get_logger, llm_call
from pantheon_obs.core.context import current_trace
from pantheon_obs.propagation import carry

FILES = Path(__file__).parent
ORIGIN = "https://front.example"
PARTIES = 8
SECONDS = 30.0
SECRET = "hunter2-hunter2"  # noqa: S105 - nobody's

OPTIONS: dict[str, Any] = {}
"""Options of `instrument`; a test's module sets them before it imports an application."""

log = logging.getLogger("contract")
shop = get_logger("shop")


class Incoming(NamedTuple):
    """The parts of a request that a handler reads."""

    key: str = ""
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """A handler's answer, for the framework to put into a response of its own.

    Attributes:
        data: The body, as JSON.
        status: The status code.
        headers: Headers of the handler's own.
        parts: The body, if it is streamed.
        after: Work after the response, and its arguments.
        is_refusal: Whether the framework's own exception for the status is to be raised.
    """

    data: Any = field(default_factory=dict)
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    parts: Parts | None = None
    after: tuple[Any, ...] = ()
    is_refusal: bool = False

    @property
    def content(self) -> bytes:
        """The body of a response that is not streamed."""
        return b"" if self.status in {204, 307} else json.dumps(self.data).encode()

    @property
    def is_plain(self) -> bool:
        """Whether `data` says everything."""
        return self == Reply(self.data, after=self.after)


Parts = AsyncGenerator[bytes, None] | Iterator[bytes]
Handler = Callable[[Incoming], Coroutine[Any, Any, Reply]]


def is_on_loop() -> bool:
    """Whether the caller runs on an event loop, and must not block."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def run(pending: Awaitable[Any]) -> Any:
    """Run a coroutine on a thread, where it never suspends."""
    try:
        next(pending.__await__())
    except StopIteration as stop:
        return stop.value
    raise AssertionError(pending)


def on_thread(parts: Any) -> Iterator[bytes]:
    """Iterate over an async generator on a thread; a plain one stays as it is."""
    if isinstance(parts, Iterator):
        yield from parts
        return
    try:
        while True:
            yield run(anext(parts))
    except StopAsyncIteration:
        return
    finally:
        run(parts.aclose())


async def finish(after: tuple[Any, ...]) -> None:
    """Do the work after a response, for frameworks without background tasks."""
    if after:
        work, *arguments = after
        pending = work(*arguments)
        if pending is not None:
            await pending


class Gate:
    """Holds a handler until a second request, `/release/{key}`, opens it."""

    def __init__(self) -> None:
        self._blocking = threading.Event()
        self._awaited = asyncio.Event()

    def open(self) -> None:
        """Let every waiting handler go on."""
        self._blocking.set()
        self._awaited.set()

    async def arrive(self) -> None:
        """Wait until the gate is open."""
        if is_on_loop():
            await self._awaited.wait()
        elif not self._blocking.wait(SECONDS):
            raise TimeoutError


class Meeting:
    """Holds handlers until `PARTIES` of them have arrived."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(PARTIES, timeout=SECONDS)
        self._gate = Gate()
        self._present = 0

    async def arrive(self) -> None:
        """Wait for the others."""
        if not is_on_loop():
            self._barrier.wait()
            return
        self._present += 1
        if self._present == PARTIES:
            self._gate.open()
        await self._gate.arrive()


gates: defaultdict[str, Gate] = defaultdict(Gate)
meeting = Meeting()


def seen() -> dict[str, object]:
    """The context as a handler sees it."""
    return {
        "trace_id": current_trace_id.get(),
        "structlog": structlog.contextvars.get_contextvars(),
    }


# Context and plain answers.


async def ok(_: Incoming) -> Reply:
    """Answer with the context."""
    return Reply(seen() | {"thread": threading.get_ident()})


async def sync(incoming: Incoming) -> Reply:
    """Bind from a thread."""
    bind(tenant=incoming.key)
    log.info("in a thread")
    return Reply(seen())


async def bound(incoming: Incoming) -> Reply:
    """Bind fields in both ways."""
    bind(tenant=incoming.key)
    structlog.contextvars.bind_contextvars(user=incoming.key)
    log.info("bound", extra={"size": 3})
    return Reply(seen())


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


async def broken_chunks() -> AsyncGenerator[bytes, None]:
    """Fail in the middle of a stream."""
    yield b"one\n"
    msg = "the stream broke"
    raise RuntimeError(msg)


async def failing_chunks() -> AsyncGenerator[bytes, None]:
    """Fail in the middle of a stream, once the request's user is bound."""
    yield b"one\n"
    divide_by_zero()


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


async def broken_stream(_: Incoming) -> Reply:
    """Stream, and fail with a `RuntimeError`."""
    return Reply(parts=broken_chunks())


async def failing_stream(_: Incoming) -> Reply:
    """Stream, and fail with a `ZeroDivisionError`."""
    return Reply(parts=failing_chunks())


async def endless(incoming: Incoming) -> Reply:
    """Stream until the client leaves."""
    return Reply(parts=endless_chunks(incoming.key))


async def work(key: str) -> None:
    """Work in the background, held by a gate."""
    await gates[key].arrive()
    log.info("worked")


def fail_in_background() -> None:
    """Fail in the background."""
    msg = "the background broke"
    raise LookupError(msg)


async def background(incoming: Incoming) -> Reply:
    """Work after the response."""
    return Reply(after=(work, incoming.key))


async def background_boom(incoming: Incoming) -> Reply:
    """Fail after the response, whose status is asked for."""
    return Reply(status=int(incoming.key), after=(fail_in_background,))


# Failures.


async def boom(_: Incoming) -> Reply:
    """Fail unhandled."""
    raise ZeroDivisionError


def divide_by_zero() -> None:
    """Fail once the request's user is bound, with a secret in a local variable."""
    bind(user_id="user-7")
    local = SECRET
    raise ZeroDivisionError(len(local))


async def fail(_: Incoming) -> Reply:
    """Fail unhandled, once the request's user is bound."""
    divide_by_zero()
    return Reply()


def divide(body: bytes, authorization: str) -> None:
    """Fail with secrets in local variables, in earlier log lines, and in the bound fields."""
    password = json.loads(body)["password"]
    bind(user_id="user-7", credentials={"api_key": password})
    shop.info("dividing", cart={"cards": [{"api_key": password}]})
    logging.getLogger("shop.stdlib").info("dividing", extra={"headers": {"cookie": authorization}})
    _ = len(authorization) / (len(password) - len(SECRET))


async def debug(incoming: Incoming) -> Reply:
    """Fail unhandled, with secrets everywhere."""
    divide(incoming.body, incoming.headers["authorization"])
    return Reply()


async def thread(_: Incoming) -> Reply:
    """Fail in a thread that got no context."""
    started = threading.Thread(target=divide_by_zero)
    started.start()
    started.join(SECONDS)
    return Reply()


async def carried(_: Incoming) -> Reply:
    """Fail in a thread that works for the request."""

    def target() -> None:
        msg = "the thread broke"
        raise KeyError(msg)

    started = threading.Thread(target=carry(target))
    started.start()
    started.join(SECONDS)
    return Reply()


async def logged(incoming: Incoming) -> Reply:
    """Log an error in one of three ways; the request itself succeeds."""
    how = incoming.query["how"]
    order = int(incoming.query["order"])
    fields = {"order": order, "cart": {"cards": [{"api_key": SECRET}]}}
    if how == "plain":
        shop.error("stock_low", **fields)
        return Reply()
    try:
        msg = "the bank is closed"
        raise ConnectionError(msg)  # noqa: TRY301 - to have one to log
    except ConnectionError:
        if how == "error":
            shop.error("payment_failed", exc_info=True, **fields)
        else:
            shop.exception("payment_failed", **fields)
    return Reply()


async def llm(_: Incoming) -> Reply:
    """Handle the error of an LLM call."""
    with suppress(TimeoutError), llm_call(model="small", operation="ask"):
        raise TimeoutError
    return Reply()


async def meet(incoming: Incoming) -> Reply:
    """Fail at the same moment as others, with a message of one's own."""
    await meeting.arrive()
    raise ValueError(incoming.key)


async def converse(socket: Any, how: str) -> None:
    """Echo on a websocket; or refuse, leave or fail, as `how` says.

    Args:
        socket: Has `accept`, `close`, `receive_text` and `send_json`, as Starlette's have.
        how: The last part of the path.
    """
    msg = "the websocket broke"
    if how == "deny":
        await socket.close(1008)
        return
    if how == "boom":
        raise RuntimeError(msg)
    if how == "silent":
        return
    await socket.accept()
    if how == "leave":
        await socket.close(4000)
        return
    if how == "break":
        raise RuntimeError(msg)
    while True:  # until receiving raises, or is cancelled
        text = await socket.receive_text()
        await socket.send_json(seen())
        if text == "bind":
            bind(tenant="acme")


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
    "broken-stream": broken_stream,
    "endless": endless,
    "endless/{key}": endless,
    "background/{key}": background,
    "background-boom/{key}": background_boom,
    "boom": boom,
    "fail": fail,
    "stream": failing_stream,
    "thread": thread,
    "carried": carried,
    "logged": logged,
    "llm": llm,
    "meet/{key}": meet,
    "sentry-debug/": debug,
    "health/ready": thread,  # served where no `Health` is
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


def angled(template: str) -> str:
    """Write a route's template as Werkzeug and Django do."""
    return template.replace("{", "<").replace("}", ">")


def name(handler: Any, template: str) -> Any:
    """Name a framework's handler after its route, as if it had been written for it."""
    handler.__name__ = handler.__qualname__ = template.partition("/{")[0].strip("/")
    return handler
