"""Quart."""

from __future__ import annotations

from quart import Quart, Response, request

from pantheon_obs import instrument
from tests.bugsink.apps import failures

app = Quart(__name__)
meeting = failures.Meeting()


@app.post("/sentry-debug/")
async def debug() -> str:
    """Fail unhandled."""
    failures.divide(await request.get_data(), request.headers["authorization"])
    return ""


@app.get("/stream")
async def stream() -> Response:
    """Fail in the middle of a body."""
    return Response(failures.aparts())


@app.get("/background")
async def background() -> str:
    """Fail after the response."""

    async def work() -> None:
        failures.work()

    app.add_background_task(work)
    return ""


@app.get("/thread")
async def thread() -> str:
    """Fail in a thread."""
    failures.in_a_thread()
    return ""


@app.get("/logged")
async def logged() -> str:
    """Log an error."""
    failures.logged(request.args["how"], int(request.args["order"]))
    return ""


@app.get("/meet/<name>")
async def meet(name: str) -> str:
    """Fail at the same time as others."""
    await meeting.meet(name)
    return ""


@app.get("/handled")
async def handled() -> Response:
    """Answer with an error that is none of Sentry's business."""
    return Response(status=503)


@app.get("/llm")
async def llm() -> str:
    """Handle the error of an LLM call."""
    failures.llm()
    return ""


instrument(app)
