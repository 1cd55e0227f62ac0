"""The views: sync ones for a WSGI server, async ones in their place for an ASGI server."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import (
    FileResponse,
    Http404,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.views import View
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from pantheon_obs import bind, llm_call
from tests.adapters.apps import common

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from django.http import HttpRequest

READ = require_http_methods(["GET", "HEAD", "OPTIONS"])


@READ
def ok(request: HttpRequest, **_parameters: str) -> HttpResponse:
    """Say what the context holds."""
    return JsonResponse(common.seen() | {"thread": threading.get_ident()})


def sync(request: HttpRequest, key: str) -> HttpResponse:
    """Bind from a sync view."""
    bind(tenant=key)
    common.log.info("in a thread")
    return JsonResponse(common.seen())


def bound(request: HttpRequest, key: str) -> HttpResponse:
    """Bind fields in both ways."""
    bind(tenant=key)
    structlog.contextvars.bind_contextvars(user=key)
    common.log.info("bound", extra={"size": 3})
    return JsonResponse(common.seen())


def empty(request: HttpRequest) -> HttpResponse:
    """Answer without a body."""
    return HttpResponse(status=204)


def redirect(request: HttpRequest) -> HttpResponse:
    """Send the client elsewhere."""
    response = HttpResponseRedirect("/ok")
    response.status_code = 307
    return response


def handled(request: HttpRequest, key: str) -> HttpResponse:
    """Answer with the status that was asked for."""
    return HttpResponse(status=int(key))


def boom(request: HttpRequest) -> HttpResponse:
    """Fail unhandled."""
    raise ZeroDivisionError


def own_header(request: HttpRequest) -> HttpResponse:
    """Set the id's header, in another spelling."""
    return JsonResponse({}, headers={"X-Trace-Id": "mine", "x-request-id": "mine"})


def cors(request: HttpRequest, key: str = "") -> HttpResponse:
    """Answer a request of another origin."""
    response = JsonResponse({}, headers={"Access-Control-Allow-Origin": "*"})
    if key:
        response["Access-Control-Expose-Headers"] = "X-Other" if key == "exposing" else key
    return response


