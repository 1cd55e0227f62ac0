"""A file that is sent by a task group, plainly and behind middleware that relays the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse
from starlette.routing import Mount, Route

from pantheon_obs import instrument

if TYPE_CHECKING:
    from starlette.requests import Request


async def page(_request: Request) -> FileResponse:
    """Return this file."""
    return FileResponse(__file__)


async def pass_on(request: Request, call_next: Any) -> Any:
    """Change nothing."""
    return await call_next(request)


RELAYED = [
    Middleware(GZipMiddleware, minimum_size=1),
    Middleware(BaseHTTPMiddleware, dispatch=pass_on),
]
pages = [Route("/page", page)]
relayed = Mount("/relayed", routes=pages, middleware=RELAYED)
app: Any = instrument(Starlette(routes=[*pages, relayed]))
