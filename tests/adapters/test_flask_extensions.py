"""Extensions of Flask that answer errors in their own way, and announce them as unhandled."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from a2wsgi import WSGIMiddleware
from flask import Flask, Response
from werkzeug.exceptions import NotFound
from werkzeug.test import Client

from pantheon_obs import instrument
from tests.adapters.wsgi_server import endings

flask_restful = pytest.importorskip("flask_restful")
flask_restx = pytest.importorskip("flask_restx")

Events = list[dict[str, Any]]


class Taken(Exception):  # noqa: N818 - as a project names it
    """An error that the extension answers with a status of its own."""


def restful(app: Flask) -> Any:
    """Make an API of Flask-RESTful, which knows errors by the names of their classes."""
    return flask_restful.Api(app, errors={"Taken": {"status": 409}})


def restx(app: Flask) -> Any:
    """Make an API of Flask-RESTX, whose handler of all errors answers one of them."""
    api = flask_restx.Api(app)
    api.errorhandler(lambda error: ({}, 409 if isinstance(error, Taken) else 500))
    return api


@pytest.fixture(params=[restful, restx])
def app(request: pytest.FixtureRequest) -> Flask:
    """Make an app with an API, not instrumented yet."""
    app = Flask("shop")
    api = request.param(app)
    # In a test Flask would raise an error that nobody handles.
    app.config["PROPAGATE_EXCEPTIONS"] = False

    class Order(flask_restx.Resource if request.param is restx else flask_restful.Resource):  # type: ignore[misc]
        def get(self, order_id: int) -> dict[str, int]:
            errors = {404: NotFound(), 409: Taken(), 500: ZeroDivisionError()}
            raise errors[order_id]

    api.add_resource(Order, "/orders/<int:order_id>")
    return app


@pytest.mark.parametrize(
    ("status", "level", "ended"),
    [
        pytest.param(404, "warning", ("ok", 404, None), id="abort"),
        pytest.param(409, "warning", ("ok", 409, None), id="answered-by-the-extension"),
        pytest.param(500, "error", ("error", 500, "ZeroDivisionError"), id="unhandled"),
    ],
)
def test_an_error_that_an_extension_has_answered_is_none(
    events: Events, app: Flask, status: int, level: str, ended: tuple[Any, ...]
) -> None:
    """Only a 5xx means that the error is unhandled; then there is one traceback."""
    Client(instrument(app), Response).get(f"/orders/{status}", buffered=True)

    assert [ended] == endings(events)
    [story] = [event for event in events if event["event"] == "request_finished"]
    assert (level, "/orders/<int:order_id>") == (story["level"], story["route"])
    assert int(status == 500) == len([event for event in events if "exception" in event])


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        pytest.param(404, ("ok", 404, None), id="abort"),
        pytest.param(500, ("error", 500, "ZeroDivisionError"), id="unhandled"),
    ],
)
def test_an_application_around_the_api_decides_the_same(
    events: Events, app: Flask, status: int, ended: tuple[Any, ...]
) -> None:
    """The trace may be that of an ASGI application which has the API inside."""
    outer: Any = instrument(WSGIMiddleware(instrument(app)))

    async def ask() -> None:
        transport = httpx.ASGITransport(outer, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get(f"/orders/{status}")

    asyncio.run(ask())

    assert [ended] == endings(events)


def test_flasks_own_answer_counts_as_unhandled_whatever_its_status(
    events: Events, app: Flask
) -> None:
    """A page for unhandled errors may have any status."""
    app.register_error_handler(500, lambda _error: ("sorry", 200))

    @app.get("/boom")
    def boom() -> None:
        raise ZeroDivisionError

    Client(instrument(app), Response).get("/boom", buffered=True)

    assert [("error", 200, "ZeroDivisionError")] == endings(events)
