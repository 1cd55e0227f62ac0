"""The route is a template: however many paths there are, the routes are as many as were written."""

from __future__ import annotations

import asyncio
import random
import re
import string
from collections.abc import Callable
from typing import Any
from wsgiref.util import shift_path_info

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from flask import Blueprint as FlaskBlueprint
from flask import Flask, request
from litestar import Litestar, asgi, get
from quart import Blueprint, Quart
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Match, Mount, Route, Router

from pantheon_obs import instrument

Events = list[dict[str, Any]]
PATHS = 200
LETTERS = string.ascii_lowercase + "é{}<>$^"


class Passing:
    """A middleware of an application, in front of the mounted application."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass everything on, in a copy of the scope."""
        await self.app(dict(scope), receive, send)


def ask(app: Any, *paths: str) -> None:
    """Send requests to an ASGI application."""

    async def send() -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for path in paths:
                await client.get(path)

    asyncio.run(send())


def ask_wsgi(app: Any, *paths: str) -> None:
    """Send requests to a WSGI application."""
    with httpx.Client(
        transport=httpx.WSGITransport(app, raise_app_exceptions=False), base_url="http://test"
    ) as client:
        for path in paths:
            client.get(path)


def routes(events: Events) -> dict[str, str | None]:
    """Return the routes of all requests by their paths."""
    return {
        event["path"]: event.get("route")
        for event in events
        if event["event"] == "request_finished"
    }


def ok(_: Any) -> PlainTextResponse:
    """Answer."""
    return PlainTextResponse("ok")


def starlette_app() -> Any:
    """Mounts in mounts, with the same name of a parameter again and again."""

    def within() -> Starlette:
        return Starlette(
            routes=[
                Route("/deep/{org_id}", ok),
                Route("/same/{org}", ok),
                Mount("/{org}", routes=[Route("/{org}", ok)]),
            ]
        )

    return Starlette(
        routes=[
            Mount("/org/{org}", within()),
            Mount("/passing/{org}", Passing(within())),
            Mount("/own/{org}", Passing(instrument(within()))),
            Host("{org}.other", Router([Route("/{path:path}", ok)])),
            Mount("", routes=[Route("/last/{org}", ok)]),
        ]
    )


def fastapi_app() -> Any:
    """Routers in routers and mounts in both."""

    def answer() -> str:
        return "ok"

    def within() -> FastAPI:
        router = APIRouter(prefix="/same/{tenant}")
        router.get("/{org_id}")(answer)
        app = FastAPI()
        app.get("/deep/{org_id}")(answer)
        app.include_router(router, prefix="/v1")
        app.mount("/mounted", starlette_app())
        return app

    outer = FastAPI()
    outer.mount("/org/{org}", within())
    outer.include_router(within().router, prefix="/included/{org}")
    return outer


def litestar_app() -> Any:
    """An application with another one mounted, in the same scope and in a copy of it."""

    @get("/items/{org:str}/{org_id:str}")
    async def item() -> str:
        return "ok"

    inner = instrument(Litestar([item]))

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)

    copied = asgi("/copied", is_mount=True, copy_scope=True)(serve)
    shared = asgi("/shared", is_mount=True, copy_scope=False)(serve)
    return Litestar([item, copied, shared], openapi_config=None)


def quart_app() -> Any:
    """Blueprints with parameters, behind a dispatcher that mounts by a name in the data."""

    async def answer(**_: str) -> str:
        return "ok"

    things = Blueprint("things", __name__, url_prefix="/org/<org>")
    things.add_url_rule("/<org_id>", view_func=answer)
    app = Quart(__name__, static_folder=None)
    app.add_url_rule("/<org>", view_func=answer)
    app.register_blueprint(things)
    instrument(app)

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"].split("/")[1]
        await app({**scope, "root_path": f"{scope['root_path']}/{name}"}, receive, send)

    return dispatch


def flask_app() -> Any:
    """Blueprints with parameters, behind a dispatcher that mounts by a name in the data."""
    things = FlaskBlueprint("things", __name__, url_prefix="/org/<org>")
    things.add_url_rule("/<org_id>", view_func=lambda **_: "ok")
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/<org>", view_func=lambda **_: "ok")
    app.register_blueprint(things)
    instrument(app)

    def dispatch(environ: Any, start_response: Any) -> Any:
        shift_path_info(environ)
        return app(environ, start_response)

    return dispatch


WITHIN = ("/deep/{org_id}", "/same/{org}", "/{org}/{org}")
OF_STARLETTE = {f"/{mount}/{{org}}{rest}" for mount in ("org", "passing", "own") for rest in WITHIN}
OF_FASTAPI = {
    f"{prefix}/{{org}}{rest}"
    for prefix in ("/org", "/included")
    for rest in (
        "/deep/{org_id}",
        "/v1/same/{tenant}/{org_id}",
        *(f"/mounted{route}" for route in OF_STARLETTE),
    )
}
DISPATCHED = {"/{mount}/<org>", "/{mount}/org/<org>/<org_id>"}
FRAMEWORKS = {
    "starlette": (starlette_app, OF_STARLETTE | {"/last/{org}"}),
    "fastapi": (fastapi_app, OF_FASTAPI),
    "litestar": (
        litestar_app,
        {f"{mount}/items/{{org}}/{{org_id}}" for mount in ("", "/copied", "/shared")},
    ),
    "quart": (quart_app, DISPATCHED),
    "flask": (flask_app, DISPATCHED),
}
Case = tuple[Callable[[], Any], set[str]]


