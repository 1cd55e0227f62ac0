"""Serve requests from a thread of this process."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from http.server import HTTPServer


class Serving:
    """A server that serves while the `with` block runs.

    Attributes:
        url: Where it listens.
    """

    def __init__(self, server: HTTPServer) -> None:
        self._server = server
        self._thread = Thread(target=server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