def stream(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """Stream from a plain generator."""
    return StreamingHttpResponse(common.sync_chunks(key), content_type="text/plain")


def broken_stream(request: HttpRequest) -> StreamingHttpResponse:
    """Fail in the middle of a stream."""

    def parts() -> Iterator[bytes]:
        yield b"one\n"
        msg = "the stream broke"
        raise RuntimeError(msg)

    return StreamingHttpResponse(parts())


def endless(request: HttpRequest, key: str = "") -> StreamingHttpResponse:
    """Stream until the client goes, and say so where a key is given."""

    def parts() -> Iterator[bytes]:
        waiting = threading.Event()
        try:
            while not waiting.wait(0.005):
                yield b"data: again\n\n"
        finally:
            if key:
                common.log.info("the stream ends")

    return StreamingHttpResponse(parts(), content_type="text/event-stream")


def slow(request: HttpRequest, key: str) -> HttpResponse:
    """Answer when the gate is opened."""
    common.log.info("waiting")
    common.gates[key].wait()
    return JsonResponse({})


def release(request: HttpRequest, key: str) -> HttpResponse:
    """Open a gate."""
    common.gates[key].open()
    return HttpResponse(status=204)


def open_call(request: HttpRequest) -> HttpResponse:
    """Return with a call in progress."""
    common.leave_a_call_open()
    return JsonResponse({})


def static(request: HttpRequest, path: str) -> FileResponse:
    """Serve a file."""
    try:
        return FileResponse((settings.FILES / path).open("rb"))
    except FileNotFoundError as error:
        raise Http404 from error


class Thing(View):
    """A class view."""

    def get(self, request: HttpRequest, thing_id: str) -> HttpResponse:
        """Say what the context holds."""
        common.log.info("in a class view")
        return JsonResponse(common.seen())


def memory_file(request: HttpRequest) -> FileResponse:
    """A file that the server cannot send by itself."""
    return FileResponse(io.BytesIO(b"file " * 1000), filename="memory.txt")


def not_found(request: HttpRequest) -> HttpResponse:
    """Raise what Django answers with 404."""
    msg = "no such thing"
    raise Http404(msg)


def denied(request: HttpRequest) -> HttpResponse:
    """Raise what Django answers with 403."""
    msg = "not yours"
    raise PermissionDenied(msg)


def bad_request(request: HttpRequest) -> HttpResponse:
    """Raise what Django answers with 400."""
    msg = "a bad request"
    raise BadRequest(msg)


def suspicious(request: HttpRequest) -> HttpResponse:
    """Raise what Django answers with 400, and logs as a matter of security."""
    msg = "a suspicious operation"
    raise SuspiciousOperation(msg)


@csrf_protect
def form(request: HttpRequest) -> HttpResponse:
    """Want a token."""
    return HttpResponse()


def none(request: HttpRequest) -> None:
    """Forget to return a response."""


def lazy(request: HttpRequest, **_parameters: str) -> HttpResponse:
    """Leave the user alone."""
    return JsonResponse({})


def member(request: Any, key: str) -> HttpResponse:
    """Look at the user, as somebody who is logged in or not."""
    if key == "known":
        request.user = User(pk=42, username="alice")
        return JsonResponse({})
    return JsonResponse({"known": request.user.is_authenticated})


def own_user(request: Any) -> HttpResponse:
    """Bind a user of the project's own."""
    request.user = User(pk=42)
    bind(user_id="mine")
    return JsonResponse({})


def llm_stream(request: HttpRequest) -> StreamingHttpResponse:
    """Stream what a model says."""

    @llm_call(model="fast")
    def generate() -> Iterator[str]:
        yield "a"
        yield "b"

    return StreamingHttpResponse(generate())


class Async:
    """The views that are async under an ASGI server."""

    @staticmethod
    @READ
    async def ok(request: HttpRequest, **_parameters: str) -> HttpResponse:
        """Say what the context holds."""
        return JsonResponse(common.seen() | {"thread": threading.get_ident()})

    @staticmethod
    async def bound(request: HttpRequest, key: str) -> HttpResponse:
        """Bind fields in both ways."""
        return bound(request, key)

    @staticmethod
    async def boom(request: HttpRequest) -> HttpResponse:
        """Fail unhandled."""
        raise ZeroDivisionError

    @staticmethod
    async def stream(request: HttpRequest, key: str) -> StreamingHttpResponse:
        """Stream from an async generator."""
        return StreamingHttpResponse(common.chunks(key), content_type="text/plain")

    @staticmethod
    async def broken_stream(request: HttpRequest) -> StreamingHttpResponse:
        """Fail in the middle of a stream."""
        return StreamingHttpResponse(common.broken_chunks())

    @staticmethod
    async def endless(request: HttpRequest, key: str = "") -> StreamingHttpResponse:
        """Stream until the client goes, and say so where a key is given."""

        async def parts() -> AsyncIterator[bytes]:
            try:
                async for part in common.endless():
                    yield part
            finally:
                if key:
                    common.log.info("the stream ends")

        return StreamingHttpResponse(parts(), content_type="text/event-stream")

    @staticmethod
    async def slow(request: HttpRequest, key: str) -> HttpResponse:
        """Answer when the gate is opened."""
        common.log.info("waiting")
        await common.gates[key].arrive()
        return JsonResponse({})

    @staticmethod
    async def release(request: HttpRequest, key: str) -> HttpResponse:
        """Open a gate."""
        return release(request, key)

    @staticmethod
    async def open_call(request: HttpRequest) -> HttpResponse:
        """Return with a call in progress."""
        return open_call(request)

    class Thing(View):
        """A class view."""

        async def get(self, request: HttpRequest, thing_id: str) -> HttpResponse:
            """Say what the context holds."""
            common.log.info("in a class view")
            return JsonResponse(common.seen())

    @staticmethod
    async def member(request: Any, key: str) -> HttpResponse:
        """Look at the user, as somebody who is logged in or not."""
        if key == "known":
            request.auser = None  # what a project's own middleware may do
            request._acached_user = User(pk=42)  # noqa: SLF001 - as Django's does
            return JsonResponse({})
        return JsonResponse({"known": (await request.auser()).is_authenticated})
