"""A gRPC service with a method for each way to answer: `python -m … {sync|aio} PORT`.

With a third argument the server is made before the interceptors, and so before Sentry starts.

Under `aio` its methods come twice: as coroutines, whose names begin with `a`, and as plain
functions and generators.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import grpc.aio

from pantheon_obs import get_logger
from pantheon_obs.adapters.grpc import aio_server_interceptor, server_interceptor
from pantheon_obs.propagation.grpc import aio_client_interceptors, client_interceptor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

log = get_logger("shop")
left = threading.Event()
kind, port = sys.argv[1], sys.argv[2]
is_inline = len(sys.argv) > 3
make_server, make_aio_server = grpc.server, grpc.aio.server


def ok(_request: bytes, _context: Any) -> bytes:
    """Answer after a log line."""
    log.info("sold")
    return b"ok"


def fails(_request: bytes, _context: Any) -> bytes:
    """Raise."""
    raise ValueError(7)


def aborts(_request: bytes, context: Any) -> bytes:
    """Abort with a code."""
    context.abort(grpc.StatusCode.NOT_FOUND, "no such book")
    return b"never"


class Missing(NamedTuple):
    """A status, as `grpc.Status` describes it."""

    code: Any = grpc.StatusCode.NOT_FOUND
    details: str = "no such book"
    trailing_metadata: tuple[tuple[str, str], ...] = ()


def aborts_with_a_status(_request: bytes, context: Any) -> bytes:
    """Abort with a status, by the name of the parameter."""
    context.abort_with_status(status=Missing())
    return b"never"


def aborts_by_names(_request: bytes, context: Any) -> bytes:
    """Abort with a code, by the names of the parameters."""
    context.abort(details="no such book", code=grpc.StatusCode.NOT_FOUND)
    return b"never"


def sets_a_code(_request: bytes, context: Any) -> bytes:
    """Send metadata of its own, and answer with a code."""
    context.send_initial_metadata((("shelf", "4"),))
    context.set_code(grpc.StatusCode.INVALID_ARGUMENT)
    return b""


def sets_a_code_and_fails(_request: bytes, context: Any) -> bytes:
    """Raise after a code was set."""
    context.set_code(grpc.StatusCode.UNAVAILABLE)
    raise ValueError(7)


def waits(_request: bytes, context: Any) -> bytes:
    """Outlast the client's deadline."""
    if hasattr(context, "is_active"):
        context.add_callback(left.set)
        left.wait(20)
        left.clear()
    else:
        left.wait(3)
    return b"late"


def counts(_request: bytes, _context: Any) -> Iterator[bytes]:
    """Stream three messages."""
    for number in range(3):
        log.info("counted")
        yield b"%d" % number


def breaks(_request: bytes, _context: Any) -> Iterator[bytes]:
    """Raise in the middle of a stream."""
    yield b"1"
    raise ValueError(7)


def endless(_request: bytes, context: Any) -> Iterator[bytes]:
    """Stream until the client leaves."""
    while context.is_active():
        yield b"again"


def lingers(_request: bytes, context: Any) -> Iterator[bytes]:
    """Make a message that is late: its client has left."""
    yield b"1"
    context.add_callback(left.set)
    log.info("lingering")
    left.wait(20)
    left.clear()
    yield b"2"


def adds(requests: Iterator[bytes], _context: Any) -> bytes:
    """Add up a stream."""
    return b"%d" % sum(map(int, requests))


def echoes(requests: Iterator[bytes], _context: Any) -> Iterator[bytes]:
    """Send back what comes."""
    yield from requests


def asks(_request: bytes, _context: Any) -> bytes:
    """Call this very service, through a client that carries the trace."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    with grpc.intercept_channel(channel, client_interceptor()) as traced:
        answers = (
            traced.unary_unary("/shop.Shop/ok")(b"", metadata=(("tenant", "acme"),)),
            *traced.unary_stream("/shop.Shop/counts")(b""),
            traced.stream_unary("/shop.Shop/adds")(iter([b"1"])),
            *traced.stream_stream("/shop.Shop/echoes")(iter([b"2"])),
        )
    return b" ".join(answers)


async def aok(_request: bytes, _context: Any) -> bytes:
    """Answer after a log line."""
    log.info("sold")
    return b"ok"


async def afails(_request: bytes, _context: Any) -> bytes:
    """Raise."""
    raise ValueError(7)


async def aaborts(_request: bytes, context: Any) -> bytes:
    """Abort with a code."""
    await context.abort(grpc.StatusCode.NOT_FOUND, "no such book")
    return b"never"


async def asets_a_code(_request: bytes, context: Any) -> bytes:
    """Send metadata of its own, and answer with a code."""
    await context.send_initial_metadata((("shelf", "4"),))
    context.set_code(grpc.StatusCode.INVALID_ARGUMENT)
    return b""


async def asets_a_number(_request: bytes, context: Any) -> bytes:
    """Answer with the number of a code."""
    context.set_code(5)
    return b""


async def awaits(_request: bytes, _context: Any) -> bytes:
    """Outlast the client's deadline."""
    await asyncio.sleep(20)
    return b"late"


