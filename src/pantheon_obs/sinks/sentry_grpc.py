"""Sentry's interceptors of gRPC servers: put where they lack, and kept from what they break."""

from __future__ import annotations

import inspect
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.stack import is_below

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    Continuation = Callable[[Any], Awaitable[Any]]


def missing_interceptor(sdk: ModuleType, module: str) -> Any:  # noqa: ANN401 - gRPC's
    """Return Sentry's interceptor for a server that was made before Sentry had started; else None.

    Sentry puts it into servers that are made later, before all others: it is running then.
    """
    if sdk.get_client().get_integration("grpc") is None or is_below(f"{module}.ServerInterceptor"):
        return None
    return import_module(module).ServerInterceptor()


def spare_plain_handlers() -> None:
    """Let Sentry wrap only coroutine functions and asynchronous generators, once.

    It awaits every handler. `grpc.aio` takes plain functions and generators too, and coroutines
    that send their responses with `context.write`: the calls of these would fail.
    """
    sentry: Any = import_module("sentry_sdk.integrations.grpc.aio.server").ServerInterceptor
    intercept = sentry.intercept_service
    if hasattr(intercept, "__wrapped__"):
        return

    @wraps(intercept)
    async def sparing(self: object, continuation: Continuation, details: Any) -> Any:  # noqa: ANN401 - gRPC's
        handler = await continuation(details)
        if not _is_wrappable(handler):
            return handler

        async def found(_: object) -> Any:  # noqa: ANN401 - as above
            return handler

        return await intercept(self, found, details)

    sentry.intercept_service = sparing


def _is_wrappable(handler: Any) -> bool:  # noqa: ANN401 - as above
    if handler is None:
        return False
    takes = "stream" if handler.request_streaming else "unary"
    gives = "stream" if handler.response_streaming else "unary"
    behavior = getattr(handler, f"{takes}_{gives}")
    if gives == "stream":
        return inspect.isasyncgenfunction(behavior)
    return inspect.iscoroutinefunction(behavior)
