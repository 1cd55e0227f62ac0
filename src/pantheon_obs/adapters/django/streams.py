"""The body of a streaming response: each part is made in the request's trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import resume, suspend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pantheon_obs.adapters.django.exchange import Exchange


class Parts:
    """What a server iterates over.

    Args:
        parts: The response's own parts.
        exchange: The request's record.
    """

    def __init__(self, parts: Iterator[Any], exchange: Exchange) -> None:
        self._parts = parts
        self._exchange = exchange

    def __iter__(self) -> Iterator[Any]:
        """Itself."""
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - Django takes strings too
        """The next part."""
        exchange = self._exchange
        resume(exchange)
        try:
            part = next(self._parts)
        except StopIteration:
            exchange.note_end()
            raise
        except BaseException as error:
            exchange.failed(error)
            raise
        finally:
            exchange.leave()
        exchange.note_part(part)
        return part


class AsyncParts:
    """The same for an asynchronous body."""

    def __init__(self, parts: AsyncIterator[Any], exchange: Exchange) -> None:
        self._parts = parts
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[Any]:
        """Itself."""
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - as above
        """The next part."""
        exchange = self._exchange
        resume(exchange)
        try:
            part = await anext(self._parts)
        except StopAsyncIteration:
            exchange.note_end()
            raise
        except BaseException as error:
            exchange.failed(error)
            raise
        finally:
            exchange.leave()
        exchange.note_part(part)
        return part


def in_trace(close: Callable[[], object], exchange: Exchange) -> Callable[[], None]:
    """A response's closer, to run in the request's trace: it may be a generator's `finally`."""

    def closer() -> None:
        resume(exchange)
        try:
            close()
        finally:
            suspend(exchange)

    return closer
