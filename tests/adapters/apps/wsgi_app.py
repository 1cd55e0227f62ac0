"""The contract's service as a plain WSGI callable: no framework between it and the server."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import structlog

from pantheon_obs import bind, instrument
from tests.adapters.apps import common

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Handler = Callable[[Any, str], Iterable[bytes]]

JSON = ("Content-Type", "application/json")
TEXT = ("Content-Type", "text/plain")
REASONS = {200: "OK", 204: "No Content", 307: "Temporary Redirect", 418: "I'm a Teapot"}


class Closing:
    """A body of one part, with work for its `close`."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.close = work

    def __iter__(self) -> Iterator[bytes]:
        """The one part."""
        return iter([b"{}"])


def answer(
    start: Any, status: int = 200, body: bytes = b"{}", headers: tuple[Any, ...] = (JSON,)
) -> list[bytes]:
    """Send a whole response."""
    start(
        f"{status} {REASONS.get(status, 'Other')}",
        [*headers, ("Content-Length", str(len(body)))] if status != 204 else [],
    )
    return [body]


def stream(start: Any, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Send a body in parts; started only when its first part is asked for."""
    start("200 OK", [TEXT])
    yield from chunks


def ok(start: Any, _key: str) -> Iterable[bytes]:
    """Say what the context holds."""
    return answer(start, body=json.dumps(common.seen()).encode())


def sync(start: Any, key: str) -> Iterable[bytes]:
    """Bind from a thread."""
    bind(tenant=key)
    common.log.info("in a thread")
    return ok(start, key)


def bound(start: Any, key: str) -> Iterable[bytes]:
    """Bind fields in both ways."""
    bind(tenant=key)
    structlog.contextvars.bind_contextvars(user=key)
    common.log.info("bound", extra={"size": 3})
    return ok(start, key)


def boom(_start: Any, key: str) -> Iterable[bytes]:
    """Fail before the response."""
    raise ZeroDivisionError(key)


def own_header(start: Any, _key: str) -> Iterable[bytes]:
    """Set the id's header, twice and in another spelling."""
    return answer(start, headers=(JSON, ("X-Trace-Id", "mine"), ("x-trace-id", "mine-again")))


def cors(start: Any, key: str) -> Iterable[bytes]:
    """Answer a request of another origin."""
    exposed = (("Access-Control-Expose-Headers", "X-Other"),) if key else ()
    return answer(start, headers=(JSON, ("Access-Control-Allow-Origin", "*"), *exposed))


def broken_chunks() -> Iterator[bytes]:
    """A stream that fails in its middle."""
    yield b"one\n"
    msg = "the stream broke"
    raise RuntimeError(msg)


def endless() -> Iterator[bytes]:
    """A stream that only its client ends."""
    for _ in itertools.count():
        yield b"data: again\n\n"
        time.sleep(0.005)


def work(key: str) -> None:
    """Background work that waits for its gate."""
    common.gates[key].wait()
    common.log.info("worked")


def background(start: Any, key: str) -> Iterable[bytes]:
    """Work after the response."""
    answer(start)
    return Closing(lambda: work(key))


def background_boom(start: Any, key: str) -> Iterable[bytes]:
    """Fail after the response, whose status is asked for."""
    answer(start, int(key))
    return Closing(common.fail)


def slow(start: Any, key: str) -> Iterable[bytes]:
    """Answer when the gate is opened."""
    common.log.info("waiting")
    common.gates[key].wait()
    return answer(start)


def release(start: Any, key: str) -> Iterable[bytes]:
    """Open a gate."""
    common.gates[key].open()
    return answer(start, 204, b"")


def open_call(start: Any, _key: str) -> Iterable[bytes]:
    """Return with a call in progress."""
    common.leave_a_call_open()
    return answer(start)


HANDLERS: dict[str, Handler] = {
    "ok": ok,
    "sync": sync,
    "bound": bound,
    "empty": lambda start, key: answer(start, 204, b""),
    "redirect": lambda start, key: answer(start, 307, b"", (("Location", "/ok"),)),
    "handled": lambda start, key: answer(start, int(key)),
    "boom": boom,
    "own-header": own_header,
    "cors": cors,
    "stream": lambda start, key: stream(start, common.sync_chunks(key)),
    "sync-stream": lambda start, key: stream(start, common.sync_chunks(key)),
    "broken-stream": lambda start, key: stream(start, broken_chunks()),
    "endless": lambda start, key: stream(start, endless()),
    "background": background,
    "background-boom": background_boom,
    "slow": slow,
    "release": release,
    "no-response": lambda start, key: [],
    "open-call": open_call,
}


def service(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Find the handler of a path: /handler/key."""
    _, name, *rest = environ["PATH_INFO"].split("/")
    handler = HANDLERS.get(name)
    if handler is None:
        return answer(start_response, 404)
    return handler(start_response, "/".join(rest))


app = instrument(service)
