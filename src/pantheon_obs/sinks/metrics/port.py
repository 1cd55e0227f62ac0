"""Serve the page of the metrics at `/metrics` on a port of its own, from a thread."""

from __future__ import annotations

import socket
from socketserver import TCPServer, ThreadingMixIn
from threading import Lock, Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from pantheon_obs.core import pipeline
from pantheon_obs.core.guard import report
from pantheon_obs.core.native import is_forked_later
from pantheon_obs.core.runtime import on_fork
from pantheon_obs.products import WORKER_NUMBERS
from pantheon_obs.sinks.metrics.registry import page_app, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

_PATHS = frozenset({"/metrics", "/metrics/"})
_PLAIN = ("Content-Type", "text/plain; charset=utf-8")

_lock = Lock()
_answering = Lock()  # a child process must not begin with locks that a scrape holds
_ports: dict[int, _Server | None] = {}  # None: it could not listen


class _Handler(WSGIRequestHandler):
    timeout = 30  # seconds; a scraper that sends nothing must not keep its thread

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - of the base class
        """Log no scrape."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_port = True  # each worker of a service listens; the page shows all of them

    def __init__(self, family: socket.AddressFamily, port: int) -> None:
        self.address_family = family
        super().__init__(("", port), _Handler)
        self.set_app(_answer)

    def server_bind(self) -> None:
        """Bind without asking for the machine's name, which may take seconds."""
        if self.address_family == socket.AF_INET6:  # and IPv4, which some systems leave out
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a scraper that has gone; the base class would write its traceback to stderr."""


def listen(port: int) -> None:
    """Answer scrapes on a port of all interfaces from now on; a second call changes nothing.

    A process that only loads the application leaves it to the workers.
    """
    if is_forked_later(WORKER_NUMBERS):
        pipeline.add_sink(pipeline.Once("metrics_port of workers", lambda: listen(port)))
        return
    with _lock:
        if port in _ports:
            return
        _ports[port] = server = _bound(port)
        if server is not None:
            Thread(target=server.serve_forever, name=f"metrics_port {port}", daemon=True).start()


def _bound(port: int) -> _Server | None:
    try:
        return _Server(socket.AF_INET6, port)
    except OSError:  # a machine without IPv6
        pass
    try:
        return _Server(socket.AF_INET, port)
    except OSError as error:
        unavailable(f"metrics_port={port}: {error}")
        return None


def _leave() -> None:
    """Close the inherited sockets in a child process: no thread of it would answer."""
    _answering.release()
    for server in filter(None, _ports.values()):
        server.socket.close()


def _answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"] not in _PATHS:
        start_response("404 Not Found", [_PLAIN])
        return [b"The metrics are at /metrics.\n"]
    try:
        with _answering:
            page: Iterable[bytes] = page_app("wsgi")(environ, start_response)
    except Exception as error:  # noqa: BLE001 - wsgiref would write it to stderr
        report("metrics_port", error)
        start_response("500 Internal Server Error", [_PLAIN])
        return [b"The metrics cannot be read; the log says why.\n"]
    return page


def reset() -> None:
    """Stop listening (used by `pantheon_obs.testing.reset`)."""
    for server in filter(None, _ports.values()):
        server.shutdown()
        server.server_close()
    _ports.clear()


on_fork(before=_answering.acquire, after_in_parent=_answering.release, after_in_child=_leave)
