"""The sample application as a plain WSGI callable: no framework between it and the server."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pantheon_obs import instrument
from tests.apps import common, neutral

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

JSON = ("Content-Type", "application/json")
TEXT = ("Content-Type", "text/plain")


class Closing:
    """A body of one part, with work for its `close`."""

    def __init__(self, body: bytes, after: tuple[Any, ...]) -> None:
        self._body = body
        self._after = after

    def __iter__(self) -> Iterator[bytes]:
        """Yield the one part."""
        return iter([self._body])

    def close(self) -> None:
        """Do the work."""
        neutral.run(neutral.finish(self._after))


def answer(
    start: Any, status: int = 200, body: bytes = b"{}", headers: tuple[Any, ...] = (JSON,)
) -> list[bytes]:
    """Send a whole response."""
    length = ("Content-Length", str(len(body)))
    start(f"{status} {HTTPStatus(status).phrase}", [*headers, length] if status != 204 else [])
    return [body]


def stream(start: Any, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Send a body in parts; started only when its first part is asked for."""
    start("200 OK", [TEXT])
    yield from parts


def length_of(environ: dict[str, Any]) -> tuple[int, ...]:
    """Return the length of the body, or nothing if the body comes in chunks."""
    is_chunked = "HTTP_TRANSFER_ENCODING" in environ
    return () if is_chunked else (int(environ.get("CONTENT_LENGTH") or 0),)


def respond(reply: neutral.Reply, start: Any) -> Iterable[bytes]:
    """Send a reply."""
    if reply.parts is not None:
        return stream(start, neutral.on_thread(reply.parts))
    body = answer(start, reply.status, reply.content, (JSON, *reply.headers))
    return Closing(body[0], reply.after) if reply.after else body


def tolerated(environ: dict[str, Any], start: Any) -> list[bytes]:
    """Answer a body that cannot be read."""
    try:
        environ["wsgi.input"].read(*length_of(environ))
    except OSError:
        return answer(start, 502)
    return answer(start)


def service(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Find the handler of a path."""
    path = environ["PATH_INFO"]
    handler, key = common.find(path)
    if handler is not None:
        query = dict(parse_qsl(environ["QUERY_STRING"]))
        headers = {"authorization": environ.get("HTTP_AUTHORIZATION", "")}
        body = environ["wsgi.input"].read(*length_of(environ))
        incoming = neutral.Incoming(key, query, headers, body)
        return respond(neutral.run(handler(incoming)), start_response)
    if path == "/tolerated":
        return tolerated(environ, start_response)
    if path == "/see":
        names = [name for name in environ if name.startswith("HTTP_")]
        return answer(start_response, body=",".join(names).encode())
    return [] if path == "/no-response" else answer(start_response, 404)


app = instrument(service, **common.OPTIONS)
