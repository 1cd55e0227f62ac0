"""One app of each kind in one process, each instrumented by itself: `/<kind>/<path>`.

Those that speak WSGI run on threads. Sentry is started by `KINDS_MODE`:
with the apps (`early`), by the server's start (`late`), or by the host after them (`host`).
"""

from __future__ import annotations

import asyncio
import os
from io import BytesIO
from threading import Thread
from typing import TYPE_CHECKING, Any

import sentry_sdk
from asgiref.wsgi import WsgiToAsgiInstance
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from flask import Flask
from litestar import Litestar, get, post
from litestar.response import Stream
from quart import Quart, Response
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.integrations.litestar import LitestarIntegration
from sentry_sdk.integrations.quart import QuartIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from pantheon_obs import bind, get_logger, instrument

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

SECRET = os.environ["KINDS_SECRET"]


def fail() -> None:
    """Fail, after it is known whose request it is."""
    bind(user_id="user-7")
    local = SECRET
    raise ZeroDivisionError(len(local))


def thread() -> None:
    """Fail in a thread that nobody gave our context to."""
    started = Thread(target=fail)
    started.start()
    started.join()


def parts() -> Iterator[bytes]:
    """Fail in the middle of a stream."""
    yield b"one"
    fail()


async def async_parts() -> AsyncIterator[bytes]:
    """Fail in the middle of a stream."""
    yield b"one"
    fail()


# A plain ASGI callable, and a plain WSGI callable.


async def asgi(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """Fail as the path says; else tell the headers."""
    if scope["path"] == "/fail":
        fail()
    if scope["path"] == "/thread":
        thread()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/stream":
        async for part in async_parts():
            await send({"type": "http.response.body", "body": part, "more_body": True})
    names = b",".join(name for name, _ in scope["headers"])
    await send({"type": "http.response.body", "body": names})


def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
    """Fail as the path says; else tell the headers."""
    if environ["PATH_INFO"] == "/fail":
        fail()
    if environ["PATH_INFO"] == "/thread":
        thread()
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/stream":
        return parts()
    return [",".join(name for name in environ if name.startswith("HTTP_")).encode()]


# Frameworks.


async def starlette_fail(_request: Request) -> None:
    """Fail."""
    fail()


async def starlette_stream(_request: Request) -> StreamingResponse:
    """Fail in the middle of a stream."""
    return StreamingResponse(async_parts())


async def starlette_thread(_request: Request) -> JSONResponse:
    """Fail in a thread."""
    thread()
    return JSONResponse({})


starlette = Starlette(
    routes=[
        Route("/fail", starlette_fail, methods=["GET", "POST", "OPTIONS"]),
        Route("/stream", starlette_stream),
        Route("/thread", starlette_thread),
        Route("/health/ready", starlette_thread),
    ]
)


@get("/fail")
async def litestar_fail() -> None:
    """Fail."""
    fail()


@post("/fail")
async def litestar_post() -> None:
    """Fail without a look at the body."""
    fail()


@get("/stream")
async def litestar_stream() -> Stream:
    """Fail in the middle of a stream."""
    return Stream(async_parts)


@get("/thread")
async def litestar_thread() -> None:
    """Fail in a thread."""
    thread()


litestar = Litestar([litestar_fail, litestar_post, litestar_stream, litestar_thread])
quart = Quart(__name__)
flask = Flask(__name__)


@quart.route("/fail", methods=["GET", "POST"])
async def quart_fail() -> None:
    """Fail."""
    fail()


@quart.get("/stream")
async def quart_stream() -> Response:
    """Fail in the middle of a stream."""
    return Response(async_parts())


@quart.get("/thread")
async def quart_thread() -> str:
    """Fail in a thread."""
    thread()
    return ""


@flask.route("/fail", methods=["GET", "POST"])
def flask_fail() -> None:
    """Fail."""
    fail()


@flask.get("/stream")
def flask_stream() -> Iterator[bytes]:
    """Fail in the middle of a stream."""
    return parts()


@flask.get("/thread")
def flask_thread() -> str:
    """Fail in a thread."""
    thread()
    return ""


def django_fail(_request: HttpRequest) -> None:
    """Fail."""
    fail()


def django_stream(_request: HttpRequest) -> StreamingHttpResponse:
    """Fail in the middle of a stream."""
    return StreamingHttpResponse(parts())


def django_thread(_request: HttpRequest) -> StreamingHttpResponse:
    """Fail in a thread."""
    thread()
    return StreamingHttpResponse([])


urlpatterns = [
    path("fail", django_fail),
    path("stream", django_stream),
    path("thread", django_thread),
]
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["pantheon_obs.adapters.django"],
    MIDDLEWARE=["pantheon_obs.adapters.django.TraceIdMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=SECRET,
)


class Threaded:
    """A WSGI app on a thread; unlike asgiref's bridge it never loses the start of a response."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], _receive: Any, send: Any) -> None:
        """Serve one request: what came before an error is sent, then it is raised."""
        bridge = WsgiToAsgiInstance(self._app)
        bridge.scope = scope
        environ = bridge.build_environ(scope, BytesIO())
        started, parts, error = await asyncio.to_thread(self._serve, environ)
        status, headers = started
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers]
        code = int(status.partition(" ")[0])
        await send({"type": "http.response.start", "status": code, "headers": pairs})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        if error is not None:
            raise error
        await send({"type": "http.response.body"})

    def _serve(self, environ: dict[str, Any]) -> tuple[Any, list[bytes], Exception | None]:
        started: list[Any] = []
        parts: list[bytes] = []

        def start_response(status: str, headers: list[Any], *_: Any) -> None:
            started.append((status, headers))

        response = self._app(environ, start_response)
        try:
            for part in response:
                parts.append(part)  # noqa: PERF402 - those before an error stay
        except Exception as error:  # noqa: BLE001 - as a server does
            return started[-1], parts, error
        finally:
            getattr(response, "close", int)()
        return started[-1], parts, None


APPS: dict[str, Any] = {
    "asgi": instrument(asgi, health=True),
    "wsgi": Threaded(instrument(wsgi)),
    "starlette": instrument(starlette),
    "litestar": instrument(litestar),
    "quart": instrument(quart),
    "flask": Threaded(instrument(flask)),
    "django-asgi": get_asgi_application(),
    "django-wsgi": Threaded(get_wsgi_application()),
    "django-wrapped": instrument(get_asgi_application()),
}

if os.environ["KINDS_MODE"] == "late":
    os.environ["SENTRY_DSN"] = os.environ["KINDS_DSN"]
if os.environ["KINDS_MODE"] == "host":
    sentry_sdk.init(
        dsn=os.environ["KINDS_DSN"],
        auto_enabling_integrations=False,  # they import all that is installed, which takes seconds
        integrations=[
            DjangoIntegration(),
            FlaskIntegration(),
            LitestarIntegration(),
            QuartIntegration(),
            StarletteIntegration(),
        ],
    )


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve the app that the path begins with."""
    if scope["type"] == "lifespan":
        for one in (APPS["django-asgi"], APPS["django-wrapped"]):
            try:
                await one(scope, receive, send)
            except ValueError:
                get_logger("kinds").debug("no_lifespan")
        for answer in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{answer}.complete"})
        return
    kind, _, rest = scope["path"].removeprefix("/").partition("/")
    if kind == "outside":
        sentry_sdk.capture_message("outside of any request")
        kind, rest = "asgi", ""
    inner = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}
    await APPS[kind](inner, receive, send)
