"""One HTTP exchange over WSGI: its environ, and the calls of PEP 3333 translated into facts."""

from __future__ import annotations

import sys
from socket import socket
from time import perf_counter
from typing import TYPE_CHECKING

from pantheon_obs.adapters.wsgi_environ import (
    decoded,
    headers_in_environ,
    length_of,
    note_failed_read,
    path_of,
    route_in,
    status_in,
    way_in,
)
from pantheon_obs.core.context import KEY
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.outcome import must_answer
from pantheon_obs.core.response_headers import PLAIN_500, PLAIN_500_HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from _typeshed import OptExcInfo

    from pantheon_obs.adapters.routes_mounts import Mounts
    from pantheon_obs.adapters.wsgi_environ import RouteOf
    from pantheon_obs.core.response_headers import ResponseHeaders

# The mark of werkzeug's debugger and of Flask's test client: they want the error itself.
_DEBUGGED = "werkzeug.debug.preserve_context"
_GUNICORN = "gunicorn.socket"
_UWSGI = "uwsgi.version"
_UPGRADE = "HTTP_UPGRADE"
# On a connection that the application has taken over, only the application sees the client leave.
_DEPARTURES = (BrokenPipeError, ConnectionAbortedError, ConnectionResetError)

_guard = Guard("wsgi exchange")


