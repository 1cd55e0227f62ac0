"""A service that keeps the requests it gets, and answers according to their paths."""

from __future__ import annotations

from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.support.serving import Serving

SECRET_NONCE = "0123456789abcdef"  # noqa: S105 - for tests


class Received(NamedTuple):
    """A request that the service got."""

    host: str
    path: str
    headers: dict[str, list[str]]
    body: bytes

    @property
    def trace_ids(self) -> list[str]:
        """The values of `X-Trace-ID`."""
        return self.headers.get("x-trace-id", [])

    @property
    def traceparents(self) -> list[str]:
        """The values of `traceparent`."""
        return self.headers.get("traceparent", [])


class Upstream(Serving):
    """Listens on a free port while its `with` block runs, by two names: an address and localhost.

    Attributes:
        received: The requests, in the order in which they came.
        url: Where it listens.
        other_host: The URL of the same service under another host name.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._lock = Lock()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream.answer(self)

            def do_POST(self) -> None:
                upstream.answer(self)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            # Many clients may come at once.
            request_queue_size = 64

        server = Server(("127.0.0.1", 0), Handler)
        super().__init__(server)
        self.other_host = f"http://localhost:{server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer `/flaky` with 503 first, `/redirect?to=` with `to`, `/private` by a challenge."""
        headers: dict[str, list[str]] = {}
        for name, value in request.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        path = urlsplit(request.path)
        host = headers["host"][0].partition(":")[0]
        received = Received(host, path.path, headers, body_of(request))
        with self._lock:
            is_first = all(path.path != before.path for before in self.received)
            self.received.append(received)
        status, extra = 200, {}
        if path.path == "/flaky" and is_first:
            status = 503
        elif path.path == "/redirect":
            status, extra = 307, {"Location": parse_qs(path.query)["to"][0]}
        elif path.path == "/private" and "authorization" not in headers:
            challenge = f'Digest realm="r", qop="auth", nonce="{SECRET_NONCE}", algorithm=MD5'
            status, extra = 401, {"WWW-Authenticate": challenge}
        request.send_response(status)
        for name, value in extra.items():
            request.send_header(name, value)
        request.end_headers()
        with suppress(ConnectionError):  # a client may disconnect before the end
            request.wfile.write(b"a" * 1000)
            request.wfile.flush()
            request.wfile.write(b"b" * 1000)


def body_of(request: Any) -> bytes:
    """Read the body, by its length or in chunks."""
    if request.headers["transfer-encoding"] != "chunked":
        return bytes(request.rfile.read(int(request.headers["content-length"] or 0)))
    body = b""
    while size := int(request.rfile.readline(), 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return body
