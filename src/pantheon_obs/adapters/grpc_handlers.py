"""The handler of a gRPC method, wrapped: the same kind of function, which reports how it ends."""

from __future__ import annotations

import asyncio
import inspect
from contextvars import copy_context
from functools import wraps
from typing import TYPE_CHECKING, Any
from weakref import finalize

from pantheon_obs.adapters.grpc_context import Noting, grpc
from pantheon_obs.core.finalizers import apart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pantheon_obs.adapters.grpc_rpc import Rpc

    Behavior = Callable[..., Any]

_END = object()
_UNKNOWN = "UNKNOWN"  # the code of an exception


def around(rpc: Rpc, handler: Any, unreadable: str) -> Any:
    """Wrap the handler of a method; None stays None, as there is no such method.

    `unreadable` is the code with which the server answers a message that cannot be (de)serialized.
    """
    kind = _kind(handler)
    behavior = getattr(handler, kind, None)
    if behavior is None or getattr(behavior, "experimental_non_blocking", False):
        rpc.abandon()
        return handler
    rpc.context = copy_context()
    is_stream = handler.response_streaming
    serializer = _reporting(rpc, handler.response_serializer, unreadable)
    method = (_stream if is_stream else _single)(rpc, behavior)
    finalize(method, apart, rpc.released).atexit = False
    return getattr(grpc, f"{kind}_rpc_method_handler")(
        method,
        _reporting(rpc, handler.request_deserializer, unreadable),
        serializer if is_stream else _completing(rpc, serializer, unreadable),
    )


def _kind(handler: Any) -> str:
    names = {False: "unary", True: "stream"}
    streaming = (getattr(handler, f"{side}_streaming", False) for side in ("request", "response"))
    return "_".join(names[bool(each)] for each in streaming)


def _reporting(rpc: Rpc, convert: Behavior | None, code: str) -> Behavior | None:
    """Report an error of a serializer or deserializer, which ends the RPC."""
    if convert is None:
        return None

    def reporting(message: Any) -> Any:
        try:
            return convert(message)
        except Exception as error:
            rpc.failed(error, code)
            raise

    return reporting


def _completing(rpc: Rpc, serialize: Behavior | None, code: str) -> Behavior:
    """Report that the only response is complete once it is serialized."""

    def completing(message: Any) -> Any:
        serialized = message if serialize is None else serialize(message)
        if serialized is None and code == "INTERNAL":  # so the sync server answers; aio sends b""
            rpc.code = code
        rpc.answered()
        return serialized

    return completing


def _single(rpc: Rpc, behavior: Behavior, *, sends_all: bool = False) -> Behavior:
    """Wrap a function that returns the response; or `sends_all` of them with `context.write`."""
    if not inspect.iscoroutinefunction(behavior):
        return _single_sync(rpc, behavior)

    @wraps(behavior)
    async def single(request: Any, given: Any) -> Any:
        noting = Noting(rpc, given)
        try:
            response = await behavior(request, noting.context)
        except BaseException as error:
            await _failed(rpc, noting, error)
            raise
        await noting.send_async()
        if sends_all or rpc.code != "OK":  # the response is not serialized then
            rpc.answered()
        return response

    return single


def _single_sync(rpc: Rpc, behavior: Behavior) -> Behavior:
    @wraps(behavior)
    def single(request: Any, given: Any) -> Any:
        noting = Noting(rpc, given)
        try:
            response = rpc.run(behavior, request, noting.context)
        except BaseException as error:
            _failed_sync(rpc, noting, error)
            raise
        noting.send()
        in_time = noting.in_time()
        if rpc.code != "OK" or not in_time:  # the response may not be serialized then
            rpc.answered(in_time=in_time)
        return response

    return single


def _stream(rpc: Rpc, behavior: Behavior) -> Behavior:
    if inspect.iscoroutinefunction(behavior):
        return _single(rpc, behavior, sends_all=True)
    if not inspect.isasyncgenfunction(behavior):
        return _stream_sync(rpc, behavior)

    @wraps(behavior)
    async def stream(request: Any, given: Any) -> AsyncIterator[Any]:
        noting = Noting(rpc, given)
        try:
            async for message in behavior(request, noting.context):
                await noting.send_async()
                yield message
                rpc.part(1)
        except BaseException as error:
            await _failed(rpc, noting, error)
            raise
        await noting.send_async()
        rpc.answered()

    return stream


def _stream_sync(rpc: Rpc, behavior: Behavior) -> Behavior:
    @wraps(behavior)
    def stream(request: Any, given: Any) -> Iterator[Any]:
        noting = Noting(rpc, given)
        try:
            messages = iter(rpc.run(behavior, request, noting.context))
            while (message := rpc.run(next, messages, _END)) is not _END:
                if rpc.ended_by_grpc:  # meanwhile; gRPC may not ask for another one
                    rpc.answered()
                noting.send()
                yield message
                rpc.part(1)
        except BaseException as error:
            _failed_sync(rpc, noting, error)
            raise
        noting.send()
        rpc.answered(in_time=noting.in_time())

    return stream


def _failed_sync(rpc: Rpc, noting: Noting, error: BaseException) -> None:
    """Report an exception; a generator that is closed says no more than that the RPC is over."""
    if isinstance(error, GeneratorExit):
        rpc.terminated()
        return
    noting.send()
    rpc.run(rpc.failed, error, _UNKNOWN, in_time=noting.in_time())


async def _failed(rpc: Rpc, noting: Noting, error: BaseException) -> None:
    """Report an exception under asyncio, where the task of an RPC that is over is cancelled."""
    if isinstance(error, GeneratorExit):
        rpc.terminated()
        return
    if isinstance(error, Exception):
        await noting.send_async()
    task = asyncio.current_task()
    rpc.failed(error, _UNKNOWN, in_time=task is None or not task.cancelling())
