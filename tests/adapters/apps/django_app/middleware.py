"""Middleware of the project's own."""

from __future__ import annotations

from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpResponse, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from django.utils.decorators import sync_and_async_middleware


class Redirect(HttpResponsePermanentRedirect):
    """Keeps the method, as other frameworks' redirects do."""

    status_code = 308


class SlashMiddleware(CommonMiddleware):
    """Redirects to where a slash is not missing."""

    response_redirect_class = Redirect


@sync_and_async_middleware
def cors(get_response: Any) -> Any:
    """Answer what browsers ask before they send a request of another origin."""

    def preflight() -> HttpResponse:
        return HttpResponse(headers={"Access-Control-Allow-Origin": "https://front.example"})

    if iscoroutinefunction(get_response):

        async def serve_async(request: Any) -> Any:
            return preflight() if request.method == "OPTIONS" else await get_response(request)

        return serve_async

    def serve(request: Any) -> Any:
        return preflight() if request.method == "OPTIONS" else get_response(request)

    return serve


@sync_and_async_middleware
def failing(get_response: Any) -> Any:
    """Fail where the path says so: before the view or after it."""

    def fail(request: Any, when: str) -> None:
        if request.path == f"/middleware/{when}":
            raise MiddlewareError(when)

    if iscoroutinefunction(get_response):

        async def serve_async(request: Any) -> Any:
            fail(request, "before")
            response = await get_response(request)
            fail(request, "after")
            return response

        return serve_async

    def serve(request: Any) -> Any:
        fail(request, "before")
        response = get_response(request)
        fail(request, "after")
        return response

    return serve


@sync_and_async_middleware
def failing_outside(get_response: Any) -> Any:
    """The same, for a place before ours in the list."""
    if iscoroutinefunction(get_response):

        async def serve_async(request: Any) -> Any:
            response = await get_response(request)
            _fail_outside(request)
            return response

        return serve_async

    def serve(request: Any) -> Any:
        response = get_response(request)
        _fail_outside(request)
        return response

    return serve


def _fail_outside(request: Any) -> None:
    if request.path == "/ok":
        raise MiddlewareError


class MiddlewareError(Exception):
    """What these raise."""
