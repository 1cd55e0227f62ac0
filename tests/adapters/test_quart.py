"""Quart's own features: errors that it answers by itself, its signals and its loggers."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from quart import Quart, abort, request, websocket

from pantheon_obs import TraceIdMiddleware, instrument
from pantheon_obs.testing import capture_events
from tests.logs.running import run
from tests.support.lines import endings, with_traceback

if TYPE_CHECKING:
    from pathlib import Path

Events = list[dict[str, Any]]


class DatabaseDownError(Exception):
    """An error that a service has a handler for."""


def service(name: str = "shop") -> Quart:
    """A small service."""
    app = Quart(name, static_folder=None)

    @app.get("/boom")
    async def boom() -> None:
        raise ZeroDivisionError

    @app.get("/down")
    async def down() -> None:
        raise DatabaseDownError

    @app.get("/items/<int:item_id>")
    async def item(item_id: int) -> dict[str, int]:
        return {"item": item_id}

    @app.post("/items/<int:item_id>")
    async def change(item_id: int) -> None:
        abort(500)

    return app


def ask(app: Any, *requests: str) -> list[httpx.Response]:
    """Send requests, written as `GET /path`, one after the other."""

    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.request(*request.split(" ", 1)) for request in requests]

    return asyncio.run(send())


def test_the_app_object_is_instrumented_in_place() -> None:
    """`instrument` returns the app itself; a second call has no effect, even on a wrapped app."""
    app = service()

    assert instrument(app) is app
    serving = app.asgi_app
    assert instrument(app) is app
    assert serving == app.asgi_app

    wrapped = functools.partial(serving)
    app.asgi_app = wrapped  # type: ignore[method-assign]
    assert instrument(app) is app
    assert wrapped is app.asgi_app


def test_a_handler_of_the_application_for_500_answers_with_the_id(events: Events) -> None:
    """The application's answer to an unhandled error has the header; the line has the error."""
    app = service()

    @app.errorhandler(500)
    async def sorry(error: Exception) -> tuple[str, int]:
        return "sorry", 500

    instrument(app)
    [response] = ask(app, "GET /boom")

    assert ("sorry", 36) == (response.text, len(response.headers["x-trace-id"]))
    assert [("error", 500, "ZeroDivisionError")] == endings(events)
    assert ["request_finished"] == with_traceback(events)


def test_an_unhandled_error_counts_whatever_its_answer_is(events: Events) -> None:
    """An application that answers the error with 200 has failed all the same."""
    app = service()

    @app.errorhandler(500)
    async def sorry(error: Exception) -> tuple[str, int]:
        return "sorry", 200

    instrument(app)
    ask(app, "GET /boom")

    assert [("error", 200, "ZeroDivisionError")] == endings(events)


def test_an_error_that_has_a_handler_is_no_failure(events: Events) -> None:
    """The outcome is ok if the class has a handler, or if the error is an abort."""
    app = service()

    @app.errorhandler(DatabaseDownError)
    async def unavailable(error: Exception) -> tuple[str, int]:
        return "later", 503

    instrument(app)
    ask(app, "GET /down", "POST /items/7")

    assert [("ok", 503, None), ("ok", 500, None)] == endings(events)
    assert [] == with_traceback(events)


@pytest.mark.parametrize("option", ["PROPAGATE_EXCEPTIONS", "DEBUG", "TESTING"])
def test_an_error_that_is_raised_through_has_one_traceback(events: Events, option: str) -> None:
    """Quart raises the error with these options, or shows it in the response."""
    app = service()
    app.config[option] = True

    instrument(app)
    [response] = ask(app, "GET /boom")

    assert (500, 36) == (response.status_code, len(response.headers["x-trace-id"]))
    assert [("error", 500, "ZeroDivisionError")] == endings(events)
    assert ["request_finished"] == with_traceback(events)


def test_a_log_file_of_the_application_keeps_quart_s_own_line(
    events: Events, tmp_path: Path
) -> None:
    """Quart's line of the error is dropped from our output only; other handlers get it."""
    app = service("shop_with_a_file")
    kept = logging.FileHandler(tmp_path / "errors.log")
    app.logger.addHandler(kept)

    instrument(app)
    ask(app, "GET /boom")
    app.logger.removeHandler(kept)
    kept.close()

    assert "Exception on request GET /boom" in (tmp_path / "errors.log").read_text()
    assert ["observability_configured", "request_finished"] == [line["event"] for line in events]


def test_the_application_s_own_line_of_an_error_is_not_dropped(events: Events) -> None:
    """An app that logs unhandled errors itself keeps that line, with the one traceback."""

    class Shop(Quart):
        def log_exception(self, *arguments: Any) -> None:
            self.logger.error("checkout failed", exc_info=arguments[-1])

    app = Shop("shop")
    app.add_url_rule("/boom", view_func=service().view_functions["boom"])

    instrument(app)
    ask(app, "GET /boom")

    assert ["checkout failed"] == with_traceback(events)
    assert [("error", 500, "ZeroDivisionError")] == endings(events)


@pytest.mark.parametrize("hidden", ["quiet path", "logger"])
def test_where_our_line_is_not_shown_quart_s_own_is(events: Events, hidden: str) -> None:
    """Quart's line has the traceback on a quiet path, and if our logger is off."""
    app = instrument(service(), quiet_paths="/boom" if hidden == "quiet path" else "/other")
    ours = logging.getLogger("pantheon_obs.request")
    ours.setLevel("NOTSET" if hidden == "quiet path" else "CRITICAL")
    try:
        ask(app, "GET /boom")
    finally:
        ours.setLevel("NOTSET")

    assert ["Exception on request GET /boom"] == with_traceback(events)


