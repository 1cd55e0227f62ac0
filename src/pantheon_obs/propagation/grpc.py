"""Make interceptors for gRPC clients, which send the current trace with each call.

https://grpc.github.io/grpc/python/grpc.html#client-side-interceptor
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.errors import require
from pantheon_obs.core.guard import Guard
from pantheon_obs.propagation.carriers import inject

if TYPE_CHECKING:
    from collections.abc import Callable

_FEATURE = "pantheon_obs.propagation.grpc"
grpc: Any = require("grpc", extra=None, feature=_FEATURE, distribution="grpcio")

_guard = Guard("grpc client")


def client_interceptor() -> Any:
    """Make the interceptor for `grpc.intercept_channel(channel, …)`; one serves all kinds of RPC.

    Each call carries `x-trace-id` and `traceparent`, unless its metadata has them already.

    Returns:
        An interceptor of all four kinds of RPC.

    Raises:
        MissingExtraError: grpcio is not installed.

    Example:
        >>> def connect():
        ...     import grpc
        ...     from pantheon_obs.propagation.grpc import client_interceptor
        ...     channel = grpc.insecure_channel("stock.internal:50051")
        ...     return grpc.intercept_channel(channel, client_interceptor())
    """
    return _Interceptor()


def aio_client_interceptors() -> list[Any]:
    """Make the interceptors for `grpc.aio.insecure_channel(…, interceptors=…)`.

    They are four, as a channel of asyncio uses an interceptor for one kind of RPC only. They do
    the same as `client_interceptor`.

    Returns:
        An interceptor for each kind of RPC.

    Raises:
        MissingExtraError: grpcio is not installed.

    Example:
        >>> def connect():
        ...     import grpc
        ...     from pantheon_obs.propagation.grpc import aio_client_interceptors
        ...     interceptors = aio_client_interceptors()
        ...     return grpc.aio.insecure_channel("stock.internal:50051", interceptors=interceptors)
    """
    return [kind() for kind in _AIO_KINDS]


class _Details(grpc.ClientCallDetails):  # type: ignore[misc]  # untyped
    """The details of a call with other metadata."""

    def __init__(self, given: Any, metadata: Any) -> None:
        self._given = given
        self.metadata = metadata

    def __getattr__(self, name: str) -> Any:
        return getattr(self._given, name)


def _traced(details: Any) -> Any:
    """Add the trace to the details of a call; its metadata keeps its type."""
    with _guard:
        given = () if details.metadata is None else details.metadata
        there = {name for name, _ in given}
        ours = inject(lower_case=True).items()
        pairs = (*given, *(pair for pair in ours if pair[0] not in there))
        is_aio = isinstance(given, grpc.aio.Metadata)
        return _Details(details, grpc.aio.Metadata(*pairs) if is_aio else pairs)
    return details


class _Interceptor(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc]  # untyped
    grpc.UnaryStreamClientInterceptor,  # type: ignore[misc]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[misc]
    grpc.StreamStreamClientInterceptor,  # type: ignore[misc]
):
    def intercept_unary_unary(
        self,
        continuation: Callable[[Any, Any], Any],
        details: Any,
        request: Any,
    ) -> Any:
        """Send the trace with a call; under asyncio the answer is awaited by grpc."""
        return continuation(_traced(details), request)

    intercept_unary_stream = intercept_unary_unary
    intercept_stream_unary = intercept_unary_unary
    intercept_stream_stream = intercept_unary_unary


def _aio_kind(name: str) -> type:
    async def intercept(
        _: object,
        continuation: Callable[[Any, Any], Any],
        details: Any,
        request: Any,
    ) -> Any:
        return await continuation(_traced(details), request)

    base = getattr(grpc.aio, f"{name.title().replace('_', '')}ClientInterceptor")
    return type(base.__name__, (base,), {f"intercept_{name}": intercept})


_AIO_KINDS = [
    _aio_kind(f"{one}_{other}") for one in ("unary", "stream") for other in ("unary", "stream")
]
