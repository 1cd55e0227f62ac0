"""A provider with OpenAI's interface, on a free port of the loopback interface."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).parent / "fixtures"


def _bodies(name: str) -> list[bytes]:
    fixture = json.loads((FIXTURES / f"{name}.json").read_text())
    bodies = fixture["chunks"] if "chunks" in fixture else [fixture["response"]]
    return [json.dumps(body).encode() for body in bodies]


class Handler(BaseHTTPRequestHandler):
    """Answers as the model's name says: `whole`, `short`, `cut`, `broken`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a chat completion."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = body["model"]
        if model == "broken":
            self._send(500, "application/json", b'{"error": {"message": "broken"}}')
        elif body.get("stream"):
            self._stream(model)
        else:
            self._send(200, "application/json", _bodies("openai_chat")[0])

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, model: str) -> None:
        bodies = [*_bodies("openai_chat_stream"), b"[DONE]"]
        events = [b"data: %s\n\n" % body for body in bodies]
        if model != "whole":
            events = events[:2]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        if model == "cut":
            self.close_connection = True  # in the middle of the body
        else:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Takes it as it comes: clients that leave early are what it is for."""

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def provider() -> Iterator[str]:
    """Serve; gives the base URL for an OpenAI client."""
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
