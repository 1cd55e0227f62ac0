"""The views: sync ones, and under an ASGI server async ones in the place of most."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import FileResponse, Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import ResponseHeaders
from django.views import View
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from pantheon_obs import bind, llm_call
from tests.apps import common, neutral

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest

IS_ASYNC = bool(os.environ.get("DJANGO_APP_IS_ASYNC"))
# These stay sync under an ASGI server, for a project may mix both kinds.
SYNC = {*common.SYNC, "sync-stream/{key}", "handled/{key}", "own-header", "cors", "cors/{key}"} | {
    *("empty", "redirect", "posted", "thread", "carried", "logged", "llm")
}


def respond(reply: neutral.Reply, *, is_async: bool) -> Any:
    """Answer with Django's own responses."""
    if reply.parts is not None:
        parts = reply.parts if is_async else neutral.on_thread(reply.parts)
        return StreamingHttpResponse(parts, content_type="text/plain")
    return HttpResponse(
        b"" if reply.is_refusal else reply.content,
        status=reply.status,
        headers=dict(reply.headers),
        content_type="application/json",
    )


def view(template: str) -> Any:
    """The view of a route that all frameworks have."""
    handler = common.ROUTES[template]
    methods = ["POST"] if template in common.POSTED else ["GET", "HEAD", "OPTIONS"]

    def incoming(request: HttpRequest, key: str) -> neutral.Incoming:
        return neutral.Incoming(key, request.GET, request.headers, request.body)

    def serve(request: HttpRequest, key: str = "", **_: str) -> Any:
        return respond(neutral.run(handler(incoming(request, key))), is_async=False)

    async def serve_async(request: HttpRequest, key: str = "", **_: str) -> Any:
        return respond(await handler(incoming(request, key)), is_async=True)

    found = serve_async if IS_ASYNC and template not in SYNC else serve
    return login_not_required(require_http_methods(methods)(neutral.name(found, template)))


def static(request: HttpRequest, path: str) -> FileResponse:
    """Serve a file."""
    try:
        return FileResponse((common.FILES / path).open("rb"))
    except FileNotFoundError as error:
        raise Http404 from error


class Thing(View):
    """A view as a class."""

    def get(self, request: HttpRequest, thing_id: str) -> HttpResponse:
        """Answer with the context."""
        common.log.info("in a class view")
        return JsonResponse(neutral.seen())


class AsyncThing(View):
    """A class view for an ASGI server."""

    async def get(self, request: HttpRequest, thing_id: str) -> HttpResponse:
        """Answer with the context."""
        common.log.info("in a class view")
        return JsonResponse(neutral.seen())


def memory_file(request: HttpRequest) -> FileResponse:
    """Send a file that the server cannot send by itself."""
    return FileResponse(io.BytesIO(b"file " * 1000), filename="memory.txt")


class OwnHeaders(ResponseHeaders):  # type: ignore[misc]  # Django has no types
    """A project's class of headers, which may have several `Link`."""

    links = ("</a>", "</b>")

    def __setitem__(self, name: str, value: str) -> None:
        """Set a header in place of all of its name."""
        if name == "Link":
            self.links = (value,)
        else:
            super().__setitem__(name, value)

    def items(self) -> list[tuple[str, str]]:
        """List the headers, each `Link` of its own."""
        return [*super().items(), *(("Link", link) for link in self.links)]


def own_headers(request: HttpRequest) -> HttpResponse:
    """Answer a request of another origin, with headers of a class that Django does not know."""
    response = HttpResponse()
    response.headers = OwnHeaders({"Access-Control-Allow-Origin": "*", "x-trace-id": "mine"})
    return response


def not_found(request: HttpRequest) -> HttpResponse:
    """Raise an exception that Django answers with 404."""
    msg = "no such thing"
    raise Http404(msg)


def denied(request: HttpRequest) -> HttpResponse:
    """Raise an exception that Django answers with 403."""
    msg = "not yours"
    raise PermissionDenied(msg)


def bad_request(request: HttpRequest) -> HttpResponse:
    """Raise an exception that Django answers with 400."""
    msg = "a bad request"
    raise BadRequest(msg)


def suspicious(request: HttpRequest) -> HttpResponse:
    """Raise an exception that Django answers with 400, and logs as a matter of security."""
    msg = "a suspicious operation"
    raise SuspiciousOperation(msg)


@csrf_protect
def form(request: HttpRequest) -> HttpResponse:
    """Require a CSRF token."""
    return HttpResponse()


def none(request: HttpRequest) -> None:
    """Forget to return a response."""


def lazy(request: HttpRequest, **_parameters: str) -> HttpResponse:
    """Leave the user alone."""
    return JsonResponse({})


@llm_call(model="fast")
def ask() -> str:
    """Call a model."""
    return "Paris."


def member(request: Any, key: str) -> HttpResponse:
    """Look at the user, who is logged in or not; `asks` calls a model then."""
    if key != "unknown":
        request.user = User(pk=42, username="alice")
        return JsonResponse({"answer": ask() if key == "asks" else None})
    return JsonResponse({"known": request.user.is_authenticated})


async def async_member(request: Any, key: str) -> HttpResponse:
    """Look at the user, who is logged in or not; `asks` calls a model then."""
    if key != "unknown":
        request.auser = None  # a project's own middleware may do so
        request._acached_user = User(pk=42)  # noqa: SLF001 - as Django's does
        return JsonResponse({"answer": ask() if key == "asks" else None})
    return JsonResponse({"known": (await request.auser()).is_authenticated})


def own_user(request: Any) -> HttpResponse:
    """Bind a user of the project's own."""
    request.user = User(pk=42)
    bind(user_id="mine")
    return JsonResponse({})


def llm_stream(request: HttpRequest) -> StreamingHttpResponse:
    """Stream the chunks of an LLM call."""

    @llm_call(model="fast")
    def generate() -> Iterator[str]:
        yield "a"
        yield "b"

    return StreamingHttpResponse(generate())


@login_not_required
def tolerated(request: HttpRequest) -> Any:
    """Answer a body that cannot be read; Django would log a 5xx."""
    try:
        return HttpResponse(request.body)
    except OSError:
        return HttpResponse(b"unread")
