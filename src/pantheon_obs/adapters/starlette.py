"""Starlette and FastAPI, in place, outside everything that they add, their 500 handler included.

`add_middleware` would put us inside `ServerErrorMiddleware`, whose responses would lack the id.
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from starlette.middleware.errors import ServerErrorMiddleware

from pantheon_obs.adapters.asgi import TraceIdMiddleware

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.applications import Starlette

    from pantheon_obs.core.asgi_types import ASGIApp, ASGIWrapper, Receive, Scope, Send
    from pantheon_obs.core.settings import Settings

_BUILD = "build_middleware_stack"
_ATTRIBUTE = "_pantheon_obs_build"


def install(
    app: Starlette, settings: Settings, on_startup: Callable[[], None], within: ASGIWrapper
) -> Starlette:
    """Instrument the app object itself, before its start-up or after it."""

    def traced(stack: ASGIApp) -> _TracedStack:
        return _TracedStack(TraceIdMiddleware(within(stack), settings, on_startup=on_startup))

    build = _TracedBuild(app, traced)
    setattr(app, _ATTRIBUTE, build)
    setattr(app, _BUILD, build)
    if app.middleware_stack is not None:  # it has been built, and may be serving already
        app.middleware_stack = traced(app.middleware_stack)
    return app


def is_installed(app: Starlette) -> bool:
    """Whether the app object was instrumented before, whatever stands around it by now."""
    build = vars(app).get(_ATTRIBUTE)
    if not isinstance(build, _TracedBuild):
        return False
    # Another instrumentor that is taken off again puts back the earlier method.
    without = (build.inner(), MethodType(type(app).build_middleware_stack, app))
    return app.build_middleware_stack not in without


class _TracedBuild:
    """Builds the app's middleware stack with request tracing around it."""

    def __init__(self, app: Starlette, traced: ASGIWrapper) -> None:
        own = vars(app).get(_BUILD)
        # The reference to its class's method is weak: the app is freed with its last reference.
        self.inner: Callable[[], Any] = (
            WeakMethod(app.build_middleware_stack) if own is None else lambda: own
        )
        self._traced = traced

    def __call__(self) -> ASGIApp:
        return self._traced(self.inner()())


class _TracedStack(ServerErrorMiddleware):
    """A stack with request tracing around it, which other instrumentors take for the app's own.

    They rebuild the stack from its outermost middleware's attributes, and expect Starlette's there.
    Its answer to an error is within: the rebuilt middleware has nothing to answer.
    """

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # type: ignore[override]
        """Serve one connection."""
        return self.app(scope, receive, send)