@pytest.mark.parametrize("framework", FRAMEWORKS.values(), ids=FRAMEWORKS)
def test_any_number_of_paths_have_the_routes_that_were_written(
    events: Events, framework: Case
) -> None:
    """No name in a path gets into a route, whatever it looks like and however often it occurs."""
    build, expected = framework
    forms = [re.sub(r"{\w+}|<\w+>", "{}", route) for route in sorted(expected)]
    some = random.Random(7)  # noqa: S311 - the same paths in each run

    def word() -> str:
        # Some names occur within others, in the path's fixed parts, and twice in one path.
        if some.random() < 0.3:
            return some.choice(["org", "deep", "same", "v1", "items", "o", "acme"])
        return "".join(some.choices(LETTERS, k=some.randint(1, 5)))

    def path() -> str:
        form = some.choice(forms)
        words = [word() for _ in range(form.count("{}"))]
        return form.format(*(words[:1] * len(words) if some.random() < 0.3 else words))

    app = build()
    (ask_wsgi if build is flask_app else ask)(instrument(app), *(path() for _ in range(PATHS)))

    found = routes(events)
    assert len(found) > len(expected)
    assert expected >= set(found.values())
    assert [] == [event for event in events if event["event"] == "telemetry_failed"]


def test_a_router_that_reads_any_part_of_the_scope_is_asked_again(events: Events) -> None:
    """A route's own condition sees the scope itself when a request came through a mount."""

    class Versioned(Route):
        def matches(self, scope: Any) -> Any:
            wanted = b"v=2" in scope["query_string"] and scope["state"] == {} and scope["client"]
            return super().matches(scope) if wanted else (Match.NONE, {})

    class Version(Passing):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            scope["state"] = {}
            await self.app(scope, receive, send)

    inner = Starlette(routes=[Versioned("/orders/{number}", ok), Route("/orders/{old}", ok)])
    app = instrument(Starlette(routes=[Mount("/{tenant}", Version(inner))]))
    ask(app, "/acme/orders/1", "/acme/orders/2?v=2")

    assert ["/{tenant}/orders/{old}", "/{tenant}/orders/{number}"] == list(routes(events).values())


def test_a_wrapped_application_is_a_mounts_rest_unless_a_route_has_answered(
    events: Events,
) -> None:
    """A mount of an unknown application has the rest of the path as its template."""

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        missing = scope["path"].endswith("nowhere")
        await Response(status_code=404 if missing else 200)(scope, receive, send)

    inner = Starlette(routes=[Mount("/b/{name}", routes=[Route("/{item}", ok)])])

    async def hidden(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)

    app = Starlette(routes=[Mount("/plain/{name}", plain), Mount("/hidden/{name}", hidden)])
    ask(instrument(app), "/plain/acme/a/b", "/plain/acme/nowhere", "/hidden/acme/b/acme/acme")

    assert {
        "/plain/acme/a/b": "/plain/{name}/{path}",
        "/plain/acme/nowhere": None,
        # The second mount is out of sight, so its path is not taken as fixed.
        "/hidden/acme/b/acme/acme": "/hidden/{name}/{mount}/{item}",
    } == routes(events)


def test_an_application_that_asks_itself_has_the_route_of_the_path_it_was_asked_for(
    events: Events,
) -> None:
    """A request that an endpoint answers by way of another path keeps its own path and route."""

    async def batch(request: Any) -> PlainTextResponse:
        async def send(_: Any) -> None:
            """Keep the answer."""

        await request.app({**request.scope, "path": "/items/3"}, request.receive, send)
        return PlainTextResponse("ok")

    app = instrument(Starlette(routes=[Route("/batch/{size}", batch), Route("/items/{item}", ok)]))

    async def alias(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "path": "/items/7"}, receive, send)

    ask(app, "/batch/2")
    ask(instrument(alias), "/seven")

    # Where the outer application has no routes, the inner one's is the only one.
    assert {"/batch/2": "/batch/{size}", "/seven": "/items/{item}"} == routes(events)


