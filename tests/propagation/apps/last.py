"""A Starlette service that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Route

from pantheon_obs import instrument

if TYPE_CHECKING:
    from starlette.requests import Request


async def fail(request: Request) -> None:
    """Fail."""
    raise ZeroDivisionError


app = instrument(Starlette(routes=[Route("/fail", fail)]))
