"""Sentry's middleware around plain apps changes nothing for the app and for its server."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest

from pantheon_obs import TraceIdMiddleware, init_sentry, instrument

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sinks.receiver import Receiver

sentry_sdk = pytest.importorskip("sentry_sdk")

UUID = "0b5a1e5e-3d2c-4b1a-9f8e-7d6c5b4a3f21"
TRACE = UUID.replace("-", "")
CALLER = "771a43a4192642f0b136d5159a501700"


def serve(app: Any, **headers: str) -> tuple[dict[str, Any], list[Any], BaseException | None]:
    """Call an ASGI app; return the scope, its messages and its exception."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/things",
        "query_string": b"",
        "server": ("shop.test", 80),
        "headers": [(name.replace("_", "-").encode(), headers[name].encode()) for name in headers],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        asyncio.run(app(scope, receive, send))
    except Exception as error:  # noqa: BLE001 - for the test to examine
        return scope, sent, error
    return scope, sent, None


def id_on(sent: list[Any]) -> str:
    """Return the trace id on the response."""
    value: bytes = dict(sent[0]["headers"])[b"x-trace-id"]
    return value.decode()


async def failing(_scope: Any, _receive: Any, _send: Any) -> None:
    """Raise an exception that has a cause."""
    reason = KeyError("reason")
    raise LookupError from reason


def test_an_asgi_app_gets_the_scope_object_of_the_server(receiver: Receiver) -> None:
    """Outer middleware may read it later; its headers are those that were sent."""
    seen: list[Any] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        seen.append((scope, list(scope["headers"]), sentry_sdk.get_traceparent()))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    init_sentry(sentry_dsn=receiver.dsn)
    scope, _, _ = serve(instrument(app), x_trace_id=UUID)

    [(own, headers, traceparent)] = seen
    assert own is scope
    assert [(b"x-trace-id", UUID.encode())] == headers
    assert TRACE == traceparent[:32]


def test_a_scope_without_headers_is_served(receiver: Receiver) -> None:
    """The ASGI specification lets a server leave them out."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    init_sentry(sentry_dsn=receiver.dsn)
    asyncio.run(instrument(app)({"type": "http", "method": "GET", "path": "/"}, None, send))

    assert [204] == [message["status"] for message in sent if "status" in message]


def test_an_errors_cause_stays(receiver: Receiver) -> None:
    """Sentry's middleware raises it again `from None`; the server gets the cause as well."""
    init_sentry(sentry_dsn=receiver.dsn)
    _, _, error = serve(instrument(failing))

    assert isinstance(error, LookupError)
    assert isinstance(error.__cause__, KeyError)
    receiver.wait_for(1)
    [event] = receiver.events
    assert ["KeyError", "LookupError"] == [one["type"] for one in event["exception"]["values"]]


def test_sentrys_own_middleware_around_the_app_makes_no_second_event(receiver: Receiver) -> None:
    """The application may put it inside of ours or outside."""
    from sentry_sdk.integrations.asgi import SentryAsgiMiddleware  # noqa: PLC0415 - an extra

    init_sentry(sentry_dsn=receiver.dsn)
    _, inside, _ = serve(instrument(SentryAsgiMiddleware(failing)))
    outermost: Any = SentryAsgiMiddleware(instrument(failing))
    _, outside, _ = serve(outermost)
    sentry_sdk.flush()

    tags = [event["tags"]["trace_id"] for event in receiver.events]
    assert [id_on(inside), id_on(outside)] == tags
    traces = [event["contexts"]["trace"]["trace_id"] for event in receiver.events]
    assert traces == [tag.replace("-", "") for tag in tags]


def test_an_app_that_is_called_within_a_request_has_an_id_of_its_own(receiver: Receiver) -> None:
    """It does not get the trace that Sentry has begun for the outer request."""
    ids: list[str] = []

    async def outer(_scope: Any, _receive: Any, send: Any) -> None:
        _, sent, _ = await asyncio.to_thread(serve, TraceIdMiddleware(failing))
        ids.append(id_on(sent))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    init_sentry(sentry_dsn=receiver.dsn, sentry_traces_sample_rate=1)
    _, sent, _ = serve(instrument(outer))

    assert id_on(sent) not in ids


