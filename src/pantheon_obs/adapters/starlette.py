"""Starlette and FastAPI, in place: outside everything the framework adds, its 500 handler included.

`add_middleware` would put us inside `ServerErrorMiddleware`, whose responses would lack the id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.adapters.asgi import TraceIdMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette

    from pantheon_obs.adapters.asgi import ASGIApp
    from pantheon_obs.core.settings import Settings


def install(app: Starlette, settings: Settings, on_startup: Callable[[], None]) -> Starlette:
    """Instrument the app object itself, before its start-up or after it.

    Args:
        app: A Starlette or FastAPI app.
        settings: The settings.
        on_startup: Called once, when the server starts the app's lifespan.

    Returns:
        The same object.
    """
    build = _TracedBuild(app.build_middleware_stack, settings, on_startup)
    app.build_middleware_stack = build  # type: ignore[method-assign]
    if app.middleware_stack is not None:  # it has been built, and may be serving already
        app.middleware_stack = TraceIdMiddleware(app.middleware_stack, settings)
    return app


def is_installed(app: Starlette) -> bool:
    """Whether the app object was instrumented before."""
    return isinstance(app.build_middleware_stack, _TracedBuild)


class _TracedBuild:
    """Builds the app's middleware stack with request tracing around it."""

    def __init__(
        self, build: Callable[[], ASGIApp], settings: Settings, on_startup: Callable[[], None]
    ) -> None:
        self._build = build
        self._settings = settings
        self._on_startup = on_startup

    def __call__(self) -> ASGIApp:
        return TraceIdMiddleware(self._build(), self._settings, on_startup=self._on_startup)
