"""One ASGI request: with its trace id only, and with its whole story told in one line."""

from __future__ import annotations

import logging
import os
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import count, repeat
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson
from asgi_correlation_id import CorrelationIdFilter, CorrelationIdMiddleware
from pythonjsonlogger.orjson import OrjsonFormatter

from bench.harness import STDOUT, Case, Contender, MisbehavedError, Target, compare, drive, own
from pantheon_obs import TraceIdMiddleware, instrument

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from bench.harness import Effort, Row

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[..., Any]

INBOUND_ID = b"0af76519-16cd-43dd-8448-eb211c80319c"
STORY = frozenset(
    {
        "timestamp",
        "level",
        "event",
        "logger",
        "trace_id",
        "method",
        "path",
        "status_code",
        "latency_ms",
        "outcome",
    }
)
PEER_STORY = frozenset({"message", "correlation_id", "method", "path", "status_code", "latency_ms"})

_HEADERS = [
    (b"host", b"api.example.com"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    (b"accept", b"application/json, text/plain, */*"),
    (b"accept-language", b"en-US,en;q=0.5"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"authorization", b"Bearer 2YotnFZFEjr1zCsicMWpAA"),
    (b"content-type", b"application/json"),
    (b"origin", b"https://app.example.com"),
    (b"x-forwarded-for", b"203.0.113.7"),
    (b"connection", b"keep-alive"),
]
_SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "server": ("127.0.0.1", 8000),
    "client": ("203.0.113.7", 51234),
    "scheme": "http",
    "method": "GET",
    "root_path": "",
    "query_string": b"expand=items",
}
_BODY = b'{"order": 1234, "items": []}'
_OK = 200


def trace_rows(effort: Effort) -> list[Row]:
    """Trace id only: nothing else is set up in this process."""
    _without_sentry()
    apps: dict[str, App] = {
        "bare": own(bare),
        "hand": trace_by_hand(own(bare)),
        "peer": CorrelationIdMiddleware(own(bare), header_name="X-Trace-ID"),
        "ours": TraceIdMiddleware(own(bare)),
    }
    return _rows("ASGI, trace id", apps, {}, Target(hand=3, peer=1), effort)


def story_rows(effort: Effort) -> list[Row]:
    """The whole story: id, validation, record, one JSON line."""
    _without_sentry()
    ours = instrument(own(bare), log_format="json")  # first: it takes over handlers that print
    apps: dict[str, App] = {
        "bare": own(bare),
        "hand": story_by_hand(own(bare)),
        "peer": CorrelationIdMiddleware(access_log(own(bare)), header_name="X-Trace-ID"),
        "ours": ours,
    }
    lines = {"hand": STORY, "peer": PEER_STORY, "ours": STORY}
    return _rows("ASGI, whole story", apps, lines, Target(hand=2.5, peer=0.25), effort)


def _without_sentry() -> None:
    """Hide Sentry: asgi-correlation-id imports it where it can, and then tags its scope as well."""
    sys.modules["sentry_sdk"] = None  # type: ignore[assignment]


def _rows(
    work: str,
    apps: dict[str, App],
    lines: dict[str, frozenset[str]],
    target: Target,
    effort: Effort,
) -> list[Row]:
    rows = []
    for how, inbound in ("made", None), ("given", INBOUND_ID):
        contenders: dict[str, Any] = {
            name: _contender(name, app, inbound, lines.get(name, frozenset()))
            for name, app in apps.items()
        }
        rows.append(compare(Case(f"{work} {how}", **contenders, target=target), effort))
    return rows


def _contender(name: str, app: App, inbound: bytes | None, line: frozenset[str]) -> Contender:
    headers = [*_HEADERS, (b"x-trace-id", inbound)] if inbound else _HEADERS
    wire = b"\n".join(part for header in headers for part in header)
    orders = count()

    def scope() -> Scope:
        # New objects and another path each time, as from a server: no cache knows them yet.
        parts = wire.split(b"\n")
        path = f"/api/v1/orders/{next(orders)}"
        headers = [*zip(parts[::2], parts[1::2], strict=True)]
        return {**_SCOPE, "path": path, "raw_path": path.encode(), "headers": headers, "state": {}}

    def run(pieces: int) -> None:
        for _ in repeat(None, pieces):
            drive(app(scope(), _receive, _send))

    def check() -> None:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        drive(app(scope(), _receive, send))
        start, body = sent
        got = [value for key, value in start["headers"] if key.lower() == b"x-trace-id"]
        right = got == [inbound] if inbound else len(got) == 1
        if start["status"] != _OK or body["body"] != _BODY or (name != "bare" and not right):
            msg = f"{name}: sent {sent} for the inbound id {inbound!r}"
            raise MisbehavedError(msg)

    return Contender(run=own(run), line=line, check=check)


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Message) -> None:
    pass


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """The app that everybody wraps: a small JSON answer."""
    await send(
        {
            "type": "http.response.start",
            "status": _OK,
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"28")],
        }
    )
    await send({"type": "http.response.body", "body": _BODY})


# By hand: the tightest plain code for the job, as a limit. No settings, no other scopes or headers.

_valid = re.compile(rb"[A-Za-z0-9._:-]{1,128}").fullmatch
_trace_id: ContextVar[str] = ContextVar("trace_id", default="")
_record: ContextVar[Record | None] = ContextVar("record", default=None)


class Record:
    """What the hand-written code knows of a request: `bind` would add to `bound`."""

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
    """Trace id only: read or make it, context variable, response header."""

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


def story_by_hand(app: App) -> App:
    """Id, record, and one JSON line when the app has answered."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        trace_id = read_id(scope)
        record = Record(trace_id)
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
            _write_story(scope, record, outcome)

    return middleware


def _write_story(scope: Scope, record: Record, outcome: str) -> None:
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
    """Log one line per request in the way that is assembled today."""
    handler = logging.StreamHandler(sys.stdout)
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