async def acounts(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
    """Stream three messages."""
    for number in range(3):
        log.info("counted")
        yield b"%d" % number


async def abreaks(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
    """Raise in the middle of a stream."""
    yield b"1"
    raise ValueError(7)


async def aendless(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
    """Stream until the client leaves."""
    while True:
        yield b"again"


async def awrites(_request: bytes, context: Any) -> None:
    """Stream with `write`."""
    for number in range(3):
        log.info("counted")
        await context.write(b"%d" % number)


async def awrites_and_fails(_request: bytes, context: Any) -> None:
    """Raise after a `write`."""
    await context.write(b"1")
    raise ValueError(7)


async def aadds(requests: AsyncIterator[bytes], _context: Any) -> bytes:
    """Add up a stream."""
    return b"%d" % sum([int(number) async for number in requests])


async def aechoes(requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
    """Send back what comes."""
    async for number in requests:
        yield number


async def aasks(_request: bytes, _context: Any) -> bytes:
    """Call this very service, through a client of asyncio that carries the trace."""
    address = f"127.0.0.1:{port}"
    async with grpc.aio.insecure_channel(address, interceptors=aio_client_interceptors()) as traced:
        answers = (
            await traced.unary_unary("/shop.Shop/aok")(b"", metadata=(("tenant", "acme"),)),
            *[each async for each in traced.unary_stream("/shop.Shop/acounts")(b"")],
            await traced.stream_unary("/shop.Shop/aadds")(iter([b"1"])),
            *[each async for each in traced.stream_stream("/shop.Shop/aechoes")(iter([b"2"]))],
        )
    return b" ".join(answers)


def exits(_request: bytes, _context: Any) -> bytes:
    """Leave the thread, which gRPC's pool does not mind."""
    sys.exit(3)


def calls_back(_request: bytes, context: Any) -> bytes:
    """Log once the RPC has ended."""
    context.add_callback(lambda: log.info("called_back"))
    return b"ok"


async def acalls_back(_request: bytes, context: Any) -> bytes:
    """Log once the RPC has ended."""
    context.add_done_callback(lambda _context: log.info("called_back"))
    return b"ok"


_REFUSED: Any = (("shelf", 4),)  # no text


def sends_bad_metadata(_request: bytes, context: Any) -> bytes:
    """Send metadata that gRPC refuses."""
    with suppress(Exception):
        context.send_initial_metadata(_REFUSED)
    return b"ok"


async def asends_bad_metadata(_request: bytes, context: Any) -> bytes:
    """Send metadata that gRPC refuses."""
    with suppress(Exception):
        await context.send_initial_metadata(_REFUSED)
    return b"ok"


def marks(request: bytes, _context: Any) -> bytes:
    """Send an event to Sentry, after a tag and a user if there is one."""
    import sentry_sdk  # noqa: PLC0415 - few tests have it

    if request:
        sentry_sdk.set_tag("user_kind", request.decode())
        sentry_sdk.set_user({"id": request.decode()})
    sentry_sdk.capture_message("marked")
    return b"ok"


async def amarks(request: bytes, context: Any) -> bytes:
    """Send an event to Sentry."""
    return marks(request, context)


def marks_and_counts(request: bytes, context: Any) -> Iterator[bytes]:
    """Send an event to Sentry in the middle of a stream."""
    yield marks(request, context)


async def amarks_and_counts(request: bytes, context: Any) -> AsyncIterator[bytes]:
    """Send an event to Sentry in the middle of a stream."""
    yield marks(request, context)


def refusing(message: bytes) -> bytes:
    """Serialize or deserialize, but not everything."""
    if message == b"bad":
        raise TypeError(message)
    return message


def answers_none(_request: bytes, _context: Any) -> None:
    """Forget the answer."""


def bad(_request: bytes, _context: Any) -> bytes:
    """Answer what cannot be serialized."""
    return b"bad"


def _handler(name: str) -> Any:
    behavior = globals().get(name)
    if name == "non_blocking":
        handler = grpc.unary_stream_rpc_method_handler(non_blocking)
    elif behavior is None or name.startswith("_"):
        handler = None
    elif name.endswith(("counts", "breaks", "endless", "lingers", "writes", "writes_and_fails")):
        handler = grpc.unary_stream_rpc_method_handler(behavior)
    elif name == "answers_none":
        handler = grpc.unary_unary_rpc_method_handler(behavior)
    elif name.endswith("adds"):
        handler = grpc.stream_unary_rpc_method_handler(behavior)
    elif name.endswith("echoes"):
        handler = grpc.stream_stream_rpc_method_handler(behavior)
    else:
        handler = grpc.unary_unary_rpc_method_handler(behavior, refusing, refusing)
    return handler


def non_blocking(_request: bytes, _context: Any, send: Any) -> None:
    """Answer in gRPC's experimental way for streams without a thread."""
    send(b"1")
    send(None)


non_blocking.experimental_non_blocking = True  # type: ignore[attr-defined]


class Shop(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped
    """Finds a method by its name."""

    def service(self, details: Any) -> Any:
        """Return the handler; also of the probes' service."""
        return _handler("ok" if "Health" in details.method else details.method.split("/")[-1])


class Failing(grpc.ServerInterceptor):  # type: ignore[misc]  # untyped
    """Another interceptor, which fails for one method."""

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Raise, or pass the RPC on."""
        if details.method.endswith("intercepted"):
            raise ValueError(7)
        return continuation(details)


class AioFailing(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # untyped
    """An interceptor of asyncio's servers, which fails for one method."""

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Raise, or pass the RPC on."""
        if details.method.endswith("intercepted"):
            raise ValueError(7)
        return await continuation(details)


async def serve_aio() -> None:
    """Serve until SIGTERM."""
    interceptors = [aio_server_interceptor(), AioFailing(), aio_server_interceptor()]
    # Sentry may have replaced the function by now.
    make = make_aio_server if is_inline else grpc.aio.server
    server = make(interceptors=interceptors)
    server.add_generic_rpc_handlers((Shop(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def serve() -> None:
    """Serve until SIGTERM."""
    interceptors = [server_interceptor(), Failing(), server_interceptor()]
    make = make_server if is_inline else grpc.server
    server = make(ThreadPoolExecutor(4), interceptors=interceptors)
    server.add_generic_rpc_handlers((Shop(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    if kind == "aio":
        asyncio.run(serve_aio())
    else:
        serve()
