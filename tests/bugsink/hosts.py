"""Sentry's host when it fails: three ways, each with what tells that it was spoken to."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from select import select
from threading import Thread
from typing import Self


class Host:
    """Something on a port of the loopback interface; its `with` block ends it."""

    def __init__(self) -> None:
        """Take a port, on which every connection is refused."""
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))

    @property
    def dsn(self) -> str:
        """The DSN that leads here."""
        return f"http://public@127.0.0.1:{self._socket.getsockname()[1]}/1"

    def was_asked(self) -> bool:
        """Whether somebody has come, as far as it can know."""
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()


class Hanging(Host):
    """The kernel accepts connections and takes what is sent; nobody ever answers."""

    def __init__(self) -> None:
        """Listen."""
        super().__init__()
        self._socket.listen()

    def was_asked(self) -> bool:
        """Whether a connection waits."""
        return self._socket in select([self._socket], [], [], 0)[0]


class Limiting(Host):
    """Answers everything with 429: https://develop.sentry.dev/sdk/expected-features/rate-limiting/."""

    def __init__(self) -> None:
        """Serve."""
        self._asked = 0
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                host._asked += 1
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(429)
                self.send_header("Retry-After", "60")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Be quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._socket = self._server.socket
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def was_asked(self) -> bool:
        """Whether it has refused something."""
        return self._asked > 0

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


HOSTS = {"refused": Host, "hanging": Hanging, "limiting": Limiting}
