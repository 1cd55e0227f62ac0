"""Serve a request bare and instrumented, both from the same facts, and compare everything.

A stand-in for the server sends what no real server sends on request: scopes with missing keys, odd
values, any bytes. The application does what a script says.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

from pantheon_obs import TraceIdMiddleware
from pantheon_obs.adapters.wsgi import TraceIdMiddleware as WsgiTraceIdMiddleware
from pantheon_obs.core import guard, pipeline
from pantheon_obs.core.context import current_trace, current_trace_id
from pantheon_obs.core.settings import resolve
from pantheon_obs.core.trace_id import validate
from pantheon_obs.sinks.logs.emitter import Emitter
from tests.support.lines import parse_line

if TYPE_CHECKING:
    import asyncio

    from pantheon_obs.core.events import Event

ID_HEADER = "x-trace-id"
KEY = "pantheon_obs.trace"
PLAIN_500 = b"Internal Server Error"


@cache
def emitter() -> Emitter:
    """Make the emitter of all examples."""
    return Emitter(resolve(None, {"log_format": "json"}))


class Lines:
    """A sink that keeps the lines of the exchanges."""

    name = "logs"

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def handle(self, event: Event) -> None:
        """Render the event's line."""
        emitter().emit(event, lambda line, _level: self.lines.append(line))


def check_lines(sink: Lines, expected: int) -> list[dict[str, Any]]:
    """Each exchange has one valid line, and its context is left clean."""
    assert (None, "") == (current_trace.get(), current_trace_id.get())
    lines = []
    for line in sink.lines:
        assert b"\n" == line[-1:]
        lines.append(parse_line(line[:-1]))
    finished = [line for line in lines if line["event"] != "background_failed"]
    assert expected == len(finished)
    return finished


def is_id(name: Any) -> bool:
    """Whether a header's name is that of the trace id."""
    text = name.decode("latin-1") if isinstance(name, (bytes, bytearray)) else name
    return isinstance(text, str) and text.lower() == ID_HEADER


def without_id(headers: Any) -> Any:
    """Remove our header from a response's headers; invalid headers stay."""
    try:
        return [pair for pair in headers for name, _ in [pair] if not is_id(name)]
    except (TypeError, ValueError):
        return headers


class Asgi:
    """One connection: the messages that came and went, and how the call ended."""

    def __init__(self, scope: dict[str, Any], inbound: Any, script: Any) -> None:
        self.scope = scope
        self.inbound = list(inbound)
        self.script = script
        self.seen: Any = None
        self.received: list[Any] = []
        self.sent: list[Any] = []
        self.ended: Any = None

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Do as the script says."""
        self.seen = {key: value for key, value in scope.items() if key != KEY}
        for step, value in self.script:
            if step == "send":
                await send(value)
            elif step == "receive":
                self.received.append(await receive())
            else:
                raise value

    async def receive(self) -> Any:
        """Return the next message."""
        return self.inbound.pop(0) if self.inbound else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Keep a message."""
        self.sent.append(message)

    async def serve(self, app: Any) -> None:
        """Serve it."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception as error:  # noqa: BLE001 - compared
            self.ended = error


def check_asgi(runner: asyncio.Runner, scope: Any, inbound: Any, script: Any) -> None:
    """Serve a connection over ASGI, bare and instrumented."""
    bare = Asgi(copy.deepcopy(scope), copy.deepcopy(inbound), script)
    ours = Asgi(scope, inbound, script)
    sink = Lines()
    guard.forget()
    pipeline.add_sink(sink)
    try:
        runner.run(bare.serve(bare.app))
        runner.run(ours.serve(TraceIdMiddleware(ours.app)))
    finally:
        pipeline.reset()

    assert bare.seen == ours.seen
    assert bare.scope == ours.scope
    assert bare.received == ours.received
    assert bare.ended is ours.ended
    kinds = {"http": "request_finished", "websocket": "websocket_finished"}
    event = kinds.get(scope.get("type", ""))
    lines = check_lines(sink, int(event is not None))
    assert [event] * len(lines) == [line["event"] for line in lines]
    sent = ours.sent
    if not starts(bare.sent) and starts(sent):
        # It has not answered: ours is the answer to the client.
        start, body = sent[-2:]
        assert ("http", 500, PLAIN_500) == (scope["type"], start["status"], body["body"])
        sent = sent[:-2]
    assert len(bare.sent) == len(sent)
    for expected, actual in zip(bare.sent, sent, strict=True):
        check_message(expected, actual)


def starts(sent: list[Any]) -> list[Any]:
    """The starts of a response."""
    return [m for m in sent if isinstance(m, dict) and m.get("type") == "http.response.start"]


def check_message(expected: Any, actual: Any) -> None:
    """The message of the application went on, with our header at most."""
    if expected is actual:
        return
    given, headers = expected.get("headers") or [], actual["headers"]
    assert {**expected, "headers": without_id(given)} == {**actual, "headers": without_id(headers)}
    if headers is not given:  # else they are none
        assert all(validate(value) for name, value in headers if is_id(name))


class Wsgi:
    """One request, as a WSGI server serves it, and how it ended."""

    def __init__(self, environ: dict[str, Any], script: Any) -> None:
        self.environ = environ
        self.starts, self.returned = script
        self.seen: Any = None
        self.started: list[Any] = []
        self.parts: list[Any] = []
        self.ended: Any = None
        self.length: Any = None

    def app(self, environ: Any, start_response: Any) -> Any:
        """Do as the script says."""
        self.seen = {key: value for key, value in environ.items() if key != KEY}
        for start in self.starts:
            if isinstance(start, Exception):
                raise start
            start_response(*start)
        return self.returned() if callable(self.returned) else self.returned

    def start_response(self, status: Any, headers: Any, exc_info: Any = None) -> Any:
        """Keep the start of a response."""
        self.started.append((status, headers, exc_info))
        return self.parts.append

    def serve(self, app: Any) -> None:
        """Serve it."""
        body: Any = None
        try:
            body = app(self.environ, self.start_response)
            self.length = len(body) if hasattr(body, "__len__") else None
            self.parts.extend(body)
        except Exception as error:  # noqa: BLE001 - compared
            self.ended = error
        finally:
            if hasattr(body, "close"):
                body.close()


def check_wsgi(environ: dict[str, Any], script: Any) -> None:
    """Serve a request over WSGI, bare and instrumented."""
    bare, ours = Wsgi(copy.deepcopy(environ), script), Wsgi(environ, script)
    sink = Lines()
    guard.forget()
    pipeline.add_sink(sink)
    try:
        bare.serve(bare.app)
        ours.serve(WsgiTraceIdMiddleware(ours.app))
    finally:
        pipeline.reset()

    assert bare.seen == ours.seen
    assert bare.environ == ours.environ
    assert (type(bare.ended), str(bare.ended)) == (type(ours.ended), str(ours.ended))
    assert bare.length == ours.length or bare.ended is not None
    check_lines(sink, 1)
    started, parts = ours.started, ours.parts
    count = len(bare.parts)
    if bare.ended is not None and parts[count:] in ([PLAIN_500], [b""]):
        assert "500 Internal Server Error" == started.pop()[0]
        parts = parts[:count]
    assert bare.parts == parts
    assert [status for status, *_ in bare.started] == [status for status, *_ in started]
    for (_, expected, _), (_, actual, _) in zip(bare.started, started, strict=True):
        assert without_id(expected) == without_id(actual)
