"""A provider on this machine that gives one scripted answer after the other."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Event, Thread
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = b'"id-1"'  # in a part: it is replaced by an id of the answer's own
WHOLE, CUT, SILENT = "whole", "cut", "silent"


class Answer(NamedTuple):
    """An answer of the provider.

    Attributes:
        parts: The body, in the pieces in which it is sent.
        streamed: Whether these are server-sent events.
        status: The HTTP status.
        end: `whole`, `cut` (the connection breaks after the last part) or `silent` (no more comes
            until the call has been left; without parts not even the status).
    """

    parts: list[bytes]
    streamed: bool = False
    status: int = 200
    end: str = WHOLE


@dataclass
class Script:
    """The answer that the provider gives, and what has happened.

    Attributes:
        url: The provider's address.
        answer: The answer to every request.
        asked: Is set when a request has arrived.
        left: Is set when the call has been left, which ends a silent answer.
    """

    url: str
    answer: Answer = field(default_factory=lambda: Answer([]))
    asked: Event = field(default_factory=Event)
    left: Event = field(default_factory=Event)

    @contextmanager
    def giving(self, answer: Answer) -> Iterator[None]:
        """Give this answer to the requests of the block."""
        self.answer, self.asked, self.left = answer, Event(), Event()
        try:
            yield
        finally:
            self.left.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        """Answer as the script says."""
        script = self.server.script
        answer, left = script.answer, script.left
        self.rfile.read(int(self.headers["Content-Length"]))
        script.asked.set()
        if answer.end == SILENT and not answer.parts:
            left.wait()
        self.send_response(answer.status)
        self.send_header(
            "Content-Type", "text/event-stream" if answer.streamed else "application/json"
        )
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        own = b'"id-%d"' % next(self.server.numbers)  # some libraries keep answers by their id
        for part in (each.replace(ID, own) for each in answer.parts):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if answer.end == SILENT:
            left.wait()
        if answer.end == WHOLE:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    script: Script
    numbers = count(1)

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients leave early."""


@contextmanager
def provider() -> Iterator[Script]:
    """Serve, and yield the script."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.script = Script(f"http://127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        try:
            yield server.script
        finally:
            server.script.left.set()
            server.shutdown()
