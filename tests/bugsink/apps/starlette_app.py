"""Starlette, on its loop alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pantheon_obs import instrument
from tests.bugsink.apps import failures

if TYPE_CHECKING:
    from starlette.requests import Request

meeting = failures.Meeting()


async def debug(request: Request) -> Response:
    """Fail unhandled."""
    failures.divide(await request.body(), request.headers["authorization"])
    return Response()


async def stream(request: Request) -> Response:
    """Fail in the middle of a body."""
    return StreamingResponse(failures.aparts())


async def background(request: Request) -> Response:
    """Fail after the response."""
    return Response(background=BackgroundTask(failures.work))


async def thread(request: Request) -> Response:
    """Fail in a thread."""
    failures.in_a_thread()
    return Response()


async def logged(request: Request) -> Response:
    """Log an error."""
    failures.logged(request.query_params["how"], int(request.query_params["order"]))
    return Response()


async def meet(request: Request) -> Response:
    """Fail at the same time as others."""
    await meeting.meet(request.path_params["name"])
    return Response()


async def handled(request: Request) -> Response:
    """Answer with an error that is none of Sentry's business."""
    return Response(status_code=503)


async def llm(request: Request) -> Response:
    """Handle the error of an LLM call."""
    failures.llm()
    return Response()


app = instrument(
    Starlette(
        routes=[
            Route("/sentry-debug/", debug, methods=["POST"]),
            Route("/stream", stream),
            Route("/background", background),
            Route("/thread", thread),
            Route("/logged", logged),
            Route("/meet/{name}", meet),
            Route("/handled", handled),
            Route("/llm", llm),
        ]
    )
)
