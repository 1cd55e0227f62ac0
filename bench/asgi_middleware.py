"""ASGI middleware to compare with: written by hand as the limit, and assembled from peers."""

from __future__ import annotations

import logging
import os
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson
from asgi_correlation_id import CorrelationIdFilter
from pythonjsonlogger.orjson import OrjsonFormatter

from bench.harness import STDOUT, Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[..., Any]
    Finish = Callable[[Scope, "Trace", str], object]

# By hand: the tightest plain code for the job, without settings and other scopes or headers.

_valid = re.compile(rb"[A-Za-z0-9._:-]{1,128}").fullmatch
_trace_id: ContextVar[str] = ContextVar("trace_id", default="")
_record: ContextVar[Trace | None] = ContextVar("record", default=None)


class Trace:
    """The state of a request in the hand-written code; `bind` would add to `bound`."""

    __slots__ = ("bound", "started", "status", "trace_id")

    def __init__(self, trace_id: str) -> None:
        self.trace_id = trace_id
        self.started = perf_counter()
        self.status = 0
        self.bound: dict[str, object] | None = None


def new_id() -> str:
    """Make a random UUID; its variant digit is always `a`."""
    h = os.urandom(16).hex()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"


def read_id(scope: Scope) -> str:
    """Return the inbound id if it is valid, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-trace-id":
            if _valid(value):
                return value.decode("ascii")  # type: ignore[no-any-return]
            break
    return new_id()


def trace_by_hand(app: App) -> App:
    """Add the trace id only: read or make it, set the context variable and the header."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        trace_id = read_id(scope)
        token = _trace_id.set(trace_id)

        def send_with_id(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-trace-id", trace_id.encode())]
            return send(message)

        try:
            await app(scope, receive, send_with_id)
        finally:
            _trace_id.reset(token)

    return middleware


def story_by_hand(app: App, finish: Finish | None = None) -> App:
    """Add the id and a state object, and write one JSON line after the answer."""
    finish = finish or write_story

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        trace_id = read_id(scope)
        record = Trace(trace_id)
        token = _trace_id.set(trace_id)
        record_token = _record.set(record)

        def send_with_id(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message["headers"], (b"x-trace-id", trace_id.encode())]
            return send(message)

        outcome = "error"
        try:
            await app(scope, receive, send_with_id)
            outcome = "ok"
        finally:
            _record.reset(record_token)
            _trace_id.reset(token)
            finish(scope, record, outcome)

    return middleware


def write_story(scope: Scope, record: Trace, outcome: str) -> None:
    """Write the line of a request."""
    status = record.status
    line = {
        "timestamp": datetime.now(UTC),
        "level": "info" if status < 400 else "warning" if status < 500 else "error",  # noqa: PLR2004 - classes of HTTP status
        "event": "request_finished",
        "logger": "by_hand.request",
        "trace_id": record.trace_id,
        "method": scope["method"],
        "path": scope["path"],
        "status_code": status,
        "latency_ms": round((perf_counter() - record.started) * 1000, 3),
        "outcome": outcome,
    }
    if record.bound is not None:
        line.update(record.bound)
    os.write(STDOUT, orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))


# The cheapest stack of peers: asgi-correlation-id, its filter, python-json-logger over orjson.


def access_log(app: App) -> App:
    """Log one line per request, as a service does with the peers."""
    handler = logging.StreamHandler(Stream())
    handler.addFilter(CorrelationIdFilter())
    handler.setFormatter(OrjsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    log = logging.getLogger("access_log")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, watch)
        finally:
            fields = {
                "method": scope["method"],
                "path": scope["path"],
                "status_code": status,
                "latency_ms": round((perf_counter() - started) * 1000, 3),
            }
            log.info("request_finished", extra=fields)

    return middleware
