"""Measure one request through Django, sync and async, with its log event."""

from __future__ import annotations

import asyncio
import io
import os
import re
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import repeat
from time import perf_counter
from typing import TYPE_CHECKING, Any

import django
import orjson
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test.utils import override_settings
from django.urls import path

from bench.asgi import STORY
from bench.cases import Case, Contender, MisbehavedError, Target
from bench.harness import STDOUT, compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

    from bench.cases import Effort, Row

OURS = "pantheon_obs.adapters.django.TraceIdMiddleware"
BY_HAND = "bench.django_http.StoryByHand"
PEER = "django_guid.middleware.guid_middleware"
_ID = str(uuid.uuid4())
_VALID = re.compile(r"[A-Za-z0-9._:-]{1,128}").fullmatch
_HEADERS = {
    "host": "api.example.com",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "accept": "application/json, text/plain, */*",
    "authorization": "Bearer 2YotnFZFEjr1zCsicMWpAA",
    "x-trace-id": _ID,
    "correlation-id": _ID,
}
_BODY = b'{"order": 1234, "items": []}'
_OK = 200

_trace_id: ContextVar[str] = ContextVar("by_hand", default="")


def order(_request: HttpRequest, number: int) -> HttpResponse:
    """Answer from a synchronous view."""
    return HttpResponse(_BODY, content_type="application/json")


async def async_order(_request: HttpRequest, number: int) -> HttpResponse:
    """Answer from an asynchronous view."""
    return HttpResponse(_BODY, content_type="application/json")


urlpatterns = [path("orders/<int:number>", order), path("async/orders/<int:number>", async_order)]


class StoryByHand:
    """The tightest middleware that does the job, for sync and async stacks."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            self._serve: Callable[[HttpRequest], Any] = self._serve_async
        else:
            self._serve = self._serve_sync

    def __call__(self, request: HttpRequest) -> Any:  # noqa: ANN401 - a response or its coroutine
        """Serve one request."""
        return self._serve(request)

    def _serve_sync(self, request: HttpRequest) -> HttpResponse:
        started = perf_counter()
        token = _trace_id.set(_read_id(request))
        try:
            return _tell(request, self.get_response(request), started)
        finally:
            _trace_id.reset(token)

    async def _serve_async(self, request: HttpRequest) -> HttpResponse:
        started = perf_counter()
        token = _trace_id.set(_read_id(request))
        try:
            return _tell(request, await self.get_response(request), started)
        finally:
            _trace_id.reset(token)


def _read_id(request: HttpRequest) -> str:
    given = request.META.get("HTTP_X_TRACE_ID")
    return given if given and _VALID(given) else str(uuid.uuid4())


def _tell(request: HttpRequest, response: HttpResponse, started: float) -> HttpResponse:
    trace_id = _trace_id.get()
    response["X-Trace-ID"] = trace_id
    line = {
        "timestamp": datetime.now(UTC).isoformat(),
        "level": "info",
        "event": "request_finished",
        "logger": "by_hand",
        "trace_id": trace_id,
        "method": request.method,
        "path": request.path,
        "status_code": response.status_code,
        "latency_ms": round((perf_counter() - started) * 1000, 3),
        "outcome": "ok",
    }
    os.write(STDOUT, orjson.dumps(line) + b"\n")
    return response


def rows(effort: Effort) -> list[Row]:
    """Measure the whole story under both of Django's handlers."""
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["pantheon_obs.adapters.django", "django_guid"],
        PANTHEON_OBS={"log_format": "json"},
        ROOT_URLCONF="bench.django_http",
        SECRET_KEY="not a secret",  # noqa: S106 - nothing is signed
        USE_TZ=True,
        # Its own log lines for each request are not part of its job here.
        LOGGING={"version": 1, "loggers": {"django_guid": {"level": "ERROR"}}},
        DJANGO_GUID={"GUID_HEADER_NAME": "Correlation-ID", "RETURN_HEADER": True},
    )
    django.setup()
    return [
        _compare("Django WSGI, whole story", WSGIHandler, _wsgi, Target(hand=2, peer=1), effort),
        _compare("Django ASGI, whole story", ASGIHandler, _asgi, Target(hand=3), effort),
    ]


def _compare(
    work: str,
    kind: type,
    contender: Callable[[str, Any, frozenset[str]], Contender],
    target: Target,
    effort: Effort,
) -> Row:
    contenders = {}
    for name, middleware in ("bare", []), ("hand", [BY_HAND]), ("peer", [PEER]), ("ours", [OURS]):
        with override_settings(MIDDLEWARE=middleware):
            handler = kind()
        line = STORY if name in ("hand", "ours") else frozenset[str]()
        contenders[name] = contender(name, handler, line)
    return compare(Case(work, **contenders, target=target), effort)


def _wsgi(name: str, handler: WSGIHandler, line: frozenset[str]) -> Contender:
    sent: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:  # noqa: ANN401 - as PEP 3333 has it
        sent[:] = [status, dict(headers)]

    def run(pieces: int) -> None:
        for number in repeat(1234, pieces):
            environ = {
                "REQUEST_METHOD": "GET",
                "SCRIPT_NAME": "",
                "PATH_INFO": f"/orders/{number}",
                "QUERY_STRING": "expand=items",
                "SERVER_NAME": "127.0.0.1",
                "SERVER_PORT": "8000",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "wsgi.input": io.BytesIO(),
                "wsgi.url_scheme": "http",
                **{f"HTTP_{key.upper().replace('-', '_')}": _HEADERS[key] for key in _HEADERS},
            }
            response: Any = handler(environ, start_response)
            sent.append(b"".join(response))
            response.close()

    def check() -> None:
        run(1)
        status, headers, body = sent
        _check(name, int(status.split()[0]), {key.lower(): headers[key] for key in headers}, body)

    return Contender(run=run, line=line, check=check)


def _asgi(name: str, handler: ASGIHandler, line: frozenset[str]) -> Contender:
    sent: list[Any] = []
    loop = asyncio.new_event_loop()

    async def serve(pieces: int) -> None:
        for number in repeat(1234, pieces):
            sent.clear()
            scope = {
                "type": "http",
                "method": "GET",
                "scheme": "http",
                "path": f"/async/orders/{number}",
                "root_path": "",
                "query_string": b"expand=items",
                "headers": [(key.encode(), _HEADERS[key].encode()) for key in _HEADERS],
            }
            asked = False

            async def receive() -> dict[str, Any]:
                nonlocal asked
                if asked:
                    await asyncio.Event().wait()  # until Django no longer listens
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message: dict[str, Any]) -> None:
                sent.append(message)

            await handler(scope, receive, send)

    def run(pieces: int) -> None:
        loop.run_until_complete(serve(pieces))

    def check() -> None:
        run(1)
        start, body = sent[0], b"".join(message["body"] for message in sent[1:])
        headers = {key.decode().lower(): value.decode() for key, value in start["headers"]}
        _check(name, start["status"], headers, body)

    return Contender(run=run, line=line, check=check)


def _check(name: str, status: int, headers: dict[str, str], body: bytes) -> None:
    carrier = {"bare": None, "peer": "correlation-id"}.get(name, "x-trace-id")
    got = headers.get(carrier) if carrier else _ID
    # django-guid writes a UUID without its dashes.
    if status != _OK or body != _BODY or (got or "").replace("-", "") != _ID.replace("-", ""):
        msg = f"{name}: sent {status} {headers} {body!r}"
        raise MisbehavedError(msg)
