"""Answer probes: `{prefix}/live` and `{prefix}/ready`, in front of an ASGI or WSGI app.

The body's media type and fields are those of
https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check-06.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from pantheon_obs.core.asgi_types import Message, Receive, Scope, Send
    from pantheon_obs.health.health import Health
    from pantheon_obs.health.report import Report

_ALIVE = b'{"status": "pass"}'
_NOT_ALLOWED = b'{"status": "fail"}'
_JSON = ("content-type", "application/health+json")
_NO_STORE = ("cache-control", "no-store")


class Answer(NamedTuple):
    """A response to a probe; HEAD gets the same headers without the body."""

    status: HTTPStatus
    headers: list[tuple[str, str]]
    body: bytes

    @classmethod
    def of(cls, status: HTTPStatus, body: bytes, *headers: tuple[str, str]) -> Answer:
        """Make an answer with the headers that all answers have, and its own."""
        length = ("content-length", f"{len(body)}")
        return cls(status, [_JSON, _NO_STORE, length, *headers], body)

    def body_for(self, method: str | None) -> bytes:
        """Return the body; it is empty for HEAD."""
        return b"" if method == "HEAD" else self.body


def at_once(name: str, method: str | None) -> Answer | None:
    """Make an answer that needs no check; None for readiness, which needs a report.

    Args:
        name: `live` or `ready`.
        method: The request's method.
    """
    if method not in {"GET", "HEAD"}:
        return Answer.of(HTTPStatus.METHOD_NOT_ALLOWED, _NOT_ALLOWED, ("allow", "GET, HEAD"))
    return Answer.of(HTTPStatus.OK, _ALIVE) if name == "live" else None


def of_report(report: Report, *, details: bool) -> Answer:
    """Make the answer for a report."""
    failing = report.status == "fail"
    status = HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK
    return Answer.of(status, json.dumps(report.as_dict(details=details)).encode())


class _Endpoints:
    """The endpoints in front of an app; other requests pass unchanged.

    Args:
        app: The app.
        health: The checks.
        prefix: Path in front of `/live` and `/ready`, without a slash at its end.
    """

    def __init__(self, app: Any, health: Health, prefix: str) -> None:
        self.app = app
        self._health = health
        self._paths = {
            f"{prefix}/{name}{end}": name for name in ("live", "ready") for end in ("", "/")
        }


class AsgiHealth(_Endpoints):
    """Answers probes of an ASGI app; the end of the server's lifespan drains."""

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
            receive = self._draining_at_shutdown(receive)
        await self.app(scope, receive, send)

    async def _answer(self, name: str, method: str, send: Send) -> None:
        answer = at_once(name, method)
        if answer is None:
            answer = of_report(await self._health.areport(), details=self._health.details)
        headers = [(name.encode(), value.encode()) for name, value in answer.headers]
        start = {"type": "http.response.start", "status": int(answer.status), "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": answer.body_for(method)})

    def _draining_at_shutdown(self, receive: Receive) -> Receive:
        async def draining_receive() -> Message:
            message = await receive()
            # Another message begins another lifespan of the same app, which is ready again.
            self._health.draining = message["type"] == "lifespan.shutdown"
            return message

        return draining_receive


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
            answer = of_report(self._health.report(), details=self._health.details)
        start_response(f"{answer.status.value} {answer.status.phrase}", answer.headers)
        return [answer.body_for(method)]
