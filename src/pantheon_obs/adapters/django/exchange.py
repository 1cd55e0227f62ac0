"""One request as Django's middleware sees it, translated into facts."""

from __future__ import annotations

import asyncio
import sys
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from asgiref.sync import SyncToAsync

from pantheon_obs.adapters.django.templates import template_of_pattern
from pantheon_obs.adapters.wsgi_environ import note_failed_read
from pantheon_obs.core.context import end, resume, suspend, trace_on
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.facts import SERVER_ERROR
from pantheon_obs.core.finalizers import apart
from pantheon_obs.core.guard import Guard, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.http import HttpRequest

_guard = Guard("django exchange")


class DjangoExchange(Exchange):
    """One request, from the middleware to the end of its response."""

    _is_read = True  # of a response that does not stream there is nothing to read
    _is_buffered = False  # whether all parts are made before the first one is sent
    _buffered = 0  # bytes of those
    parts: Iterable[bytes] = ()  # of a response that does not stream

    def __init__(self, trace_id: str, request: HttpRequest) -> None:
        # `super()` takes longer, for each request.
        Exchange.__init__(self, trace_id, waits_for_close=True)
        self._request: Any = request

    @property
    def is_asgi(self) -> bool:
        """Whether the server has sent a scope, and no environ."""
        return hasattr(self._request, "scope")

    @property
    def server_sends_files(self) -> bool:
        """Whether the server sends a file itself, of which we see no part."""
        return "wsgi.file_wrapper" in self._request.META

    def route(self) -> str | None:
        """The route's template."""
        return template_of(self._request)

    def says_departure(self, error: BaseException) -> bool:
        """Whether an exception says no more than that the client has gone."""
        if not (self.response_started or self.is_asgi):
            with _guard:
                note_failed_read(self, self._request.META, error)
        return super().says_departure(error)

    def note_unhandled(self, error: BaseException, *, may_be_handled: bool = False) -> None:
        """Django answers an exception that nobody handled, and does not raise it."""
        super().note_unhandled(error, may_be_handled=may_be_handled)
        if self.response_started:
            # A middleware outside of ours has failed since: another response is sent.
            self.started(SERVER_ERROR)
            self.closed()

    def follows(self, *, is_async: bool) -> None:
        """The body is made part by part.

        Under ASGI Django reads parts that are not async to their end before it sends any of them.
        """
        self.part(0)  # nothing of it was made yet
        self._is_read = False
        self._is_buffered = self.is_asgi and not is_async

    def made(self, part: Any) -> None:  # noqa: ANN401 - Django takes strings too
        """A part of the body was made for the server."""
        if self._is_buffered:
            self._buffered += len(part)
        elif self.first_byte is None:  # later `part` changes nothing
            self.part(len(part))

    def read_to_end(self) -> None:
        """The server has asked for more than there is; it closes the response when that is sent."""
        self._is_read = self._is_buffered
        if self._is_buffered:
            self.part(self._buffered)
        else:
            self.complete()

    __enter__ = resume  # a step of the project's code begins: a part of the response

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """A step has ended."""
        try:
            if error is not None:
                self.failed(error)
        finally:
            self.leave()

    def failed(self, error: BaseException) -> None:
        """The project's code has raised."""
        if _by_django(error):
            self.client_left()
        self.escaped(error)
        self.finish()

    def leave(self) -> None:
        """Restore the context: for good if the event is emitted, else until a later step."""
        if self.event_pending:
            suspend(self)
        else:
            end(self)
            self._forget_request()

    def closed(self) -> None:
        """The server has closed the response: end in the context of the last step.

        To make that current again and to restore the server's context takes 8,000 instructions.
        """
        if self.suspended is not None:
            self.suspended.run(self._close)

    def dropped(self) -> None:
        """The response is lost without having been closed."""
        self.client_left()
        context = self.suspended or copy_context()
        context.run(apart, self._close)

    def _close(self) -> None:
        try:
            if self._is_read and not self.client_gone:
                if isinstance(sys.exception(), OSError):  # the server's socket has failed
                    self.refused(sum(map(len, self.parts)))
                else:
                    self.complete()
            Exchange.closed(self)
        finally:
            end(self, suspended=True)
            self._forget_request()

    def _forget_request(self) -> None:
        if self.response_complete:
            # The request carries this exchange: leave no cycle of them to the garbage collector.
            # Of a response that has failed, Sentry asks for the request later.
            self._request = None


class Closer:
    """Notifies an exchange that its response is closed, or dropped without that."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: DjangoExchange) -> None:
        self._exchange = exchange

    def __call__(self) -> None:
        """Notify the exchange; `HttpResponse.close` calls it."""
        try:
            self._exchange.closed()
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            report("django exchange", error)

    def __del__(self) -> None:
        """Django does not close a response that could not be sent."""
        if not self._exchange.ended:
            with _guard:
                self._exchange.dropped()

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        """Pickle as a no-op: a cache keeps the response longer than the request lasts."""
        return _nothing, ()


def _nothing() -> Callable[[], object]:
    return _nothing


def template_of(request: Any) -> str | None:  # noqa: ANN401 - Django has no types
    """The template of the route that has matched, such as `/items/<int:item_id>/`, or None."""
    route = getattr(request.resolver_match, "route", None)
    return None if route is None else f"/{template_of_pattern(route)}"


def note_unhandled(request: object = None, **_: object) -> None:
    """Receive Django's signal of an exception that nobody has handled."""
    with _guard:
        exchange: Any = trace_on(request)
        error = sys.exception()
        if exchange is not None and error is not None:
            exchange.note_unhandled(error)


def _by_django(error: BaseException) -> bool:
    """Whether Django has cancelled the request, which it does when the client has gone.

    A server gives a reason when it cancels, or the loop ends and cancels everything.
    """
    if not isinstance(error, asyncio.CancelledError) or error.args:
        return False
    try:
        own = asyncio.current_task()
    except RuntimeError:
        return _is_one_cancelled_of_many()
    if own is None or not own.cancelling():
        return False
    return any(not task.cancelling() for task in asyncio.all_tasks() - {own})


def _is_one_cancelled_of_many() -> bool:
    """Whether the request of this thread may be one that is cancelled while others are not.

    Under ASGI Django runs a stack in a thread if one of its middlewares is sync only. Under WSGI
    there is no loop, and nobody cancels but the project itself.
    """
    loop = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
    tasks: Iterable[asyncio.Task[Any]] = ()
    with _guard:  # it is another thread's loop
        tasks = () if loop is None else asyncio.all_tasks(loop)
    return {True, False} == {task.cancelling() > 0 for task in tasks}
