"""The sample application on Flask."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, Response, abort, redirect, request, send_from_directory
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from pantheon_obs import instrument
from tests.apps import common, neutral

app = Flask(__name__, static_folder=None)


@app.before_request
def preflight() -> Response | None:
    """Answer as a CORS extension does."""
    if request.method == "OPTIONS" and request.headers.get("Origin") == common.ORIGIN:
        return Response("", headers={"Access-Control-Allow-Origin": common.ORIGIN})
    return None


def respond(reply: neutral.Reply) -> Any:
    """Answer with Flask's own responses and exceptions."""
    if reply.is_refusal:
        abort(reply.status)
    if reply.status == 307:
        return redirect("/ok", 307)
    if reply.parts is not None:
        return Response(neutral.on_thread(reply.parts), content_type="text/plain")
    if reply.is_plain and not reply.after:
        return reply.data
    response = Response(reply.content, reply.status, content_type="application/json")
    for key, value in reply.headers:
        response.headers.add(key, value)
    if reply.after:
        response.call_on_close(lambda: neutral.run(neutral.finish(reply.after)))
    return response


def view(template: str) -> Any:
    """A view function."""
    handler = common.ROUTES[template]

    def serve(key: str = "", **_: str) -> Any:
        incoming = neutral.Incoming(key, request.args, request.headers, request.get_data())
        return respond(neutral.run(handler(incoming)))

    return neutral.name(serve, template)


def route(template: str) -> None:
    """Declare a route."""
    methods = ["POST"] if template in common.POSTED else ["GET"]
    rule = f"/{neutral.angled(template)}"
    app.add_url_rule(rule, template, view(template), methods=methods)


for each in common.ROUTES:
    route(each)
ok = view("ok")
app.add_url_rule("/items/<int:item_id>", "item", ok)
app.add_url_rule("/static/<path>", view_func=lambda path: send_from_directory(common.FILES, path))


@app.post("/tolerated")
def tolerated() -> Any:
    """Answer a body that cannot be read."""
    try:
        request.get_data()
    except OSError:
        abort(502)
    return {}


neutral.add_blueprints(app, Blueprint, ok)

inner = Flask("inner", static_folder=None)
inner.add_url_rule("/items/<item_id>", view_func=ok)
inner.add_url_rule("/boom", view_func=view("boom"))
instrument(inner)

app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/mounted": inner})  # type: ignore[method-assign]
instrument(app, **common.OPTIONS)
instrument(app, **common.OPTIONS)
