"""A request that is translated between ASGI and WSGI on its way: one id, one line."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import httpx
import pytest
from a2wsgi import ASGIMiddleware, WSGIMiddleware
from asgiref.wsgi import WsgiToAsgi
from flask import Flask
from quart import Quart
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from pantheon_obs import current_trace_id, instrument
from tests.support.django import run

Events = list[dict[str, Any]]


def flask() -> Any:
    """An instrumented Flask application."""
    app = Flask(__name__)
    app.add_url_rule("/items/<item>", view_func=lambda item: current_trace_id.get())
    app.add_url_rule("/boom", "boom", lambda: 1 / 0)
    return instrument(app)


def starlette() -> Any:
    """An instrumented Starlette application."""

    async def item(_: Any) -> PlainTextResponse:
        return PlainTextResponse(current_trace_id.get())

    async def boom(_: Any) -> PlainTextResponse:
        raise ZeroDivisionError

    return instrument(Starlette(routes=[Route("/items/{item}", item), Route("/boom", boom)]))


def quart() -> Any:
    """An instrumented Quart application."""

    async def item(**_: str) -> str:
        return current_trace_id.get()

    async def boom() -> str:
        raise ZeroDivisionError

    app = Quart(__name__)
    app.add_url_rule("/items/<item>", view_func=item)
    app.add_url_rule("/boom", view_func=boom)
    return instrument(app)


def ask(app: Any, *paths: str, **headers: str) -> list[httpx.Response]:
    """Send requests to an ASGI application."""

    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.get(path, headers=headers) for path in paths]

    return asyncio.run(send())


def ask_wsgi(app: Any, *paths: str) -> list[httpx.Response]:
    """Send requests to a WSGI application."""
    transport = httpx.WSGITransport(app, raise_app_exceptions=False)
    with httpx.Client(transport=transport, base_url="http://test") as client:
        return [client.get(path) for path in paths]


def stories(events: Events) -> list[tuple[Any, ...]]:
    """Return how each request ended."""
    return [
        (event["path"], event.get("route"), event["outcome"], event.get("error_type"))
        for event in events
        if event["event"] == "request_finished"
    ]


@pytest.mark.parametrize("convert", [WsgiToAsgi, WSGIMiddleware])
def test_a_wsgi_application_in_an_asgi_application_is_one_request(
    events: Events, convert: Any
) -> None:
    """It has the outer request's id, and adds its route and its unhandled error to the line."""
    app = instrument(Starlette(routes=[Mount("/in/{name}", convert(flask()))]))

    item, *_ = ask(app, "/in/acme/items/acme", "/in/acme/boom", "/in/acme/none")

    assert item.headers.get_list("x-trace-id") == [item.text]
    assert [
        ("/in/acme/items/acme", "/in/{name}/items/<item>", "ok", None),
        ("/in/acme/boom", "/in/{name}/boom", "error", "ZeroDivisionError"),
        ("/in/acme/none", None, "ok", None),
    ] == stories(events)
    assert 1 == sum("exception" in event for event in events)


@pytest.mark.parametrize(
    ("inner", "route"),
    [(starlette, "/in/items/{item}"), (quart, "/in/items/<item>")],
    ids=["starlette", "quart"],
)
def test_an_asgi_application_in_a_wsgi_application_is_one_request(
    events: Events, inner: Any, route: str
) -> None:
    """It has the outer request's id, and adds its route and its unhandled error to the line."""
    app = flask()
    dispatcher = DispatcherMiddleware(app.wsgi_app, {"/in": ASGIMiddleware(inner())})

    item, boom, _ = ask_wsgi(instrument(dispatcher), "/in/items/acme", "/in/boom", "/in/none")

    assert item.headers.get_list("x-trace-id") == [item.text]
    assert 500 == boom.status_code
    assert [
        ("/in/items/acme", route, "ok", None),
        ("/in/boom", "/in/boom", "error", "ZeroDivisionError"),
        ("/in/none", None, "ok", None),
    ] == stories(events)
    assert 1 == sum("exception" in event for event in events)


def test_a_request_to_another_application_is_one_of_its_own(events: Events) -> None:
    """An application that asks one of the other protocol in its process makes a new request."""
    inner = flask()

    def gateway(request: Any) -> PlainTextResponse:
        headers = {} if request.url.path == "/items/1" else dict(request.headers)
        path = "/items/1" if request.url.path == "/items/1" else "/items/3"
        transport = httpx.WSGITransport(inner)
        with httpx.Client(transport=transport, base_url="http://test") as client:
            client.headers.clear()
            return PlainTextResponse(client.get(path, headers=headers).text)

    app = instrument(Starlette(routes=[Route("/{path:path}", gateway)]))

    same_path, same_headers = ask(app, "/items/1", "/items/2", shop="yes")

    for response in (same_path, same_headers):
        assert response.text not in {"", response.headers["x-trace-id"]}
    assert 4 == len(stories(events))


def test_headers_that_nobody_can_read_break_no_request(events: Events) -> None:
    """Code that calls an application by hand may give it texts, which ASGI does not allow."""
    reached = []

    async def inner(_scope: Any, _receive: Any, send: Any) -> None:
        reached.append(current_trace_id.get())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    asgi = instrument(inner)

    async def send(_: Any) -> None:
        """Drop a message."""

    def outer(_environ: Any, start_response: Any) -> Any:
        scope = {"type": "http", "method": "GET", "path": "/x", "headers": [("shop", "yes")]}
        asyncio.run(asgi(scope, None, send))
        start_response("204 No Content", [])
        return []

    ask_wsgi(instrument(outer), "/x")

    assert [True] == [bool(trace_id) for trace_id in reached]
    assert 2 == len(stories(events))


def test_the_functions_that_an_application_gets_are_coroutine_functions(events: Events) -> None:
    """Code that checks, as asgiref's converter does, finds the same kind as from a server."""
    found = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.extend(inspect.iscoroutinefunction(each) for each in (receive, send))
        await PlainTextResponse("ok")(scope, receive, send)

    ask(instrument(app), "/")

    assert [True, True] == found
    assert 1 == len(stories(events))


def test_a_django_project_in_an_asgi_application_is_one_request() -> None:
    """Django's middleware alone finds the outer request too."""
    pytest.importorskip("django")
    program = "from tests.apps.django_app import programs; programs.mounted_in_starlette()"
    status, lines, errors = run("-c", program)

    assert (0, "") == (status, errors), lines
    assert [
        (
            "/in/acme/tenants/acme/things/7",
            "/in/{name}/tenants/<tenant>/things/<thing_id>",
            "ok",
            None,
        ),
        ("/in/acme/boom", "/in/{name}/boom", "error", "ZeroDivisionError"),
    ] == stories(lines)
    assert 1 == sum("exception" in line for line in lines)
