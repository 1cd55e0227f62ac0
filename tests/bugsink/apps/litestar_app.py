"""Litestar."""

from __future__ import annotations

from litestar import Litestar, Request, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.params import FromPath, FromQuery  # noqa: TC002 - Litestar reads the annotations
from litestar.response import Stream

from pantheon_obs import instrument
from tests.bugsink.apps import failures

meeting = failures.Meeting()


@post("/sentry-debug/")
async def debug(request: Request) -> None:
    """Fail unhandled."""
    failures.divide(await request.body(), request.headers["authorization"])


@get("/stream")
async def stream() -> Stream:
    """Fail in the middle of a body."""
    return Stream(failures.aparts())


@get("/background")
async def background() -> Response[None]:
    """Fail after the response."""
    return Response(None, background=BackgroundTask(failures.work))


@get("/thread")
async def thread() -> None:
    """Fail in a thread."""
    failures.in_a_thread()


@get("/logged")
async def logged(how: FromQuery[str], order: FromQuery[int]) -> None:
    """Log an error."""
    failures.logged(how, order)


@get("/meet/{name:str}")
async def meet(name: FromPath[str]) -> None:
    """Fail at the same time as others."""
    await meeting.meet(name)


@get("/handled")
async def handled() -> Response[None]:
    """Answer with an error that is none of Sentry's business."""
    return Response(None, status_code=503)


@get("/llm")
async def llm() -> None:
    """Handle the error of an LLM call."""
    failures.llm()


app = instrument(Litestar([debug, stream, background, thread, logged, meet, handled, llm]))
