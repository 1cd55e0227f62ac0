"""Answer `metrics_path` in front of an ASGI or WSGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.metrics.registry import page_app

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from pantheon_obs.core.asgi_types import Receive, Scope, Send


class AsgiMetrics:
    """Answers scrapes of an ASGI application."""

    def __init__(self, app: Any, path: str) -> None:  # noqa: ANN401 - an ASGI application
        self.app = app
        self._paths = {path, f"{path}/"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        app = self.app
        if scope["type"] == "http":
            path, root = scope["path"], scope.get("root_path", "")
            if (path.removeprefix(root) if root else path) in self._paths:
                app = page_app("asgi")
        await app(scope, receive, send)


class WsgiMetrics:
    """Answers scrapes of a WSGI application."""

    def __init__(self, app: Any, path: str) -> None:  # noqa: ANN401 - a WSGI application
        self.app = app
        self._paths = {path, f"{path}/"}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        app = page_app("wsgi") if environ.get("PATH_INFO", "") in self._paths else self.app
        response: Iterable[bytes] = app(environ, start_response)
        return response