def test_a_flask_application_that_asks_itself_keeps_its_route(events: Events) -> None:
    """An environ that was copied for another path does not replace the request's own."""
    app = Flask(__name__)

    @app.get("/batch/<size>")
    def batch(size: str) -> str:
        b"".join(app({**request.environ, "PATH_INFO": "/items/3"}, lambda *_: None))  # type: ignore[arg-type, return-value]
        return size

    app.add_url_rule("/items/<item>", view_func=lambda item: item)
    instrument(app)

    def alias(environ: Any, start_response: Any) -> Any:
        return app({**environ, "PATH_INFO": "/items/7"}, start_response)

    def copying(environ: Any, start_response: Any) -> Any:
        return app(dict(environ), start_response)

    ask_wsgi(app, "/batch/2")
    ask_wsgi(instrument(alias), "/seven")
    ask_wsgi(instrument(copying), "/items/4")

    assert {
        "/batch/2": "/batch/<size>",
        "/seven": "/items/<item>",
        "/items/4": "/items/<item>",
    } == routes(events)


PREFIX = "/global"


def rest_of(scope: Any) -> Any:
    """The path below the mounts so far."""
    return scope["path"].removeprefix(scope["root_path"])


def by_name(inner: Any) -> Any:
    """A function that knows its mounts by constants and by a variable of its module."""

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        for prefix in (PREFIX, "/constant", "/with/two"):
            if rest_of(scope).startswith(prefix):
                await inner({**scope, "root_path": scope["root_path"] + prefix}, receive, send)
                return

    return dispatch


class Table:
    """A dispatcher with a table of mounts, as frameworks' own have, behind another object."""

    __slots__ = ("__weakref__", "mounts", "single")

    def __init__(self, inner: Any) -> None:
        self.single = "/attribute"
        self.mounts = {"/table": inner, "/with/two": inner}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Mount by the first parts of the path."""
        for prefix in (self.single, *self.mounts):
            if rest_of(scope).startswith(prefix):
                inner = self.mounts["/table"]
                await inner({**scope, "root_path": scope["root_path"] + prefix}, receive, send)

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        """Be an application as a method."""
        await self(scope, receive, send)


@pytest.mark.parametrize(
    ("dispatcher", "prefixes"),
    [
        pytest.param(by_name, ["/global", "/constant", "/with/two"], id="constants"),
        pytest.param(Table, ["/attribute", "/table", "/with/two"], id="table"),
        pytest.param(lambda inner: Table(inner).serve, ["/attribute", "/table"], id="method"),
        pytest.param(lambda inner: Passing(by_name(inner)), ["/global"], id="behind-another"),
        pytest.param(lambda inner: by_name(Table(inner)), ["/constant/table"], id="nested"),
    ],
)
def test_a_path_that_stands_in_the_dispatcher_stands_in_the_route(
    events: Events, dispatcher: Any, prefixes: list[str]
) -> None:
    """A mount that the application has fixed is no part of the data."""
    inner = instrument(Starlette(routes=[Route("/items/{item}", ok)]))
    app = instrument(dispatcher(inner))
    ask(app, *(f"{prefix}/items/3" for prefix in prefixes))

    assert [f"{prefix}/items/{{item}}" for prefix in prefixes] == list(routes(events).values())


def test_a_wrong_method_below_a_mount_has_the_template(events: Events) -> None:
    """A 405 has matched its path; a route with the right method comes first."""
    inner = [Route("/{a}/x", ok, methods=["POST"]), Route("/{b}/y", ok)]
    ask(instrument(Starlette(routes=[Mount("/{a}", routes=inner)])), "/acme/1/x", "/acme/1/y")

    assert {"/acme/1/x": "/{a}/{a}/x", "/acme/1/y": "/{a}/{b}/y"} == routes(events)


def test_litestar_below_a_mount_of_starlette_has_the_whole_template(events: Events) -> None:
    """Litestar changes the path in the scope; the mount is matched on the path asked for."""

    @get("/items/{item:str}")
    async def item() -> str:
        return "ok"

    inner = Litestar([item], openapi_config=None)
    ask(instrument(Starlette(routes=[Mount("/{org}", inner)])), "/acme/items/acme")

    assert {"/acme/items/acme": "/{org}/items/{item}"} == routes(events)


def test_a_quart_application_that_asks_itself_keeps_its_route(events: Events) -> None:
    """A scope that was copied for another path does not replace the request's own."""
    app = Quart(__name__)

    async def item(item: str) -> str:
        return item

    app.add_url_rule("/items/<item>", view_func=item)
    instrument(app)

    async def batch(scope: Any, receive: Any, send: Any) -> None:
        async def ignore(_: Any) -> None:
            """Keep the answer."""

        await app(scope, receive, send)
        await app({**scope, "path": "/items/3/no"}, receive, ignore)

    ask(instrument(batch), "/items/1")

    assert {"/items/1": "/items/<item>"} == routes(events)


def test_middlewares_that_refer_to_each_other_lead_nowhere(events: Events) -> None:
    """A mount whose application refers to itself is one of an unknown application."""

    class Circular:
        def __init__(self) -> None:
            self.app = self

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await Response()(scope, receive, send)

    ask(instrument(Starlette(routes=[Mount("/{org}", Circular())])), "/acme/1")

    assert {"/acme/1": "/{org}/{path}"} == routes(events)
