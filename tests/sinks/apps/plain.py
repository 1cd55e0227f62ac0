"""A plain ASGI callable that fails: no integration of Sentry's knows of it."""

from __future__ import annotations

from typing import Any

from pantheon_obs import instrument


async def service(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Fail unhandled."""
    raise ZeroDivisionError


app = instrument(service)
