"""The body of a WSGI response, made in the request's trace while the server reads it.

A server asks for one part at a time. Between two of them it may serve other requests on the same
thread, and it may close the body at any time, from any thread, before it has read all of it.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import end, resume, suspend
from pantheon_obs.core.finalizers import apart
from pantheon_obs.core.guard import Guard, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.types import WSGIEnvironment

    from pantheon_obs.adapters.wsgi_exchange import WsgiExchange

_guard = Guard("wsgi body")


def body_of(response: Any, exchange: WsgiExchange, environ: WSGIEnvironment) -> Any:  # noqa: ANN401 - whatever the application returns
    """Wrap the body that the application has returned; None if it breaks the protocol."""
    kind = type(response)
    if kind is list or kind is tuple or response is None:
        if not exchange.response_started:
            # No code of the application runs any more, so no response can be started. The server
            # gets the very object: it may know it as the sign of a connection taken over.
            exchange.closed()
            return response
        if response is not None:
            if exchange.event_pending:
                return WholeBody(response, exchange)
            exchange.closed()
            return response
    if _is_file(response, environ):
        return _watched_file(response, exchange)
    return SizedBody(response, exchange) if hasattr(kind, "__len__") else Body(response, exchange)


def _note(exchange: WsgiExchange, part: Any, *, is_whole: bool = False) -> None:  # noqa: ANN401 - as above
    """Note a part of the body; the server judges a part that is not bytes."""
    try:
        exchange.handed(len(part), is_whole=is_whole)
    except TypeError as error:
        report("wsgi body", error)


class _Closing:
    """Ends an exchange when the server closes the response; common to all kinds of bodies."""

    def __init__(self, response: Any, exchange: WsgiExchange) -> None:  # noqa: ANN401 - as above
        self._response = response
        self._exchange = exchange

    def close(self) -> None:
        """Close the body that the application has returned, in the request's trace."""
        exchange = self._exchange
        resume(exchange)
        try:
            exchange.read()
            exchange.closing()
            close = getattr(self._response, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            exchange.escaped(error)
            raise
        finally:
            exchange.closed()
            end(exchange)

    def __del__(self) -> None:
        # For a server that does not close the body.
        if not self._exchange.is_closed:
            apart(self._drop)

    def _drop(self) -> None:
        with _guard:
            resume(self._exchange)
            self._exchange.read()
            self._exchange.closed()
            end(self._exchange)


class Body(_Closing):
    """A body that the application makes while the server reads it."""

    _next: Callable[[], bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        """Return itself."""
        return self

    def __next__(self) -> bytes:
        """Make the next part, in the request's trace."""
        exchange = self._exchange
        resume(exchange)
        try:
            following = self._next
            if following is None:
                following = self._next = iter(self._response).__next__
            part = following()
        except StopIteration:
            if exchange.response_started:
                exchange.complete()
            raise
        except Exception as error:
            exchange.escaped(error)
            answer = exchange.answer(error)
            if answer is None:
                exchange.finish()  # nothing follows, and the server may not close the body
                raise
            self._next = following = answer.__next__
            part = following()
        except BaseException as error:
            exchange.escaped(error)
            raise
        finally:
            suspend(exchange)
        if part:
            _note(exchange, part)
        return part


class SizedBody(Body):
    """A body whose number of parts is known: servers send the length of a body of one part."""

    def __len__(self) -> int:
        """Count the parts."""
        return len(self._response)


class WholeBody(_Closing):
    """A body that is complete already: no code of the application runs while it is read."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield its parts."""
        for part in self._response:
            _note(self._exchange, part, is_whole=True)
            yield part
        self._exchange.complete()

    def close(self) -> None:
        """Note the end; a list has no `close` of its own."""
        self._exchange.read()
        if self._exchange.open_calls:
            super().close()
        else:
            self._exchange.closed()
            end(self._exchange, suspended=True)

    def __len__(self) -> int:
        """Count the parts."""
        return len(self._response)


def _is_file(response: Any, environ: WSGIEnvironment) -> bool:  # noqa: ANN401 - as above
    """Whether the server recognises the response as a file, which it sends by itself."""
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(wrapper, type):
        return isinstance(response, wrapper)
    return wrapper is not None and hasattr(response, "fileno")


def _watched_file(response: Any, exchange: WsgiExchange) -> Any:  # noqa: ANN401 - as above
    """Replace the object's `close`; an object that refuses another one counts as sent now."""
    closing = _FileClosing(SimpleNamespace(close=getattr(response, "close", None)), exchange)
    try:
        response.close = closing.close
    except Exception:  # noqa: BLE001 - an object of a class that is written in C, for example
        exchange.complete()
        exchange.closed()
    return response


class _FileClosing(_Closing):
    """Ends an exchange when the server closes a file that it has read by itself."""

    def close(self) -> None:
        """Close the file; a server that could not send it is on its way out with an `OSError`."""
        if not isinstance(sys.exc_info()[1], OSError):
            self._exchange.complete()
        super().close()
