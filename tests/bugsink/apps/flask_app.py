"""Flask."""

from __future__ import annotations

from flask import Flask, Response, request

from pantheon_obs import instrument
from tests.bugsink.apps import failures

app = Flask(__name__)


@app.post("/sentry-debug/")
def debug() -> str:
    """Fail unhandled."""
    failures.divide(request.get_data(), request.headers["authorization"])
    return ""


@app.get("/stream")
def stream() -> Response:
    """Fail in the middle of a body."""
    return Response(failures.parts())


@app.get("/thread")
def thread() -> str:
    """Fail in a thread."""
    failures.in_a_thread()
    return ""


@app.get("/logged")
def logged() -> str:
    """Log an error."""
    failures.logged(request.args["how"], int(request.args["order"]))
    return ""


@app.get("/meet/<name>")
def meet(name: str) -> str:
    """Fail at the same time as others."""
    failures.meet(name)
    return ""


@app.get("/handled")
def handled() -> Response:
    """Answer with an error that is none of Sentry's business."""
    return Response(status=503)


@app.get("/llm")
def llm() -> str:
    """Handle the error of an LLM call."""
    failures.llm()
    return ""


instrument(app)
