"""The contract's service on Flask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog
from flask import Blueprint, Flask, Response, abort, redirect, request, send_from_directory
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from pantheon_obs import bind, instrument
from tests.adapters.apps import common, wsgi_app

ORIGIN = "https://front.example"

app = Flask(__name__, static_folder=None)


@app.before_request
def preflight() -> Response | None:
    """Answer as a CORS extension does."""
    if request.method == "OPTIONS" and request.headers.get("Origin") == ORIGIN:
        return Response("", headers={"Access-Control-Allow-Origin": ORIGIN})
    return None


@app.get("/ok")
@app.get("/slash/")
@app.post("/posted")
def ok(**_: Any) -> dict[str, object]:
    """Say what the context holds."""
    return common.seen()


@app.get("/sync/<key>")
def sync(key: str) -> dict[str, object]:
    """Bind from a thread."""
    bind(tenant=key)
    common.log.info("in a thread")
    return common.seen()


@app.get("/bound/<key>")
def bound(key: str) -> dict[str, object]:
    """Bind fields in both ways."""
    bind(tenant=key)
    structlog.contextvars.bind_contextvars(user=key)
    common.log.info("bound", extra={"size": 3})
    return common.seen()


@app.get("/empty")
def empty() -> Any:
    """Answer without a body."""
    return "", 204


@app.get("/redirect")
def elsewhere() -> Any:
    """Send the client elsewhere."""
    return redirect("/ok", 307)


@app.get("/handled/<int:status>")
def handled(status: int) -> None:
    """Fail with a status that the framework answers with."""
    abort(status)


@app.get("/boom")
def boom() -> None:
    """Fail unhandled."""
    raise ZeroDivisionError


@app.get("/own-header")
def own_header() -> Response:
    """Set the id's header, twice and in another spelling."""
    response = Response("{}")
    response.headers.add("X-Trace-Id", "mine")
    response.headers.add("x-trace-id", "mine-again")
    return response


@app.get("/cors")
@app.get("/cors/<key>")
def cors(key: str = "") -> Any:
    """Answer a request of another origin."""
    headers = {"Access-Control-Allow-Origin": "*"}
    if key:
        headers["Access-Control-Expose-Headers"] = "X-Other"
    return {}, 200, headers


@app.get("/stream/<key>")
@app.get("/sync-stream/<key>")
def stream(key: str) -> Response:
    """Stream from a generator."""
    return Response(common.sync_chunks(key), content_type="text/plain")


@app.get("/broken-stream")
def broken_stream() -> Response:
    """Fail in the middle of a stream."""
    return Response(wsgi_app.broken_chunks())


@app.get("/endless")
def endless() -> Response:
    """Stream until the client goes."""
    return Response(wsgi_app.endless(), content_type="text/event-stream")


@app.get("/background/<key>")
def background(key: str) -> Response:
    """Work after the response."""
    response = Response("{}")
    response.call_on_close(lambda: wsgi_app.work(key))
    return response


@app.get("/background-boom/<int:status>")
def background_boom(status: int) -> Response:
    """Fail after the response, whose status is asked for."""
    response = Response("{}", status)
    response.call_on_close(common.fail)
    return response


@app.get("/slow/<key>")
def slow(key: str) -> dict[str, object]:
    """Answer when the gate is opened."""
    common.log.info("waiting")
    common.gates[key].wait()
    return {}


@app.get("/release/<key>")
def release(key: str) -> Any:
    """Open a gate."""
    common.gates[key].open()
    return "", 204


@app.get("/open-call")
def open_call() -> dict[str, object]:
    """Return with a call in progress."""
    common.leave_a_call_open()
    return {}


@app.get("/items/<int:item_id>")
def item(item_id: int) -> dict[str, object]:
    """Take a number."""
    return common.seen()


@app.get("/static/<path>")
def static(path: str) -> Response:
    """Serve a file."""
    return send_from_directory(Path(__file__).parent, path)


things = Blueprint("things", __name__)
things.add_url_rule("/things/<thing_id>", view_func=ok)
version = Blueprint("version", __name__, url_prefix="/v1")
version.register_blueprint(things)
api = Blueprint("api", __name__, url_prefix="/api")
api.register_blueprint(version)
app.register_blueprint(api)
app.register_blueprint(things, url_prefix="/tenants/<tenant>", name="tenants")
app.register_blueprint(things, url_prefix="/plain", name="plain")
app.add_url_rule("/added", view_func=ok)

inner = Flask("inner", static_folder=None)
inner.add_url_rule("/items/<item_id>", view_func=ok)
inner.add_url_rule("/boom", view_func=boom)
instrument(inner)

app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/mounted": inner})  # type: ignore[method-assign]
instrument(app)
instrument(app)
