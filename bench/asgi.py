"""Measure one ASGI request: with its trace id only, and with its log event."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import count, repeat
from typing import TYPE_CHECKING, Any

from asgi_correlation_id import CorrelationIdMiddleware

from bench.asgi_middleware import access_log, story_by_hand, trace_by_hand
from bench.cases import Case, Contender, MisbehavedError, Target
from bench.harness import compare, drive, own, piped_stdout
from pantheon_obs import TraceIdMiddleware, configure_logging, instrument

if TYPE_CHECKING:
    from bench.asgi_middleware import App, Message, Receive, Scope, Send
    from bench.cases import Effort, Row

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
BODY = b'{"order": 1234, "items": []}'
_OK = 200


def trace_rows(effort: Effort) -> list[Row]:
    """Measure the trace id only; nothing else is set up in this process."""
    without_sentry()
    apps: dict[str, App] = {
        "bare": own(bare),
        "hand": trace_by_hand(own(bare)),
        "peer": CorrelationIdMiddleware(own(bare), header_name="X-Trace-ID"),
        "ours": TraceIdMiddleware(own(bare)),
    }
    return compare_apps("ASGI, trace id {}", apps, {}, Target(hand=3, peer=1), effort)


def disabled_rows(effort: Effort) -> list[Row]:
    """Measure the trace id where logging is configured, above the level of an ordinary request."""
    without_sentry()
    configure_logging(log_format="json", log_level="WARNING")
    apps: dict[str, App] = {
        "bare": own(bare),
        "hand": trace_by_hand(own(bare)),
        "peer": CorrelationIdMiddleware(own(bare), header_name="X-Trace-ID"),
        "ours": TraceIdMiddleware(own(bare)),
    }
    return compare_apps(
        "ASGI, trace id {}, line disabled", apps, {}, Target(hand=3, peer=1), effort
    )


def story_rows(effort: Effort) -> list[Row]:
    """Measure the whole story: id, validation, state object, one JSON line."""
    without_sentry()
    ours = started(instrument(own(bare), log_format="json"))
    apps: dict[str, App] = {
        "bare": own(bare),
        "hand": story_by_hand(own(bare)),
        "peer": CorrelationIdMiddleware(access_log(own(bare)), header_name="X-Trace-ID"),
        "ours": ours,
    }
    lines = {"hand": STORY, "peer": PEER_STORY, "ours": STORY}
    return compare_apps("ASGI, whole story {}", apps, lines, Target(hand=2.5, peer=0.25), effort)


def started(app: App) -> App:
    """Start an application: it takes over handlers that print then, and not the peer's later."""
    for kind in "lifespan", "http":
        drive(app({"type": kind, "method": "GET", "path": "/"}, _receive, _send))
    return app


def pipe_rows(effort: Effort) -> list[Row]:
    """Measure the whole story where standard output is a pipe, as in a container."""
    with piped_stdout():
        return [replace(row, work=f"{row.work}, pipe") for row in story_rows(effort)]


def without_sentry() -> None:
    """Hide Sentry: asgi-correlation-id would import it and tag its scope as well."""
    sys.modules["sentry_sdk"] = None  # type: ignore[assignment]


def compare_apps(  # noqa: PLR0913 - one has a default
    work: str,
    apps: dict[str, App],
    lines: dict[str, frozenset[str]],
    target: Target,
    effort: Effort,
    *,
    bare: str = "bare",
) -> list[Row]:
    """Compare applications with and without an inbound id; the `bare` one does not know it."""
    rows = []
    for how, inbound in ("made", None), ("given", INBOUND_ID):
        contenders: dict[str, Any] = {
            name: _contender(app, inbound, lines.get(name, frozenset()), is_bare=name == bare)
            for name, app in apps.items()
        }
        rows.append(compare(Case(work.format(how), **contenders, target=target), effort))
    return rows


def _contender(
    app: App, inbound: bytes | None, line: frozenset[str], *, is_bare: bool
) -> Contender:
    headers = [*_HEADERS, (b"x-trace-id", inbound)] if inbound else _HEADERS
    wire = b"\n".join(part for header in headers for part in header)
    orders = count()

    def scope() -> Scope:
        # New objects and another path each time, as from a server, so that no cache has them.
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
        if start["status"] != _OK or body["body"] != BODY or not (right or is_bare):
            msg = f"sent {sent} for the inbound id {inbound!r}"
            raise MisbehavedError(msg)

    return Contender(run=own(run), line=line, check=check)


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Message) -> None:
    pass


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Send a small JSON answer; all contenders wrap this application."""
    await send(
        {
            "type": "http.response.start",
            "status": _OK,
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"28")],
        }
    )
    await send({"type": "http.response.body", "body": BODY})
