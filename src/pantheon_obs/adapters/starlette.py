"""Starlette and FastAPI, in place, outside everything that they add, their 500 handler included.

`add_middleware` would put us inside `ServerErrorMiddleware`, whose responses would lack the id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.adapters.asgi import TraceIdMiddleware
from pantheon_obs.core.override import own_method

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette

    from pantheon_obs.core.asgi_types import ASGIApp, ASGIWrapper
    from pantheon_obs.core.settings import Settings


def install(
    app: Starlette, settings: Settings, on_startup: Callable[[], None], within: ASGIWrapper
) -> Starlette:
    """Instrument the app object itself, before its start-up or after it."""
    build = own_method(app, "build_middleware_stack")

    def traced(stack: ASGIApp) -> ASGIApp:
        return TraceIdMiddleware(within(stack), settings, on_startup=on_startup)

    app.build_middleware_stack = _TracedBuild(build, traced)  # type: ignore[method-assign]
    if app.middleware_stack is not None:  # it has been built, and may be serving already
        app.middleware_stack = traced(app.middleware_stack)
    return app


def is_installed(app: Starlette) -> bool:
    """Whether the app object was instrumented before."""
    return isinstance(app.build_middleware_stack, _TracedBuild)


class _TracedBuild:
    """Builds the app's middleware stack with request tracing around it."""

    def __init__(self, build: Callable[[], ASGIApp], traced: ASGIWrapper) -> None:
        self._build = build
        self._traced = traced

    def __call__(self) -> ASGIApp:
        return self._traced(self._build())
