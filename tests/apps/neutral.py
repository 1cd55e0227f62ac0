"""The language between the handlers of `common` and the frameworks: no framework is known here.

A handler gets an `Incoming` and returns a `Reply`. It is a coroutine that suspends on an event loop
and blocks on a thread, so that WSGI applications run the same handlers, through `run` and
`on_thread`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import structlog

from pantheon_obs import bind, current_trace_id

SECONDS = 30.0


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


def seen() -> dict[str, object]:
    """The context as a handler sees it."""
    return {
        "trace_id": current_trace_id.get(),
        "structlog": structlog.contextvars.get_contextvars(),
    }


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


def angled(template: str) -> str:
    """Write a route's template as Werkzeug and Django do."""
    return template.replace("{", "<").replace("}", ">")


def add_blueprints(app: Any, kind: Any, ok: Any) -> None:
    """Nest blueprints of this kind, which Flask's and Quart's applications have alike."""
    things = kind("things", __name__)
    things.add_url_rule("/things/<thing_id>", view_func=ok)
    version = kind("version", __name__, url_prefix="/v1")
    version.register_blueprint(things)
    api = kind("api", __name__, url_prefix="/api")
    api.register_blueprint(version)
    app.register_blueprint(api)
    app.register_blueprint(things, url_prefix="/tenants/<tenant>", name="tenants")
    app.register_blueprint(things, url_prefix="/plain", name="plain")


def name(handler: Any, template: str) -> Any:
    """Name a framework's handler after its route, as if it had been written for it."""
    handler.__name__ = handler.__qualname__ = template.partition("/{")[0].strip("/")
    return handler
