"""A provider that speaks OpenAI's, Anthropic's and Gemini's interfaces, on the loopback interface.

    with provider() as url:
        OpenAI(base_url=f"{url}/v1", …), Anthropic(base_url=url, …)
        genai.Client(http_options={"base_url": url}, …)

The model's name says how a request goes, in words with dots between them:

    whole                answers as usual
    thinking, tools, refusal
                         answers in this way
    first150.chunk20     waits before a stream's first byte, and before each next event
    short                ends a stream properly, but before its terminal chunk
    cut                  cuts the connection in the middle of a stream
    hang                 goes silent in the middle of a stream, until the server is stopped
    event                sends an error event in the middle of a stream
    broken               answers with status 500
    retry                answers with status 429, and as usual when asked once more
"""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from time import sleep
from typing import TYPE_CHECKING, Any

from tests.llm.provider import anthropic, gemini, openai_chat, openai_responses
from tests.support.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from tests.llm.provider.frames import Wire

VENDORS: dict[str, ModuleType] = {
    "/v1/chat/completions": openai_chat,
    "/v1/embeddings": openai_chat,
    "/v1/responses": openai_responses,
    "/v1/messages": anthropic,
}
_WAIT = re.compile("(first|chunk)([0-9]+)$")


class Handler(BaseHTTPRequestHandler):
    """Answers one request after the other on a connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        """Answer as the model's name says."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.partition("?")[0]
        vendor = VENDORS.get(path, gemini)
        if vendor is gemini:
            model, _, method = path.rpartition("/")[2].partition(":")
            body |= {"model": model, "stream": method == "streamGenerateContent", "method": method}
        self.server.asked[body["model"]] += 1
        words = body["model"].split(".")
        if "broken" in words:
            self._send(500, vendor.error(500))
        elif "retry" in words and self.server.asked[body["model"]] % 2:
            self._send(429, vendor.error(429))
        elif body.get("stream"):
            self._stream(words, vendor.stream(body, words))
        else:
            self._send(200, vendor.answer(body, words))

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After-Ms", "1")
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, words: list[str], wire: Wire) -> None:
        waits = {found[1]: int(found[2]) / 1000 for word in words if (found := _WAIT.match(word))}
        frames = wire.frames
        if {"short", "cut", "hang", "event"} & {*words}:
            frames = frames[: wire.middle]
        if "event" in words:
            frames = [*frames, wire.error]
        sleep(waits.get("first", 0))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for index, frame in enumerate(frames):
            if index:
                sleep(waits.get("chunk", 0))
            self.wfile.write(b"%x\r\n%s\r\n" % (len(frame), frame))
        if "hang" in words:
            self.server.stopped.wait()
        if "cut" in words or "hang" in words:
            self.close_connection = True  # in the middle of the body
        else:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server that expects clients to leave early."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.stopped = Event()

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def provider() -> Iterator[str]:
    """Serve, and yield the base URL."""
    server = Server()
    with Serving(server) as serving:
        try:
            yield serving.url
        finally:
            server.stopped.set()
