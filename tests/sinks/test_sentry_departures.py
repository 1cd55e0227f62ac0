"""A client that leaves is no Sentry event, wherever Sentry's middleware stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import init_sentry, instrument
from tests.adapters.messages import START, Server

if TYPE_CHECKING:
    from tests.sinks.receiver import Receiver

sentry_sdk = pytest.importorskip("sentry_sdk")

UPLOAD = (
    {"type": "http.request", "body": b"a part", "more_body": True},
    {"type": "http.disconnect"},
)
HTTP = {"method": "POST", "query_string": b"", "server": ("shop.test", 80)}


class ClientDisconnect(Exception):  # noqa: N818 - Starlette's name
    """Starlette's exception for a client that has gone."""


def events_of(receiver: Receiver, app: Any, **server: Any) -> list[str]:
    """Serve a request whose client leaves; list the exceptions of Sentry's events."""
    init_sentry(sentry_dsn=receiver.dsn)
    served = Server(app, *UPLOAD, **HTTP, **server)
    served.app = instrument(app)  # there and nowhere else
    served.serve()
    sentry_sdk.flush()
    return [event["exception"]["values"][-1]["type"] for event in receiver.events]


@pytest.mark.parametrize("kind", ["Starlette", "FastAPI"])
def test_an_upload_that_is_cut(receiver: Receiver, kind: str) -> None:
    """Sentry's middleware stands outside of the library's, and gets the exception after it."""
    pytest.importorskip("starlette")
    module = pytest.importorskip("fastapi" if kind == "FastAPI" else "starlette.applications")

    async def upload(request: Any) -> Any:
        await request.body()

    app = getattr(module, kind)()
    app.add_route("/", upload, methods=["POST"])

    assert [] == events_of(receiver, app)


def test_an_upload_that_is_cut_of_a_plain_app(receiver: Receiver) -> None:
    """Sentry's middleware stands inside of the library's, and gets the exception before it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] == "http.request":
            pass
        raise ClientDisconnect

    assert [] == events_of(receiver, app)


def test_a_send_that_says_that_the_client_has_gone(receiver: Receiver) -> None:
    """Since ASGI 2.4 servers raise it, and the application lets it escape."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"part", "more_body": True})

    assert [] == events_of(receiver, app, refuse=("http.response.body", OSError()))


def test_a_failure_after_the_client_has_left_is_an_event(receiver: Receiver) -> None:
    """Only exceptions that say no more than that the client has gone are dropped."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] == "http.request":
            pass
        raise LookupError

    assert ["LookupError"] == events_of(receiver, app)
