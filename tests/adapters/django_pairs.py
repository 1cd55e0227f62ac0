"""A program that ends Django's requests in every way, and prints the counts of a sink."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["pantheon_obs.adapters.django.TraceIdMiddleware"],
    ROOT_URLCONF=__name__,
    LOGGING_CONFIG=None,
    PANTHEON_OBS={"log_level": "CRITICAL"},  # standard output has the result alone
)

import django  # noqa: E402

django.setup()


from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.http import HttpResponse, StreamingHttpResponse  # noqa: E402
from django.test import AsyncClient, Client, RequestFactory  # noqa: E402
from django.urls import path  # noqa: E402

from pantheon_obs.adapters.django import TraceIdMiddleware  # noqa: E402
from pantheon_obs.core.context import current_trace  # noqa: E402
from tests.adapters.counting import counting  # noqa: E402
from tests.support.garbage import collect_garbage  # noqa: E402


def plain(_: Any) -> Any:
    """Answer."""
    return HttpResponse("ok")


def probe(_: Any) -> Any:
    """Make the request quiet while it runs, as Django's health endpoints do."""
    trace: Any = current_trace.get()
    trace.quiet = True
    return HttpResponse("ok")


def boom(_: Any) -> Any:
    """Fail."""
    raise LookupError


def parts() -> Iterator[bytes]:
    """Stream a body."""
    yield b"one"
    yield b"two"


def breaking() -> Iterator[bytes]:
    """Stream a body that fails."""
    yield b"one"
    raise LookupError


async def async_parts() -> AsyncIterator[bytes]:
    """Stream a body that waits in the middle."""
    yield b"one"
    await asyncio.sleep(3600)


urlpatterns = [
    path("plain", plain),
    path("probe", probe),
    path("boom", boom),
    path("stream", lambda _: StreamingHttpResponse(parts())),
    path("breaking", lambda _: StreamingHttpResponse(breaking())),
    path("endless", lambda _: StreamingHttpResponse(async_parts())),
]


def under_wsgi() -> None:
    """Serve six requests."""
    client = Client(raise_request_exception=False)
    for name in ("plain", "probe", "boom"):
        client.get(f"/{name}").close()
    list(client.get("/stream"))
    with suppress(LookupError):
        list(client.get("/breaking"))
    middleware = TraceIdMiddleware(lambda _: StreamingHttpResponse(parts()))
    dropped = middleware(RequestFactory().get("/"))
    next(iter(dropped))
    del dropped


def fails(_: Any) -> Any:
    """Interrupt the process."""
    raise KeyboardInterrupt


def without_a_response() -> None:
    """Serve three requests that have no response."""
    for view in (lambda _: None, fails, lambda _: HttpResponse("dropped")):
        with suppress(KeyboardInterrupt):
            TraceIdMiddleware(view)(RequestFactory().get("/"))


async def under_asgi() -> None:
    """Serve four requests; the client of the last one leaves in the middle."""
    client = AsyncClient(raise_request_exception=False)
    for name in ("plain", "probe", "boom"):
        (await client.get(f"/{name}")).close()
    sent = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not sent.is_set():
            sent.set()
            return {"type": "http.request", "body": b""}
        await begun.wait()
        return {"type": "http.disconnect"}

    begun = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        if message.get("body"):
            begun.set()

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/endless",
        "headers": [],
        "query_string": b"",
    }
    await ASGIHandler()({**scope, "query_string": b""}, receive, send)


for counter in counting():
    under_wsgi()
    without_a_response()
    asyncio.run(under_asgi())
    collect_garbage()
    json.dump(counter.report(), sys.stdout)
