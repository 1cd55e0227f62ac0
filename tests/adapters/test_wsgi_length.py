"""A server that has taken all of Content-Length has taken the whole body."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

import httpx
import pytest
from a2wsgi import WSGIMiddleware
from asgiref.wsgi import WsgiToAsgi

from pantheon_obs import instrument
from pantheon_obs.adapters.wsgi import TraceIdMiddleware
from tests.adapters.messages import endings
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Events = list[dict[str, Any]]
SIZE = 6


def app_of(body: Iterable[bytes], length: int | None = SIZE) -> Callable[..., Any]:
    """An application with this body."""
    headers = [] if length is None else [("Content-Length", str(length))]

    def app(_: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", headers)
        return body

    return app


def generated(*parts: bytes) -> Iterator[bytes]:
    """A body that is made part by part."""
    yield from parts


def breaking(*parts: bytes) -> Iterator[bytes]:
    """A body that fails after these parts."""
    yield from parts
    raise ConnectionError


def take(app: Any, environ: dict[str, Any]) -> None:
    """Be a server that reads all bytes and keeps nothing, as asgiref's is."""
    taken = 0
    for part in app(environ, lambda *_: len):
        taken += len(part)
        if taken == SIZE:
            break


def serve(app: Any, wanted: int, error: BaseException | None = None, *, closes: bool) -> None:
    """Be a server that reads so many bytes and no further, and may fail to send the last ones."""
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    body = TraceIdMiddleware(app)(environ, lambda *_: len)
    taken = 0
    try:
        for part in body:
            taken += len(part)
            if taken >= wanted:
                if error is not None:
                    raise error
                break
    except OSError:
        body.close()  # type: ignore[attr-defined]
        return
    if closes:
        body.close()  # type: ignore[attr-defined]
    del body
    collect_garbage()


@pytest.mark.parametrize("closes", [True, False], ids=["closed", "dropped"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda: [b"abcdef"], id="list"),
        pytest.param(lambda: [b"abc", b"def"], id="parts-of-a-list"),
        pytest.param(lambda: generated(b"abcdef"), id="made-at-once"),
        pytest.param(lambda: generated(b"a", b"bc", b"", b"def"), id="made-in-parts"),
    ],
)
def test_a_response_of_which_every_byte_was_taken_is_complete(
    events: Events, body: Callable[[], Iterable[bytes]], *, closes: bool
) -> None:
    """PEP 3333 allows a server to stop at Content-Length; some do not close the body either."""
    serve(app_of(body()), SIZE, closes=closes)

    assert [("request_finished", "ok", 200)] == endings(events)


@pytest.mark.parametrize(
    "body", [lambda: [b"abc", b"def"], lambda: generated(b"abc", b"def")], ids=["list", "made"]
)
@pytest.mark.parametrize("length", [SIZE, None, "none"], ids=["length", "without", "no-number"])
def test_a_response_that_was_not_taken_to_its_end_was_not_wanted(
    events: Events, body: Callable[[], Iterable[bytes]], length: Any
) -> None:
    """With less than Content-Length, or with no length, a server that stops has lost its client."""
    serve(app_of(body(), length), 3, closes=True)

    assert [("request_finished", "client_disconnected", 200)] == endings(events)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        pytest.param((b"abcdef",), None, id="the-only-one"),
        pytest.param((b"abc", b"def"), 200, id="the-last-one"),
        pytest.param((b"x" * 100_000,), 200, id="a-large-one"),
    ],
)
@pytest.mark.parametrize("kind", [list, iter])
def test_a_response_of_which_a_part_could_not_be_sent_was_not_received(
    events: Events, kind: Callable[[Any], Iterable[bytes]], parts: tuple[bytes, ...], status: Any
) -> None:
    """A connection that refuses the first bytes of a response was lost before it."""
    size = sum(map(len, parts))

    serve(app_of(kind(parts), size), size, BrokenPipeError(), closes=True)

    assert [("request_finished", "client_disconnected", status)] == endings(events)
    assert ["info"] == [event["level"] for event in events]


def test_an_empty_response_is_complete_without_a_byte(events: Events) -> None:
    """A Content-Length of 0 is reached before anything is read."""
    serve(app_of(generated(b""), 0), 0, closes=True)

    assert [("request_finished", "ok", 200)] == endings(events)


def test_what_was_written_counts(events: Events) -> None:
    """Bytes that went by `write`, the old way, are bytes of the body too."""

    def app(_: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(SIZE))])(b"abc")
        return generated(b"def", b"")

    serve(app, 3, closes=True)

    assert [("request_finished", "ok", 200)] == endings(events)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(lambda: [b"abcdef"], "ok", id="list"),
        pytest.param(lambda: generated(b"abcdef"), "ok", id="made"),
        pytest.param(lambda: breaking(b"abc"), "error", id="broken"),
    ],
)
def test_the_line_of_a_body_that_nobody_closes_does_not_wait_for_the_garbage_collector(
    events: Events, body: Callable[[], Iterable[bytes]], expected: str
) -> None:
    """A traceback that the application keeps has all frames below it, and the body in none."""
    kept: list[BaseException] = []

    def app(environ: Any, start_response: Any) -> Any:
        try:
            _ = 1 / 0
        except ZeroDivisionError as error:
            kept.append(error)
        return app_of(body())(environ, start_response)

    gc.disable()
    try:
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        with suppress(ConnectionError):
            take(TraceIdMiddleware(app), environ)
        found = endings(events)
    finally:
        gc.enable()

    assert [("request_finished", expected, 200)] == found
    assert 1 == len(kept)


@pytest.mark.parametrize("convert", [WsgiToAsgi, WSGIMiddleware])
def test_converters_to_asgi_complete_a_response(events: Events, convert: Any) -> None:
    """asgiref's stops at Content-Length and never closes the body."""

    async def ask() -> None:
        app = convert(instrument(app_of(generated(b"abc", b"def"))))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test"
        ) as client:
            assert b"abcdef" == (await client.get("/")).content

    asyncio.run(ask())
    collect_garbage()

    assert [("request_finished", "ok", 200)] == endings(events)
