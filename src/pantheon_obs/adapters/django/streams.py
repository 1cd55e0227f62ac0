"""The body of a streaming response: each part is made in the request's trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import resume, suspend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pantheon_obs.adapters.django.exchange import DjangoExchange

_END = object()


def follow(response: Any, exchange: DjangoExchange) -> None:  # noqa: ANN401 - Django has no types
    """Make the parts of a streaming response in its request's trace, and note them."""
    closers = response._resource_closers  # noqa: SLF001 - as Django's handlers use it
    closers[:] = [_Closing(closer, exchange) for closer in closers]
    file = getattr(response, "file_to_stream", None)
    if file is not None and exchange.server_sends_files:
        return
    exchange.follows(is_async=response.is_async)
    parts = response.streaming_content
    response.streaming_content = (
        AsyncParts(parts, exchange) if response.is_async else Parts(iter(parts), exchange)
    )
    if file is not None:
        response.file_to_stream = file  # which the statement above has unset


class _Parts:
    def __init__(self, parts: Any, exchange: DjangoExchange) -> None:  # noqa: ANN401 - as above
        self._parts = parts
        self._exchange = exchange

    def __reduce__(self) -> tuple[Callable[[object], object], tuple[object]]:
        """Copy and pickle as the parts themselves: a copy belongs to no request."""
        return _itself, (self._parts,)


class Parts(_Parts):
    """The parts that a server iterates over."""

    def __iter__(self) -> Iterator[Any]:
        """Return itself."""
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - Django takes strings too
        """Make the next part."""
        exchange = self._exchange
        with exchange:
            part = next(self._parts, _END)
            if part is _END:
                exchange.read_to_end()
        if part is _END:
            raise StopIteration
        exchange.made(part)
        return part


class AsyncParts(_Parts):
    """The parts of an asynchronous body."""

    def __aiter__(self) -> AsyncIterator[Any]:
        """Return itself."""
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - as above
        """Make the next part."""
        exchange = self._exchange
        with exchange:
            try:
                part = await anext(self._parts)
            except StopAsyncIteration:
                exchange.read_to_end()
                part = _END
        if part is _END:
            raise StopAsyncIteration
        exchange.made(part)
        return part


class _Closing:
    """Runs a response's closer in the request's trace: it may be a generator's `finally`."""

    def __init__(self, close: Callable[[], object], exchange: DjangoExchange) -> None:
        self._close = close
        self._exchange = exchange

    def __call__(self) -> None:
        """Run the closer; `HttpResponse.close` calls it."""
        resume(self._exchange)
        try:
            self._close()
        finally:
            suspend(self._exchange)

    def __reduce__(self) -> tuple[Callable[[object], object], tuple[object]]:
        """Copy and pickle as the closer itself."""
        return _itself, (self._close,)


def _itself(value: object) -> object:
    return value
