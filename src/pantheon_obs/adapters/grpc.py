"""gRPC servers: interceptors which make each RPC a trace with its `request_finished`.

https://grpc.github.io/grpc/python/grpc.html#service-side-interceptor
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pantheon_obs import _setup
from pantheon_obs.adapters.grpc_context import grpc
from pantheon_obs.adapters.grpc_handlers import around
from pantheon_obs.adapters.grpc_rpc import Rpc
from pantheon_obs.core.context import current_trace
from pantheon_obs.core.identity import Identity
from pantheon_obs.core.settings import resolve
from pantheon_obs.core.spans import attach
from pantheon_obs.core.switch import turned_off

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pantheon_obs.core.settings import Settings

# https://github.com/grpc/grpc/blob/master/doc/health-checking.md
_PROBES = frozenset({"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"})


def server_interceptor(settings: Settings | None = None, **overrides: object) -> Any:
    """Make the interceptor for `grpc.server(…, interceptors=[…])`; put it first.

    Sets up logging, starts Sentry if a DSN is set, and gives each RPC a trace: its id comes from
    the caller's metadata, goes back in the initial metadata as `x-trace-id`, and is on every line;
    the RPC ends in one `request_finished` with its `grpc_code`.

    Args:
        settings: The settings; None reads the environment.
        overrides: Fields of `Settings` that replace those of `settings`.

    Returns:
        A `grpc.ServerInterceptor`.

    Raises:
        ConfigError: An argument is not accepted.
        MissingExtraError: grpcio is not installed, or `sentry_sdk` and a DSN was given.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> def make_server():
        ...     import grpc
        ...     from pantheon_obs.adapters.grpc import server_interceptor
        ...     return grpc.server(ThreadPoolExecutor(8), interceptors=[server_interceptor()])
    """
    return _Interceptor(settings, overrides)


def aio_server_interceptor(settings: Settings | None = None, **overrides: object) -> Any:
    """Make the interceptor for `grpc.aio.server(interceptors=[…])`; put it first.

    The arguments and errors are as for `server_interceptor`.

    Args:
        settings: The settings; None reads the environment.
        overrides: Fields of `Settings` that replace those of `settings`.

    Returns:
        A `grpc.aio.ServerInterceptor`.

    Example:
        >>> def make_server():
        ...     import grpc
        ...     from pantheon_obs.adapters.grpc import aio_server_interceptor
        ...     return grpc.aio.server(interceptors=[aio_server_interceptor()])
    """
    return _AioInterceptor(settings, overrides)


class _Arriving:
    """Makes the trace of each RPC that arrives."""

    _sentry_module: str

    def __init__(self, given: Settings | None, overrides: dict[str, object]) -> None:
        settings = resolve(given, overrides)
        start = _setup.start(settings, lambda: resolve(given, overrides), anew=False)
        _setup.announce_serving(settings, adapter="grpc", on_startup=start)()
        self._is_off = turned_off(settings)
        self._identity = Identity(settings)
        self._quiet = settings.quiet | _PROBES

    @cached_property
    def _sentry(self) -> Any:
        """Sentry's interceptor, if it must be put around the handlers; asked at the first RPC."""
        return _setup.missing_interceptor(self._sentry_module)

    def _arrived(self, details: Any) -> Rpc:
        given = details.invocation_metadata or ()
        headers = [
            (name.encode(), value.encode("ascii", "replace") if isinstance(value, str) else value)
            for name, value in given
        ]
        trace_id, upstream = self._identity.read(headers)
        rpc = Rpc(trace_id)
        attach(rpc, upstream)
        rpc.arrive(details.method, self._quiet)
        return rpc


def _is_traced(details: Any) -> bool:
    """Whether another interceptor of ours has begun the trace of this RPC."""
    trace = current_trace.get()
    return isinstance(trace, Rpc) and not trace.ended and trace.path == details.method


class _Interceptor(_Arriving, grpc.ServerInterceptor):  # type: ignore[misc]  # untyped
    _sentry_module = "sentry_sdk.integrations.grpc.server"

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Find the handler of an RPC in its context, and put ours around it."""
        if self._is_off or _is_traced(details):
            return continuation(details)
        rpc = self._arrived(details)
        try:
            handler = continuation(details)
        except BaseException as error:  # another interceptor's, for which gRPC answers
            rpc.failed(error, "UNKNOWN")
            raise
        observed = around(rpc, handler, "INTERNAL")
        sentry = self._sentry
        return sentry.intercept_service(lambda _: observed, details) if sentry else observed


class _AioInterceptor(_Arriving, grpc.aio.ServerInterceptor):  # type: ignore[misc]  # untyped
    _sentry_module = "sentry_sdk.integrations.grpc.aio.server"

    async def intercept_service(
        self,
        continuation: Callable[[Any], Awaitable[Any]],
        details: Any,
    ) -> Any:
        """Find the handler of an RPC in its task, and put ours around it."""
        if self._is_off or _is_traced(details):
            return await continuation(details)
        rpc = self._arrived(details)
        try:
            handler = await continuation(details)
        except BaseException as error:  # as above
            rpc.failed(error, "UNKNOWN", in_time=not isinstance(error, asyncio.CancelledError))
            raise
        task = asyncio.current_task()
        if task is not None and handler is not None:
            task.add_done_callback(rpc.terminated)
        observed = around(rpc, handler, "UNKNOWN")
        if self._sentry is None:
            return observed

        async def found(_: object) -> Any:
            return observed

        return await self._sentry.intercept_service(found, details)
