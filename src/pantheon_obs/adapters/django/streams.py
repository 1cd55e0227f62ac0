"""The body of a streaming response: each part is made in the request's trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import resume, suspend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pantheon_obs.adapters.django.exchange import DjangoExchange


def follow(response: Any, exchange: DjangoExchange) -> None:  # noqa: ANN401 - Django has no types
    """Make the parts of a response in its request's trace, and note them.

    Args:
        response: A streaming response.
        exchange: The request's exchange.
    """
    closers = response._resource_closers  # noqa: SLF001 - as Django's handlers use it
    closers[:] = [_in_trace(closer, exchange) for closer in closers]
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


class Parts:
    """The parts that a server iterates over.

    Args:
        parts: The response's own parts.
        exchange: The request's exchange.
    """

    def __init__(self, parts: Iterator[Any], exchange: DjangoExchange) -> None:
        self._parts = parts
        self._exchange = exchange

    def __iter__(self) -> Iterator[Any]:
        """Return itself."""
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - Django takes strings too
        """Make the next part."""
        exchange = self._exchange
        resume(exchange)
        try:
            part = next(self._parts)
        except StopIteration:
            exchange.read_to_end()
            raise
        except BaseException as error:
            exchange.failed(error)
            raise
        finally:
            exchange.leave()
        exchange.made(part)
        return part


class AsyncParts:
    """The parts of an asynchronous body.

    Args:
        parts: The response's own parts.
        exchange: The request's exchange.
    """

    def __init__(self, parts: AsyncIterator[Any], exchange: DjangoExchange) -> None:
        self._parts = parts
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[Any]:
        """Return itself."""
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - as above
        """Make the next part."""
        exchange = self._exchange
        resume(exchange)
        try:
            part = await anext(self._parts)
        except StopAsyncIteration:
            exchange.read_to_end()
            raise
        except BaseException as error:
            exchange.failed(error)
            raise
        finally:
            exchange.leave()
        exchange.made(part)
        return part


def _in_trace(close: Callable[[], object], exchange: DjangoExchange) -> Callable[[], None]:
    """Run a response's closer in the request's trace: it may be a generator's `finally`."""

    def closer() -> None:
        resume(exchange)
        try:
            close()
        finally:
            suspend(exchange)

    return closer
