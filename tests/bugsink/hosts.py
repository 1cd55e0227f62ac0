"""Three ways in which Sentry's host fails; each notices that it was contacted."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from select import select
from threading import Thread
from typing import Self


class Host:
    """A port of the loopback interface that refuses connections; its `with` block closes it."""

    def __init__(self) -> None:
        """Bind a port without listening."""
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))

    @property
    def dsn(self) -> str:
        """The DSN of this port."""
        return f"http://public@127.0.0.1:{self._socket.getsockname()[1]}/1"

    def was_contacted(self) -> bool:
        """Whether a client may have connected; a refused connection is not noticed."""
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()


class Hanging(Host):
    """A port where the kernel accepts connections and data, and nothing ever answers."""

    def __init__(self) -> None:
        """Listen."""
        super().__init__()
        self._socket.listen()

    def was_contacted(self) -> bool:
        """Whether a connection waits."""
        return self._socket in select([self._socket], [], [], 0)[0]


class Limiting(Host):
    """A server that answers everything with 429: https://develop.sentry.dev/sdk/expected-features/rate-limiting/."""

    def __init__(self) -> None:
        """Serve."""
        self._requests = 0
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                host._requests += 1
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(429)
                self.send_header("Retry-After", "60")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._socket = self._server.socket
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def was_contacted(self) -> bool:
        """Whether it has refused a request."""
        return self._requests > 0

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


HOSTS = {"refused": Host, "hanging": Hanging, "limiting": Limiting}