class WsgiExchange(Exchange):
    """One HTTP exchange, which stands between the server and the application.

    Attributes:
        is_closed: Whether the server is done with the response.
    """

    restartable = True
    is_closed = False
    _route_of: RouteOf | None = None
    _mounts: Mounts  # of the outermost application
    _left: float | None = None  # bytes of Content-Length that the server has yet to get
    _only = 0  # bytes of the part that the server got, as long as it is the only one
    _all_handed: float | None = None  # clock time at which it had all of them

    def __init__(
        self,
        trace_id: str,
        headers: ResponseHeaders[str],
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> None:
        super().__init__(trace_id, waits_for_close=True)
        self._response_headers = headers
        self._environ = environ
        self._start_response = start_response

    def watch_environ(
        self, quiet_paths: frozenset[str], mounts: Mounts, route_of: RouteOf | None
    ) -> None:
        """Have an event emitted at the end, with facts from the environ.

        `route_of` finds the route's template, while the framework serves the request.
        """
        self._mounts, self._route_of = mounts, route_of
        environ = self._environ
        self._script = script = environ.get("SCRIPT_NAME", "")
        method = environ.get("REQUEST_METHOD", "")
        self.watch(method, path_of(environ), decoded(script), quiet_paths)

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Pass the start of a response on to the server, with the id."""
        headers = self._response_headers.on(headers, self.trace_id)
        if exc_info is None:  # some servers take no third argument
            write = self._start_response(status, headers)
        else:
            write = self._start_response(status, headers, exc_info)
            with _guard:
                if exc_info[1] is not None and not self.replaced:  # the application's own answer
                    self.note_unhandled(exc_info[1], may_be_handled=True)
        self.started(status_in(status), headers)
        if not self.event_pending:
            return write
        self.note_route()
        self._write = write
        return self.write

    def write(self, data: bytes) -> object:
        """Pass a part of the body on to the server: the old way of PEP 3333."""
        try:
            written = self._write(data)
        except OSError as error:
            self.send_failed(error)
            raise
        if data:
            self.handed(len(data))
        return written

    def handed(self, size: int, *, is_whole: bool = False) -> None:
        """A part of the body was handed to the server; no other code runs within a whole body."""
        if self._left is None:
            self._left, self._only = length_of(self._headers), size
        else:
            self._only = 0
        # Later `part` changes nothing, and would be 500 of 11,900 instructions for a chunk.
        if not is_whole and (self.first_byte is None or not self.streaming):
            self.part(size)
        self._left -= size
        if self._left <= 0:
            self._all_handed = perf_counter()

    def read(self) -> None:
        """The server reads no further: with all of Content-Length it has read the whole body."""
        if self.response_complete:
            return
        if isinstance(sys.exc_info()[1], OSError):
            self.refused(self._only)
        elif (length_of(self._headers) if self._left is None else self._left) <= 0:
            self.complete(at=self._all_handed)

    def note_route(self) -> None:
        """Ask for the route's template while the framework still knows."""
        if self._route_of is not None:
            template = route_in(self._environ, self._script, self._route_of, self._mounts)
            if template is not None:
                super().routed(template)

    def routed(self, template: str) -> None:
        """An application of another protocol, or of Django's, has matched, perhaps in a mount."""
        self._route_of = None  # an outer one knows less
        super().routed(way_in(self._environ, self._script, self._mounts) + template)

    def note_unhandled(self, error: BaseException, *, may_be_handled: bool = False) -> None:
        """The framework answers an exception that nobody handled, and does not raise it."""
        super().note_unhandled(error, may_be_handled=may_be_handled)
        self.note_route()

    def passed_on(self, environ: WSGIEnvironment, route_of: RouteOf | None) -> None:
        """The request reaches another instrumented application, perhaps in a copy of the environ.

        An application that asks itself for another path keeps the route of its own.
        """
        if self._route_of is None or path_of(environ) == self.path:
            self._route_of = self._route_of if route_of is None else route_of
            self._environ = environ

    def request_headers(self) -> dict[str, str]:
        """The request's headers, by their names in an environ."""
        return headers_in_environ(self._environ)

    def says_departure(self, error: BaseException) -> bool:
        """Whether an exception says no more than that the client has gone."""
        if not self.response_started:
            with _guard:
                note_failed_read(self, self._environ, error)
        return super().says_departure(error)

    def escaped(self, error: BaseException) -> None:
        """The application has raised; some servers expect it after a takeover."""
        if self._takes_over(error):
            self.connection_taken(error)
            return
        self.may_escape(error)
        super().escaped(error)

    def may_escape(self, error: BaseException) -> bool:
        """Whether an exception that escapes is an ordinary end."""
        if isinstance(error, _DEPARTURES) and self._may_switch:
            self.send_failed(error)
        return self._takes_over(error) or super().may_escape(error)

    def _takes_over(self, error: BaseException) -> bool:
        """Whether an exception informs the server that its connection was taken over.

        gunicorn expects `StopIteration`, and Werkzeug's server a bare `ConnectionError`.
        """
        if type(error) is StopIteration and not self.response_started:
            gives_socket = any(isinstance(value, socket) for value in self._environ.values())
            return gives_socket or self._may_switch
        return type(error) is ConnectionError and self._may_switch

    @property
    def _may_switch(self) -> bool:
        """Whether the application may have switched protocols, as the client has asked."""
        return not self.response_started and _UPGRADE in self._environ

    def answer(self, error: Exception) -> Iterator[bytes] | None:
        """Answer an error with a plain 500 if the application has not; return that answer's body.

        None where an answer is no longer possible, or not wanted. The error is being handled; it is
        raised again when the server has the answer.
        """
        environ = self._environ
        if not (must_answer(self, others_do=_DEBUGGED in environ) and self._can_start_anew()):
            return None
        self.answered_by_us()
        traceback = error.__traceback__
        # uWSGI takes a second start anyway, and answers this argument with a SystemError.
        why = None if _UWSGI in environ else sys.exc_info()
        try:
            self.start_response("500 Internal Server Error", [*PLAIN_500_HEADERS], why)
        except Exception:  # noqa: BLE001 - a server that refuses the answer has its reason
            error.__traceback__ = traceback  # it may have raised the very error
            return None
        return _plain_500(b"" if environ.get("REQUEST_METHOD") == "HEAD" else PLAIN_500, error)

    def _can_start_anew(self) -> bool:
        """Whether a response that was started can be taken back."""
        if not self.response_started or _GUNICORN not in self._environ:
            return True
        # gunicorn would send the headers of both; PEP 3333 has the second replace the first.
        response = getattr(self._start_response, "__self__", None)
        headers = getattr(response, "headers", None)
        if type(headers) is not list:
            return False
        headers.clear()
        return True

    def closed(self) -> None:
        """The server has closed the response, or gets none: nothing more follows."""
        if self.first_byte is None and self._may_switch:
            self.connection_taken()
        if self.event_pending:
            super().closed()
        self.is_closed = True
        self._forget_errors()
        self._environ.pop(KEY, None)


def _plain_500(body: bytes, error: Exception) -> Iterator[bytes]:
    yield body
    raise error
