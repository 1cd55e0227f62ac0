"""The views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse, StreamingHttpResponse

from tests.bugsink.apps import failures

if TYPE_CHECKING:
    from django.http import HttpRequest

meeting = failures.Meeting()


class Sync:
    """What WSGI servers run."""

    @staticmethod
    def debug(request: HttpRequest) -> HttpResponse:
        """Fail unhandled."""
        failures.divide(request.body, request.headers["authorization"])
        return HttpResponse()

    @staticmethod
    def stream(request: HttpRequest) -> StreamingHttpResponse:
        """Fail in the middle of a body."""
        return StreamingHttpResponse(failures.parts())

    @staticmethod
    def meet(request: HttpRequest, name: str) -> HttpResponse:
        """Fail at the same time as others."""
        failures.meet(name)
        return HttpResponse()


class Async:
    """What ASGI servers run."""

    @staticmethod
    async def debug(request: HttpRequest) -> HttpResponse:
        """Fail unhandled."""
        failures.divide(request.body, request.headers["authorization"])
        return HttpResponse()

    @staticmethod
    async def stream(request: HttpRequest) -> StreamingHttpResponse:
        """Fail in the middle of a body."""
        return StreamingHttpResponse(failures.aparts())

    @staticmethod
    async def meet(request: HttpRequest, name: str) -> HttpResponse:
        """Fail at the same time as others."""
        await meeting.meet(name)
        return HttpResponse()


def thread(request: HttpRequest) -> HttpResponse:
    """Fail in a thread."""
    failures.in_a_thread()
    return HttpResponse()


def logged(request: HttpRequest) -> HttpResponse:
    """Log an error."""
    failures.logged(request.GET["how"], int(request.GET["order"]))
    return HttpResponse()


def handled(request: HttpRequest) -> HttpResponse:
    """Answer with an error that is none of Sentry's business."""
    return HttpResponse(status=503)


def llm(request: HttpRequest) -> HttpResponse:
    """Handle the error of an LLM call."""
    failures.llm()
    return HttpResponse()
