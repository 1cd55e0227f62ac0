"""One HTTP exchange over WSGI: what is seen of it from the app's call to the body's close."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.adapters.wsgi_headers import decoded
from pantheon_obs.core.failures import escape, note, stems_from
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from wsgiref.types import StartResponse, WSGIEnvironment

    from _typeshed import OptExcInfo

    from pantheon_obs.core.events import Outcome

OURS = "pantheon_obs.record"
"""Where a request's exchange is in its environ."""

_SERVER_ERROR = 500
_BODILESS = frozenset({204, 304})
_PLAIN_500 = b"Internal Server Error"
_PLAIN_500_HEADERS = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", str(len(_PLAIN_500))),
)
# The mark of werkzeug's debugger and of Flask's test client: they want the error itself.
_DEBUGGED = "werkzeug.debug.preserve_context"
_GUNICORN = "gunicorn.socket"

_guard = Guard("wsgi exchange")


class WsgiExchange(Request):
    """The record of one request, which stands between the server and the app.

    Args:
        trace_id: The request's id.
        put_id_on: Puts the id on the response's headers.
        environ: The request's environ.
        start_response: The server's.

    Attributes:
        reported: Whether no line is owed: it has been written, or nobody watches.
        route_of: Tells the template from the environ, while the framework serves the request.
        answered: Whether the app has started its response.
        replaced: Whether we have answered in the app's place.
        silent: Whether the app has not.
        in_parts: Whether its body has come in more than one part.
        error: What escaped from the app.
        send_error: The server's way to tell, through `write`, that the client has gone.
        over: Whether nothing more comes of it.
    """

    reported = True
    route_of: Callable[[WSGIEnvironment], str | None] | None = None
    answered = False
    replaced = False
    silent = False
    in_parts = False
    error: BaseException | None = None
    send_error: OSError | None = None
    over = False
    _route: str | None = None
    _headers: Sequence[tuple[str, str]] = ()

    def __init__(
        self,
        trace_id: str,
        put_id_on: Callable[[list[tuple[str, str]], str], list[tuple[str, str]]],
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> None:
        super().__init__(trace_id)
        self._put_id_on = put_id_on
        self._environ = environ
        self._start_response = start_response

    def watch(self, quiet_paths: frozenset[str]) -> None:
        """Notice more than the id, for the request's line."""
        environ = self._environ
        self.reported = False
        self.method = environ.get("REQUEST_METHOD", "")
        self._script = script = environ.get("SCRIPT_NAME", "")
        self.path = path = decoded(script + environ.get("PATH_INFO", ""))
        # Where a server strips a prefix, the probes' paths come without it, and with it.
        self.quiet = (path.removeprefix(decoded(script)) if script else path) in quiet_paths

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Pass the start of a response on to the server, with the id."""
        self._headers = headers = self._put_id_on(headers, self.trace_id)
        if exc_info is None:  # some servers take no third argument
            write = self._start_response(status, headers)
        else:
            write = self._start_response(status, headers, exc_info)
        self.answered = True
        if self.reported:
            return write
        self.note_route()
        try:
            self.status_code = int(status[:3])
        except (TypeError, ValueError):
            self.status_code = None
        self._write = write
        return self.write

    def write(self, data: bytes) -> object:
        """Pass a part of the body on to the server: the old way of PEP 3333."""
        try:
            written = self._write(data)
        except OSError as error:
            self.send_error = error
            raise
        self.note_part(data)
        return written

    def note_part(self, part: bytes) -> None:
        """Notice a part of the body; an empty one is none."""
        if part:
            if self.first_byte is None:
                self.first_byte = perf_counter()
            else:
                self.in_parts = True

    def note_route(self) -> None:
        """Ask for the route's template while the framework still knows."""
        if self.route_of is not None:
            with _guard:
                template = self.route_of(self._environ)
                if template is not None:
                    mounts = self._environ.get("SCRIPT_NAME", "").removeprefix(self._script)
                    self._route = f"{decoded(mounts)}{template}"

    def route(self) -> str | None:
        """The route's template, after the way to its app through mounts."""
        return self._route

    def note_unhandled(self, error: BaseException) -> None:
        """The framework will answer an error that nobody handled, and not raise it."""
        super().note_unhandled(error)
        self.note_route()

    def note_escaped(self, error: BaseException) -> None:
        """An error has left the app."""
        self.error = error
        escape(error, self, covered=True)

    def answer(self, error: Exception | None) -> Iterator[bytes] | None:
        """Answer for an app that did not, with a plain 500.

        Args:
            error: Why it did not, while it is handled; it is raised again when the server has the
                answer. None if the app has just not started a response.

        Returns:
            The response's body; None where an answer is no longer possible, or not wanted.
        """
        self.silent = error is None
        environ = self._environ
        late = self.replaced or self.first_byte is not None
        if late or _DEBUGGED in environ or not self._starts_anew():
            return None
        headers = [*_PLAIN_500_HEADERS]
        why = None if error is None else sys.exc_info()
        try:
            self.start_response("500 Internal Server Error", headers, why)
        except Exception:  # noqa: BLE001 - a server that refuses the answer has its reason
            if error is not None and why is not None:
                error.__traceback__ = why[2]  # it may have raised the very error
            return None
        self.replaced = True
        return _plain_500(b"" if environ.get("REQUEST_METHOD") == "HEAD" else _PLAIN_500, error)

    def _starts_anew(self) -> bool:
        """Whether a response that was started can be taken back."""
        if not self.answered or _GUNICORN not in self._environ:
            return True
        # gunicorn would send the headers of both; PEP 3333 has the second replace the first.
        response = getattr(self._start_response, "__self__", None)
        headers = getattr(response, "headers", None)
        if type(headers) is not list:
            return False
        headers.clear()
        return True

    def closing(self) -> None:
        """The server closes a response that it has read; what the app does now comes after it."""
        complete = self.last_byte is not None and self._failure() is None
        if complete and (self.status_code or 0) < _SERVER_ERROR:
            self._finish()

    def close_failed(self, error: BaseException) -> None:
        """The app's own `close` has raised."""
        if self.last_byte is None:
            if self.error is None:
                self.note_escaped(error)
            return
        self._finish()
        escape(error, self, covered=True)
        if isinstance(error, Exception):
            self.background_failed(error)

    def closed(self) -> None:
        """Nothing more comes of this request."""
        if not self.reported:
            self.finish_open_calls()
            self._finish()
        self.over = True
        # Leave no cycle of exception, traceback, frame and exchange to the garbage collector.
        self.error = self.unhandled = self.send_error = None
        self._environ.pop(OURS, None)

    def _finish(self) -> None:
        if self.reported:
            return
        if self.first_byte is not None and not self._streams():
            self.first_byte = None
        error = self._failure()
        if error is None:
            self.finish(self._ending())
        elif stems_from(error, self.send_error):
            note(error).logged = True
            self.finish("client_disconnected")
        elif isinstance(error, Exception):
            self.finish("error", error)
        else:
            self.finish("cancelled")

    def _failure(self) -> BaseException | None:
        return self.unhandled if self.error is None else self.error

    def _streams(self) -> bool:
        """Whether the body was sent before its length was known, or in parts."""
        return self.in_parts or not any(
            name.lower() == "content-length" for name, _ in self._headers
        )

    def _ending(self) -> Outcome:
        if self.silent or not self.answered:
            return "no_response"
        complete = self.last_byte is not None or self.method == "HEAD"
        return "ok" if complete or self.status_code in _BODILESS else "client_disconnected"


def _plain_500(body: bytes, error: Exception | None) -> Iterator[bytes]:
    yield body
    if error is not None:
        raise error
