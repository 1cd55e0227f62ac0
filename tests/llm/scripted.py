"""A provider on this machine that gives the answers of a script, in any vendor's format."""

from __future__ import annotations

import json
import struct
from binascii import crc32
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Iterator


class Raw(NamedTuple):
    """An answer as it is sent."""

    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()


def sse(*events: Any, named: bool = False) -> Raw:
    """Make server-sent events, with `[DONE]` at the end unless they have names."""
    lines = [
        (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n"
        for event in events
    ]
    return Raw(
        "".join([*lines, *([] if named else ["data: [DONE]\n\n"])]).encode(), "text/event-stream"
    )


def json_lines(*chunks: Any) -> Raw:
    """Make lines of JSON, as Ollama sends."""
    return Raw(
        b"".join(json.dumps(chunk).encode() + b"\n" for chunk in chunks), "application/x-ndjson"
    )


def aws_events(*events: dict[str, Any]) -> Raw:
    """Make an event stream of AWS: each event has one key, its type."""
    body = b"".join(
        _aws_event(name, payload) for event in events for name, payload in event.items()
    )
    return Raw(body, "application/vnd.amazon.eventstream")


def _aws_event(name: str, payload: Any) -> bytes:
    headers = b"".join(
        struct.pack("!B", len(key))
        + key.encode()
        + struct.pack("!BH", 7, len(value))
        + value.encode()
        for key, value in (
            (":event-type", name),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", len(headers) + len(body) + 16, len(headers))
    prelude += struct.pack("!I", crc32(prelude))
    message = prelude + headers + body
    return message + struct.pack("!I", crc32(message))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        found = [answers for part, answers in self.server.script.items() if part in self.path]
        answers = found[0]
        answer = answers[0] if len(answers) == 1 else answers.pop(0)
        if not isinstance(answer, Raw):
            answer = Raw(json.dumps(answer).encode(), "application/json")
        self.send_response(200)
        self.send_header("content-type", answer.content_type)
        self.send_header("content-length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST  # noqa: N815 - the name of http.server

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def scripted(script: dict[str, Any]) -> Iterator[str]:
    """Serve a script, and yield the URL.

    Its keys are parts of paths, its values the answer, or a list of answers of which the last one
    is repeated.
    """
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.script = {
        part: [*answers] if isinstance(answers, list) else [answers]
        for part, answers in script.items()
    }
    with Serving(server) as serving:
        yield serving.url
