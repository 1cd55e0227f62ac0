"""FastAPI, endpoints of both kinds."""

from __future__ import annotations

from fastapi import BackgroundTasks, FastAPI, Request, Response
from starlette.responses import StreamingResponse

from pantheon_obs import instrument
from tests.bugsink.apps import failures

app = FastAPI()


@app.post("/sentry-debug/")
async def debug(request: Request) -> None:
    """Fail unhandled."""
    failures.divide(await request.body(), request.headers["authorization"])


@app.get("/stream")
async def stream() -> StreamingResponse:
    """Fail in the middle of a body."""
    return StreamingResponse(failures.aparts())


@app.get("/background")
async def background(tasks: BackgroundTasks) -> None:
    """Fail after the response."""
    tasks.add_task(failures.work)


@app.get("/meet/{name}")
def meet(name: str) -> None:
    """Fail at the same time as others, in threads."""
    failures.meet(name)


@app.get("/handled")
async def handled() -> Response:
    """Answer with an error that is none of Sentry's business."""
    return Response(status_code=503)


app.get("/thread")(failures.in_a_thread)
app.get("/logged")(failures.logged)
app.get("/llm")(failures.llm)
instrument(app)
