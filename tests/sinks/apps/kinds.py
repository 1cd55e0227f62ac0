"""All sample applications in one process, each instrumented by itself: `/<adapter>/<path>`.

`KINDS_ASGI` and `KINDS_WSGI` name them; those of WSGI run on threads. `KINDS_MODE` says who starts
Sentry: the first application (`early`), the server's start (`late`), or this module itself after
all of them (`host`).
"""

from __future__ import annotations

import asyncio
import json
import os
from importlib import import_module
from io import BytesIO
from typing import Any

import sentry_sdk
from asgiref.wsgi import WsgiToAsgiInstance
from django.core.asgi import get_asgi_application
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.fastapi import FastApiIntegration
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.integrations.litestar import LitestarIntegration
from sentry_sdk.integrations.quart import QuartIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration

from pantheon_obs import get_logger, instrument
from tests.apps import asgi_app

os.environ["DJANGO_APP_IS_ASYNC"] = ""  # one set of views serves both protocols here


class Threaded:
    """A WSGI app on a thread; unlike asgiref's bridge it never loses the start of a response."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], _receive: Any, send: Any) -> None:
        """Serve one request: send all that came before an error, then raise it."""
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


def load(path: str) -> Any:
    """Import an application, `module:attribute`."""
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)


APPS: dict[str, Any] = {
    **{name: load(path) for name, path in json.loads(os.environ["KINDS_ASGI"]).items()},
    **{name: Threaded(load(path)) for name, path in json.loads(os.environ["KINDS_WSGI"]).items()},
    "asgi": instrument(asgi_app.service, health=True),
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
            FastApiIntegration(),
            FlaskIntegration(),
            LitestarIntegration(),
            QuartIntegration(),
            StarletteIntegration(),
        ],
    )


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve the application that the path begins with."""
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
