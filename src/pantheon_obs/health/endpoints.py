"""Answer probes: `{prefix}/live` and `{prefix}/ready`, in front of an ASGI or WSGI app.

The body's media type and fields are those of
https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check-06.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from pantheon_obs.health.lifespans import Lifespans
from pantheon_obs.health.results import Report

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from pantheon_obs.core.asgi_types import Message, Receive, Scope, Send
    from pantheon_obs.health.health import Health

_ALIVE = b'{"status": "pass"}'
_NOT_ALLOWED = b'{"status": "fail"}'
_JSON = ("content-type", "application/health+json")
_NO_STORE = ("cache-control", "no-store")


class Answer(NamedTuple):
    """A response to a probe."""

    status: HTTPStatus
    headers: list[tuple[str, str]]
    body: bytes

    @classmethod
    def of(
        cls, method: str | None, status: HTTPStatus, body: bytes, *own: tuple[str, str]
    ) -> Answer:
        """Make an answer with the headers that all have; HEAD gets them without the body."""
        headers = [_JSON, _NO_STORE, ("content-length", f"{len(body)}"), *own]
        return cls(status, headers, b"" if method == "HEAD" else body)


def at_once(name: str, method: str | None) -> Answer | None:
    """Answer without a check; None for a probe of readiness, which needs a report."""
    if method not in {"GET", "HEAD"}:
        allow = ("allow", "GET, HEAD")
        return Answer.of(method, HTTPStatus.METHOD_NOT_ALLOWED, _NOT_ALLOWED, allow)
    return Answer.of(method, HTTPStatus.OK, _ALIVE) if name == "live" else None


def of_report(method: str | None, report: Report, *, details: bool) -> Answer:
    """Answer a probe of readiness."""
    failing = report.status == "fail"
    status = HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK
    return Answer.of(method, status, json.dumps(report.as_dict(details=details)).encode())


class _Endpoints:
    """The endpoints in front of an app, below a prefix; other requests pass unchanged."""

    def __init__(self, app: Any, health: Health, prefix: str) -> None:
        self.app = app
        self._health = health
        self._paths = {
            f"{prefix}/{name}{end}": name for name in ("live", "ready") for end in ("", "/")
        }


class AsgiHealth(_Endpoints):
    """Answers probes of an ASGI app; the end of the app's lifespan drains.

    Args:
        app: The app.
        health: The checks, which other apps may share.
        prefix: The path above the endpoints.
        lifespan: The task of the app's lifespan, if that runs already.
    """

    def __init__(
        self, app: Any, health: Health, prefix: str, lifespan: asyncio.Task[Any] | None = None
    ) -> None:
        super().__init__(app, health, prefix)
        self._lifespans = Lifespans()  # of this app
        if lifespan is not None and not lifespan.done():
            self._begin(lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the ASGI protocol."""
        kind = scope["type"]
        if kind == "http":
            path = scope["path"]
            root = scope.get("root_path", "")
            name = self._paths.get(path.removeprefix(root) if root else path)
            if name is not None:
                await self._answer(name, scope["method"], send)
                return
        elif kind == "lifespan":
            await self._live(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _answer(self, name: str, method: str, send: Send) -> None:
        answer = at_once(name, method)
        if answer is None:
            if self._health.drained or self._lifespans.over:
                report = Report(draining=True)
            else:
                report = await self._health.arun_checks()
            answer = of_report(method, report, details=self._health.details)
        headers = [(name.encode(), value.encode()) for name, value in answer.headers]
        status = int(answer.status)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a lifespan on, and count it from its beginning to its end."""
        running = False

        async def noticing_receive() -> Message:
            nonlocal running
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._begin()
                running = True
            elif running:
                self._end(shutdown=True)
                running = False
            return message

        try:
            await self.app(scope, noticing_receive, send)
        finally:
            if running:
                self._end(shutdown=False)  # the app has no lifespan, and is served all the same

    def _begin(self, task: asyncio.Task[Any] | None = None) -> None:
        if not self._health.lifespans.running:
            self._health.drained = False  # the service starts anew
        for lifespans in (self._lifespans, self._health.lifespans):
            lifespans.begin(task)

    def _end(self, *, shutdown: bool) -> None:
        for lifespans in (self._lifespans, self._health.lifespans):
            lifespans.end(shutdown=shutdown)


class WsgiHealth(_Endpoints):
    """Answers probes of a WSGI app."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request of PEP 3333."""
        name = self._paths.get(environ.get("PATH_INFO", ""))
        if name is None:
            response: Iterable[bytes] = self.app(environ, start_response)
            return response
        method = environ["REQUEST_METHOD"]
        answer = at_once(name, method)
        if answer is None:
            drained = self._health.drained  # an ASGI app's lifespan is not this app's
            report = Report(draining=True) if drained else self._health.run_checks()
            answer = of_report(method, report, details=self._health.details)
        start_response(f"{answer.status.value} {answer.status.phrase}", answer.headers)
        return [answer.body]