@pytest.mark.parametrize(
    ("settings", "header", "adopted"),
    [
        ({}, f"{CALLER}-b7d6c5b4a3f21000-1", True),
        ({}, f"{CALLER}-b7d6c5b4a3f21000", True),
        ({}, CALLER, False),
        ({}, f"{CALLER.upper()}-b7d6c5b4a3f21000", False),
        ({"trust_inbound": False}, f"{CALLER}-b7d6c5b4a3f21000", False),
    ],
)
def test_a_callers_trace_becomes_the_id_if_it_is_valid_and_trusted(
    receiver: Receiver, settings: dict[str, Any], header: str, *, adopted: bool
) -> None:
    """`sentry-trace` is an inbound header like the others, and the last of them."""
    init_sentry(sentry_dsn=receiver.dsn)
    _, sent, _ = serve(instrument(failing, **settings), sentry_trace=header)

    assert adopted is (id_on(sent) == "771a43a4-1926-42f0-b136-d5159a501700")


def test_an_event_behind_a_middleware_that_was_added_by_hand_has_its_request(
    receiver: Receiver,
) -> None:
    """No integration of Sentry's stands around the application: the middleware knows the path."""
    init_sentry(sentry_dsn=receiver.dsn)

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        sentry_sdk.capture_message("seen")

    serve(TraceIdMiddleware(app))
    sentry_sdk.flush()

    assert [{"method": "GET", "url": "/things"}] == [event["request"] for event in receiver.events]


def test_an_id_generator_of_the_applications_own_comes_first(receiver: Receiver) -> None:
    """Its ids are used, whatever trace Sentry has."""
    init_sentry(sentry_dsn=receiver.dsn)
    app = instrument(failing, id_generator=lambda: "mine-1")
    _, sent, _ = serve(app, sentry_trace=f"{CALLER}-b7d6c5b4a3f21000")

    assert "mine-1" == id_on(sent)


def test_lifespan_and_an_app_that_served_before_sentry_are_not_wrapped(receiver: Receiver) -> None:
    """The first request decides once whether Sentry is on."""
    scopes: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        scopes.append(scope["type"])
        raise ZeroDivisionError

    plain: Any = instrument(app)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(plain({"type": "lifespan"}, None, None))
    serve(plain)
    init_sentry(sentry_dsn=receiver.dsn)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(plain({"type": "lifespan"}, None, None))
    serve(plain)
    sentry_sdk.flush()

    assert ["lifespan", "http"] * 2 == scopes
    assert [] == receiver.events


def call(app: Any) -> tuple[Any, dict[str, Any]]:
    """Call a WSGI app; return its response and the headers that it has sent."""
    environ: dict[str, Any] = {"HTTP_X_TRACE_ID": UUID, "wsgi.file_wrapper": FileWrapper}
    setup_testing_defaults(environ)
    started: dict[str, Any] = {}

    def start_response(_status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        started.update(headers)

    return app(environ, start_response), started


class Sized(list[bytes]):
    """A body that knows the number of its parts."""


@pytest.mark.parametrize(
    "body",
    [lambda: [b"whole"], lambda: Sized([b"whole"]), lambda: FileWrapper(BytesIO(b"whole"))],
    ids=["list", "sized", "file"],
)
def test_a_server_gets_the_applications_own_response_object(
    receiver: Receiver, body: Callable[[], Any]
) -> None:
    """It can use its length or send its file, as without Sentry."""
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        seen.append((dict(environ), sentry_sdk.get_traceparent()))
        start_response("200 OK", [])
        return body()

    without, _ = call(instrument(app))
    init_sentry(sentry_dsn=receiver.dsn)
    response, _ = call(instrument(app))

    assert type(without) is type(response)
    assert hasattr(without, "__len__") is hasattr(response, "__len__")
    assert b"whole" == b"".join(response)
    environ, traceparent = seen[1]
    assert "HTTP_SENTRY_TRACE" not in environ
    assert set(seen[0][0]) == set(environ)
    assert TRACE == traceparent[:32]
    for each in (without, response):
        each.close()


def test_a_body_that_is_made_while_it_is_read_has_its_scope(receiver: Receiver) -> None:
    """An event between two parts belongs to the request, with its method and URL."""

    def app(_environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])

        def parts() -> Any:
            yield b"one"
            sentry_sdk.capture_message("between")
            yield b"two"

        return parts()

    init_sentry(sentry_dsn=receiver.dsn)
    response, _ = call(instrument(app))
    assert [b"one", b"two"] == list(response)
    response.close()
    sentry_sdk.capture_message("after")
    receiver.wait_for(2)

    between, after = receiver.events
    assert ("GET", "http://127.0.0.1/") == (between["request"]["method"], between["request"]["url"])
    assert UUID == between["tags"]["trace_id"]
    assert "trace_id" not in after.get("tags", {})
