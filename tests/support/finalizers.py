"""A program that drops work in the middle, again and again, while context variables are set.

Its argument names the kind of work. On Python 3.11 the garbage collector may run in the middle of
`ContextVar.set`; a finalizer that sets a variable in the same context then crashes the process.
"""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from importlib import import_module
from types import coroutine
from typing import TYPE_CHECKING, Any

from pantheon_obs import TraceIdMiddleware, bind, budget, configure_logging, llm_call, trace_context
from pantheon_obs.adapters import wsgi
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator

_ROUNDS = 600
_USAGE = {"usage": {"input_tokens": 1, "output_tokens": 0}}

dropped = llm_call(operation="dropped", model="m", prices={"m": (10_000, 0)})


@coroutine
def pause() -> Generator[None, None, None]:
    """Suspend a coroutine without an event loop."""
    yield


def started(awaitable: Awaitable[Any]) -> Any:
    """Run a coroutine to its first suspension."""
    step: Any = awaitable
    step.send(None)
    return step


def wsgi_body() -> Any:
    """Read one part of a WSGI response."""

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        yield b"two"

    environ: Any = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    body: Any = iter(wsgi.TraceIdMiddleware(app)(environ, lambda *_: lambda _: None))
    next(body)
    return body


def asgi_request() -> Any:
    """Start an ASGI response."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await pause()

    async def send(_message: Any) -> None:
        """Drop a message."""

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    middleware: Any = TraceIdMiddleware(app)
    return copy_context().run(started, middleware(scope, None, send))


def generator() -> Any:
    """Read one chunk of a generator."""

    @dropped
    def chunks() -> Iterator[Any]:
        yield _USAGE
        yield "y"

    stream = chunks()
    next(stream)
    return stream


def async_generator() -> Any:
    """Read one chunk of an async generator."""

    @dropped
    async def chunks() -> AsyncIterator[Any]:
        yield _USAGE
        yield "y"

    stream = chunks()
    with suppress(StopIteration):
        started(anext(stream))
    return stream


class Chunks:
    """A stream as an SDK returns it."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the chunks."""
        yield _USAGE
        yield "y"


def stream_object() -> Any:
    """Read one chunk of a stream object."""
    stream = dropped(partial(Chunks))()
    chunks = iter(stream)
    next(chunks)
    return stream, chunks


def awaited_call() -> Any:
    """Wait for a model."""

    @dropped
    async def ask() -> None:
        await pause()

    return started(ask())


def generator_over_budget() -> Any:
    """Read one chunk of a generator, whose end tells a budget that it is spent."""
    budget(1e-9, on_exceeded=lambda key, spent: bind(key=key, spent=spent))
    return generator()


KINDS: dict[str, Callable[[], Any]] = {
    "wsgi": wsgi_body,
    "asgi": asgi_request,
    "generator": generator,
    "generator_over_budget": generator_over_budget,
    "async_generator": async_generator,
    "stream_object": stream_object,
    "awaited_call": awaited_call,
}


class Dropped:
    """Work in a cycle of references, which only the garbage collector can end."""

    def __init__(self, begin: Callable[[], Any]) -> None:
        self.itself = self
        self.work = begin()


def main(kind: str) -> None:
    """Drop work in each round, at another moment of the set-up of a trace."""
    configure_logging(log_format="json")
    kinds = import_module("tests.support.finalizers_django").KINDS if "django" in kind else KINDS
    begin = kinds[kind]
    collect_garbage()
    gc.freeze()
    for number in range(_ROUNDS):
        gc.set_threshold(1 + number % 120, 1, 1)
        Dropped(begin)
        with trace_context(None):
            bind(number=number)
    collect_garbage()  # at the exit of the interpreter no thread can be started for a callback


if __name__ == "__main__":
    main(sys.argv[1])