def test_a_template_has_its_converters(events: Events) -> None:
    """The route is the rule as the application wrote it, for a wrong method too."""
    app = instrument(service())

    ask(app, "GET /items/7", "PATCH /items/7", "GET /items/x")

    assert ["/items/<int:item_id>", "/items/<int:item_id>", None] == [
        event.get("route") for event in events if event["event"] == "request_finished"
    ]


def test_work_of_a_websocket_that_fails_leaves_quart_s_line(events: Events) -> None:
    """A websocket has no response that the work could follow; Quart's line has the traceback."""
    app = service()

    async def work() -> None:
        raise LookupError

    @app.websocket("/ws")
    async def socket() -> None:
        await websocket.accept()
        app.add_background_task(work)

    async def dial() -> None:
        messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        async def send(message: Any) -> None:
            if message["type"] == "websocket.close":
                await messages.put({"type": "websocket.disconnect", "code": 1000})

        scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b""}
        await instrument(app)({**scope, "scheme": "ws"}, messages.get, send)  # type: ignore[arg-type]
        await asyncio.gather(*app.background_tasks)

    asyncio.run(dial())

    [failure] = [event for event in events if "exception" in event]
    [story] = [event for event in events if event["event"] == "websocket_finished"]
    assert ("shop", "error", "LookupError") == (
        failure["logger"],
        failure["level"],
        failure["error_type"],
    )
    assert story["trace_id"] == failure["trace_id"]


def test_signals_outside_of_a_trace_do_nothing(events: Events) -> None:
    """Test contexts of Quart, and work that no request has begun, are not traced."""
    app = instrument(service())

    async def work() -> None:
        raise LookupError

    async def outside() -> None:
        async with app.test_request_context("/boom") as context:
            await app.handle_request(context.request)
        app.add_background_task(work)
        await asyncio.gather(*app.background_tasks)

    asyncio.run(outside())

    assert [] == endings(events)
    assert [] == [event for event in events if event["event"] == "telemetry_failed"]


def test_the_middleware_by_hand_and_the_one_line_do_not_add_up(events: Events) -> None:
    """Together they give one header and one line."""
    app = service()
    app.asgi_app = TraceIdMiddleware(app.asgi_app)  # type: ignore[method-assign]

    instrument(app)
    [response] = ask(app, "GET /boom")

    assert 1 == len(response.headers.get_list("x-trace-id"))
    assert [("error", 500, "ZeroDivisionError")] == endings(events)


def test_an_app_that_is_running_can_be_instrumented(events: Events) -> None:
    """The next request is traced, even if the app has served requests before."""
    app = service()

    [before] = ask(app, "GET /items/7")
    instrument(app)
    [after] = ask(app, "GET /items/7")

    assert "x-trace-id" not in before.headers
    assert 36 == len(after.headers["x-trace-id"])


def test_probes_are_answered() -> None:
    """The health endpoints stand inside the trace and outside of Quart."""
    app = instrument(service(), health=True)

    [live, other] = ask(app, "GET /health/live", "GET /items/7")

    assert (200, 36) == (live.status_code, len(live.headers["x-trace-id"]))
    assert {"item": 7} == other.json()


def test_a_logger_that_quart_has_set_up_prints_through_us() -> None:
    """Quart gives its logger a queue to standard error, if it is used before us."""
    done = run("""
        from quart import Quart
        app = Quart("shop")
        assert app.logger.handlers
        from pantheon_obs import instrument
        instrument(app)
        app.logger.warning("after")
    """)

    assert ["observability_configured", "after"] == done.events


def test_an_error_in_a_group_of_one_is_that_error() -> None:
    """Quart 0.23 serves in a task group, which wraps the exception; the server gets the group."""
    app = service()
    wrapped = ExceptionGroup("unhandled errors in a TaskGroup", [LookupError("row 7")])

    async def serve_in_a_group(*_: object) -> None:
        raise wrapped

    app.asgi_app = serve_in_a_group  # type: ignore[method-assign]
    instrument(app)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with capture_events() as events, pytest.raises(ExceptionGroup) as raised:
        asyncio.run(app.asgi_app(scope, None, send))

    assert raised.value is wrapped
    assert [500] == [message["status"] for message in sent if "status" in message]
    assert [("error", 500, "LookupError")] == endings(events)


@pytest.mark.parametrize("wrapped", ["before", "after"])
def test_a_middleware_that_copies_the_scope(events: Events, wrapped: str) -> None:
    """Hypercorn's ProxyFixMiddleware copies it deeply: the copy is of the same request."""
    middleware = pytest.importorskip("hypercorn.middleware")
    app = service()

    @app.get("/address")
    async def address() -> str:
        return request.remote_addr or ""

    def fix_addresses() -> None:
        app.asgi_app = middleware.ProxyFixMiddleware(app.asgi_app, mode="legacy", trusted_hops=1)

    steps: list[Any] = [fix_addresses, lambda: instrument(app)]
    for step in steps if wrapped == "before" else reversed(steps):
        step()
    events.clear()

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/address", headers={"X-Forwarded-For": "203.0.113.7"})

    response = asyncio.run(get())

    [line] = [event for event in events if event["event"] == "request_finished"]
    assert (200, "203.0.113.7") == (response.status_code, response.text)
    assert ("/address", "ok") == (line["route"], line["outcome"])
    assert line["trace_id"] == response.headers["x-trace-id"]
