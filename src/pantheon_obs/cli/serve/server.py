"""Answer browsers: the page, its figures, the stories, and a message for each change.

Only GET and HEAD are answered, only for the server's own name, and nothing that would let the page
of another site read an answer.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from pantheon_obs.cli.page.render import embedded_story, render, shortened
from pantheon_obs.cli.terminal import CommandError, encoded, note

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.cli.serve.memory import Memory

_PAUSE = 0.25  # seconds between two messages at least
_SILENCE = 15.0  # seconds after which an empty message shows whether the browser is still there
_VERSION = re.compile("[0-9]{1,18}").fullmatch
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Server(ThreadingHTTPServer):
    """The server of one memory.

    Raises:
        CommandError: The address cannot be listened to.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, memory: Memory) -> None:
        self.memory = memory
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError, TypeError) as error:  # a port or a name that cannot be
            msg = f"{host} port {port}: {getattr(error, 'strerror', None) or error}"
            raise CommandError(msg) from None
        self.host = host
        self.address = f"http://{_bracketed(host)}:{self.server_port}/"

    def is_own(self, name: str, local: str) -> bool:
        """Whether a Host header names this server.

        Args:
            name: The header.
            local: The address at which the request came in.
        """
        names = {self.host, local, socket.gethostname()}
        if local in _LOOPBACK:
            names.update(_LOOPBACK)
        hosts = {_bracketed(one).lower() for one in names}
        own = {f"{host}:{self.server_port}" for host in hosts}
        if self.server_port == 80:  # noqa: PLR2004 - browsers leave it out
            own |= hosts
        return name.lower() in own

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Report a failure in one line, unless the browser has only left."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            note(f"an answer failed: {type(error).__name__}: {error}")


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "pantheon-obs"
    sys_version = ""
    timeout = 60

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Answer every method; the base class looks up `do_<METHOD>`."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    @property
    def _own(self) -> Server:
        return cast("Server", self.server)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Write no access log."""

    def _answer(self) -> None:
        hosts = self.headers.get_all("Host", [])
        local = self.connection.getsockname()[0]
        if len(hosts) != 1 or not self._own.is_own(hosts[0], local):
            self._send(HTTPStatus.FORBIDDEN, b"this is not the name of this server\n")
        elif self.command not in {"GET", "HEAD"}:
            self._send(HTTPStatus.METHOD_NOT_ALLOWED, b"use GET\n", Allow="GET, HEAD")
        else:
            self._answer_path(unquote(urlsplit(self.path).path))

    def _answer_path(self, path: str) -> None:
        memory = self._own.memory
        is_story = path.startswith("/story/") and path.endswith(".json")
        if path == "/":
            version, counted = memory.report()
            data = {"report": shortened(counted), "stories": {}, "version": version}
            page = render("Live report", data, live=True)
            self._send(
                HTTPStatus.OK,
                page.html.encode(),
                "text/html; charset=utf-8",
                **{"Content-Security-Policy": page.policy},
            )
        elif path == "/report.json":
            self._send(HTTPStatus.OK, encoded(memory.report()[1]), "application/json")
        elif path == "/events":
            self._send_events()
        elif is_story and (story := memory.story(path[len("/story/") : -len(".json")])):
            if urlsplit(self.path).query == "page":
                story = embedded_story(story)
            self._send(HTTPStatus.OK, encoded(story), "application/json")
        else:
            self._send(HTTPStatus.NOT_FOUND, b"there is no such page\n")

    def _send(
        self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8", **more: str
    ) -> None:
        if status is not HTTPStatus.OK:
            self.close_connection = True  # a body may follow that is not read
            more = {**more, "Connection": "close"}
        length = {"Content-Length": str(len(body))}
        self._send_head(status, {"Content-Type": kind, **length, **more})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_events(self) -> None:
        """Send a message for each change until the browser leaves.

        The query names the version that the browser has; without it, changes from now on count.
        """
        self.close_connection = True
        headers = {"Content-Type": "text/event-stream", "Connection": "close"}
        query = urlsplit(self.path).query
        # Read before the head is sent: every change after that makes a message.
        seen = int(query) if _VERSION(query) else self._own.memory.wait(-1, 0)
        self._send_head(HTTPStatus.OK, headers)
        while self.command == "GET":
            version = self._own.memory.wait(seen, _SILENCE)
            message = b": nothing new\n\n" if version == seen else b"data: %d\n\n" % version
            self.wfile.write(message)
            seen = version
            time.sleep(_PAUSE)


def _bracketed(host: str) -> str:
    """Write a host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
