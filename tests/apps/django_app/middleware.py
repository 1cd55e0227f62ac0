"""Middleware of the project's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpResponse, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from django.utils.deprecation import MiddlewareMixin

from pantheon_obs.adapters.django import TraceIdMiddleware
from tests.apps import common

if TYPE_CHECKING:
    from django.http import HttpRequest


class Redirect(HttpResponsePermanentRedirect):
    """Keeps the method, as other frameworks' redirects do."""

    status_code = 308


class SlashMiddleware(CommonMiddleware):
    """Redirects to a path that ends with the missing slash."""

    response_redirect_class = Redirect


class Cors(MiddlewareMixin):
    """Answers preflight requests."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Answer, if it is one."""
        if request.method != "OPTIONS":
            return None
        return HttpResponse(headers={"Access-Control-Allow-Origin": common.ORIGIN})


class OwnTracing(TraceIdMiddleware):  # type: ignore[misc]  # it has no types where Django has none
    """The library's middleware under a name of the project's own."""


def sync_only(get_response: Any) -> Any:
    """Pass on; Django calls all others synchronously, under ASGI too, if one is sync only."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return get_response(request)

    return middleware


class Failing(MiddlewareMixin):
    """Fails before the view or after it, as the path says."""

    def process_request(self, request: HttpRequest) -> None:
        """Fail before the view."""
        if request.path == "/middleware/before":
            raise MiddlewareError

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Fail after the view."""
        if request.path == "/middleware/after":
            raise MiddlewareError
        return response


class FailingOutside(MiddlewareMixin):
    """Fails after the view, from a place before ours in the list."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Fail, where the path says so."""
        if request.path == "/ok":
            raise MiddlewareError
        return response


class MiddlewareError(Exception):
    """Raised by these."""
