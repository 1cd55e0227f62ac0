"""One request as Django's middleware sees it: from its headers to the end of its response."""

from __future__ import annotations

import asyncio
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.adapters.django.streams import AsyncParts, Parts, in_trace
from pantheon_obs.core.context import end, resume, suspend
from pantheon_obs.core.failures import escape, note
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.request import Request, carried_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

    from pantheon_obs.core.events import Outcome

_SERVER_ERROR = 500

_guard = Guard("django exchange")


class Exchange(Request):
    """The record of one request.

    Args:
        trace_id: The request's id.
        request: Django's request.

    Attributes:
        buffered: Whether Django reads a streaming body to its end before it sends any of it.
        ending: How the exchange has ended, as far as it can be seen.
    """

    buffered = False
    ending: Outcome = "ok"

    def __init__(self, trace_id: str, request: HttpRequest) -> None:
        super().__init__(trace_id)
        self._request: Any = request
        self.method = request.method or ""
        self.path = request.path

    def route(self) -> str | None:
        """The route's template."""
        return template_of(self._request)

    def note_unhandled(self, error: BaseException) -> None:
        """Django will answer an error that nobody handled, and not raise it."""
        super().note_unhandled(error)
        if self.status_code is not None:
            # A middleware outside of ours has failed since: our response is not the one sent.
            self.status_code = _SERVER_ERROR
            self.closed()

    def answered(self, response: Any, *, is_async: bool) -> None:  # noqa: ANN401 - Django has no types
        """The response is ready; the line is due when the server closes it.

        Args:
            response: Django's response.
            is_async: Whether it goes to an ASGI server.
        """
        self.status_code = response.status_code
        if response.streaming:
            self._follow(response, is_async=is_async)
        # What Django's handlers themselves use, to close the request with its response.
        response._resource_closers.append(Closer(self))  # noqa: SLF001

    def _follow(self, response: Any, *, is_async: bool) -> None:  # noqa: ANN401 - as above
        closers = response._resource_closers  # noqa: SLF001 - as above
        closers[:] = [in_trace(closer, self) for closer in closers]
        file = getattr(response, "file_to_stream", None)
        if file is not None and "wsgi.file_wrapper" in self._request.META:
            return  # the server sends the file by itself
        self.buffered = is_async and not response.is_async
        self.ending = "client_disconnected"  # unless the last part is asked for
        parts = response.streaming_content
        response.streaming_content = (
            AsyncParts(parts, self) if response.is_async else Parts(iter(parts), self)
        )
        if file is not None:
            response.file_to_stream = file  # which the line above has unset

    def note_part(self, part: object) -> None:
        """A part of the body is handed to the server; an empty one is none."""
        if self.first_byte is None and part and not self.buffered:
            self.first_byte = perf_counter()

    def note_end(self) -> None:
        """The server has asked for more than there is."""
        self.ending = "ok"
        now = perf_counter()
        if self.first_byte is None:
            self.first_byte = now
        if not self.buffered:
            self.last_byte = now

    def failed(self, error: BaseException) -> None:
        """The project's code has raised, in place of a response or in the middle of one."""
        self.finish_open_calls()
        escape(error, self, covered=True)
        if isinstance(error, Exception):
            self.finish("error", error)
            return
        if isinstance(error, asyncio.CancelledError):
            note(error).logged = True  # the line's outcome says it all
        self.finish("client_disconnected" if _by_django(error) else "cancelled")

    def leave(self) -> None:
        """Give the context back: for good if the line is written, else until a later step."""
        (end if self.reported else suspend)(self)

    def closed(self) -> None:
        """The server has closed the response."""
        if self.ended:
            return
        resume(self)
        try:
            self.finish("ok" if self.method == "HEAD" else self.ending)
        finally:
            end(self)


class Closer:
    """Tells an exchange that its response is closed, or dropped without that."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __call__(self) -> None:
        """Be called by `HttpResponse.close`."""
        with _guard:
            self._exchange.closed()

    def __del__(self) -> None:
        """Django does not close a response that could not be sent."""
        exchange = self._exchange
        if not exchange.ended:
            exchange.ending = "client_disconnected"
            self()

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        """Be nothing in a response that is pickled: a cache keeps it longer than the request."""
        return _nothing, ()


def _nothing() -> Callable[[], object]:
    return _nothing


def template_of(request: Any) -> str | None:  # noqa: ANN401 - Django has no types
    """The template of the route that has matched, as Django writes it, after a slash.

    Args:
        request: Django's request.

    Returns:
        For example `/items/<int:item_id>/`; None where nothing has matched.
    """
    route = getattr(request.resolver_match, "route", None)
    return None if route is None else f"/{route.removeprefix('^')}"


def note_unhandled(request: object = None, **_: object) -> None:
    """Receive Django's signal of an error that nobody has handled."""
    with _guard:
        exchange: Any = carried_by(request)
        error = sys.exc_info()[1]
        if exchange is not None and error is not None:
            exchange.note_unhandled(error)


def _by_django(error: BaseException) -> bool:
    """Whether Django has cancelled the request, which it does when the client has gone.

    A server says why it cancels, or the loop ends and cancels everything.
    """
    if not isinstance(error, asyncio.CancelledError) or error.args:
        return False
    try:
        own = asyncio.current_task()
        others = asyncio.all_tasks() - {own}
    except RuntimeError:  # no loop: under WSGI nobody cancels but the project itself
        return False
    if own is None or not own.cancelling():
        return False
    return any(not task.cancelling() for task in others)
