"""A Django project with our middleware, mounted in an instrumented application of Starlette."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from asgiref.wsgi import WsgiToAsgi
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from starlette.applications import Starlette
from starlette.routing import Mount

from pantheon_obs import current_trace_id, instrument

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["pantheon_obs.adapters.django"],
    MIDDLEWARE=["pantheon_obs.adapters.django.TraceIdMiddleware"],
)


def item(_: Any, name: str) -> Any:
    """Answer with the id."""
    assert name
    return HttpResponse(current_trace_id.get())


def boom(_: Any) -> Any:
    """Fail."""
    raise ZeroDivisionError


urlpatterns = [path("items/<name>", item), path("boom", boom)]
app = instrument(Starlette(routes=[Mount("/in/{name}", WsgiToAsgi(get_wsgi_application()))]))


async def ask() -> None:
    """Send two requests; the first must have one id."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get("/in/acme/items/acme")
        assert [response.text] == response.headers.get_list("x-trace-id")
        assert 500 == (await client.get("/in/acme/boom")).status_code


if __name__ == "__main__":
    asyncio.run(ask())
