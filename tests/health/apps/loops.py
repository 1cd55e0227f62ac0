"""An ASGI and a WSGI application whose checks are async: two that pass, one that hangs."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio

from pantheon_obs import Health, instrument
from tests.apps import asgi_app, wsgi_app

health = Health(timeout=5, cache_ttl=0)


@health.check("sync")
def sync() -> None:
    """Pass."""


@health.check("first")
async def first() -> None:
    """Pass after a while, on asyncio and trio alike."""
    await anyio.sleep(0.01)


@health.check("second")
async def second() -> None:
    """Pass after a while, at the same time."""
    await anyio.sleep(0.01)


@health.check("hung", critical=False, timeout=0.3)
async def hung() -> None:
    """Hang."""
    await anyio.sleep_forever()


def make_asgi() -> Any:
    """Make the ASGI application."""
    return instrument(asgi_app.service, health=health)


def make_wsgi() -> Any:
    """Make the WSGI application; other code of the process runs a loop of its own meanwhile."""

    def service(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/own-loop":
            asyncio.run(asyncio.sleep(0.05))
        return wsgi_app.service(environ, start_response)

    return instrument(service, health=health)
