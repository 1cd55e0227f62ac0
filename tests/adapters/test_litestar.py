"""Litestar's own features: errors that it answers by itself, its logging, its lifespan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from litestar import Controller, Litestar, Response, WebSocket, asgi, get, post, websocket
from litestar.background_tasks import BackgroundTask, BackgroundTasks
from litestar.exceptions import LitestarException, NotAuthorizedException, WebSocketDisconnect
from litestar.params import FromPath  # noqa: TC002 - Litestar reads the annotations
from litestar.testing import TestClient

from pantheon_obs import Settings, instrument
from pantheon_obs.adapters.litestar import install
from tests.apps.asgi_app import answer
from tests.logs.running import run
from tests.support.lines import endings, with_traceback

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar import Request

Events = list[dict[str, Any]]


class DatabaseDownError(Exception):
    """An error that a service has a handler for."""


def sorry(_request: Request[Any, Any, Any], _error: Exception) -> Response[str]:
    """Answer an error."""
    return Response("sorry", status_code=503)


@get("/boom")
async def boom() -> None:
    """Fail unhandled."""
    raise ZeroDivisionError


@get("/items/{item_id:int}")
async def item(item_id: FromPath[int]) -> int:
    """Take a number."""
    return item_id


@post("/items/{item_id:int}")
async def denied(item_id: FromPath[int]) -> None:
    """Refuse."""
    raise NotAuthorizedException


class Down(Controller):
    """A controller with a handler of its own."""

    path = "/down"
    exception_handlers = {DatabaseDownError: sorry}  # noqa: RUF012 - as Litestar has it

    @get()
    async def down(self) -> None:
        """Fail with an error that has a handler."""
        raise DatabaseDownError


async def fail() -> None:
    """Fail in the background."""
    raise LookupError


@get("/twice")
async def twice() -> Response[str]:
    """Fail in two background tasks at once."""
    tasks = BackgroundTasks([BackgroundTask(fail), BackgroundTask(fail)], run_in_task_group=True)
    return Response("", background=tasks)


@asgi("/raw", is_mount=True, copy_scope=True)
async def raw(scope: Any, receive: Any, send: Any) -> None:
    """An app that is not instrumented."""
    await answer(send, 404 if scope["path"].endswith("/nowhere/") else 200)


def service(**options: Any) -> Litestar:
    """A small service."""
    handlers = [boom, item, denied, Down, twice, raw]
    return Litestar(handlers, openapi_config=None, logging_config=None, **options)


def ask(app: Litestar, *requests: str) -> list[Any]:
    """Send requests, written as `GET /path`, one after the other."""
    with TestClient(app, raise_server_exceptions=False) as client:
        return [client.request(*request.split(" ", 1)) for request in requests]


def routes(events: Events) -> list[str | None]:
    """Return the route of each request."""
    return [event.get("route") for event in events if event["event"] == "request_finished"]


def test_the_app_object_is_instrumented_in_place() -> None:
    """`instrument` returns the app itself, and a second call has no effect."""
    app = service()

    assert instrument(app) is app
    handler, hooks = app.asgi_handler, [*app.after_exception, *app.on_startup, *app.on_shutdown]
    assert instrument(app) is app

    assert handler is app.asgi_handler
    assert hooks == [*app.after_exception, *app.on_startup, *app.on_shutdown]


def test_a_handler_for_all_errors_answers_with_the_id(events: Events) -> None:
    """The application's answer to an unhandled error has the header; the line has the error."""
    for key in (Exception, 500):
        app = instrument(service(exception_handlers={key: sorry}))
        [response] = ask(app, "GET /boom")

        assert (503, "sorry") == (response.status_code, response.text)
        assert 36 == len(response.headers["x-trace-id"])

    assert [("error", 503, "ZeroDivisionError")] * 2 == endings(events)
    assert ["request_finished"] * 2 == with_traceback(events)


def test_an_error_that_has_a_handler_is_no_failure(events: Events) -> None:
    """A handler for the class, wherever it is, or an HTTP exception: the outcome is ok."""
    ask(instrument(service()), "GET /down", "POST /items/7", "GET /nowhere")

    assert [("ok", 503, None), ("ok", 401, None), ("ok", 404, None)] == endings(events)
    assert [] == with_traceback(events)


def test_a_failure_before_there_is_a_route_is_unhandled(events: Events) -> None:
    """If no route has been matched, the handlers of the whole app decide."""

    def broken(**_arguments: Any) -> Any:
        raise OSError

    app = instrument(service())
    app.asgi_router.handle_routing = broken  # type: ignore[assignment]
    ask(app, "GET /boom")

    assert [("error", 500, "OSError")] == endings(events)


@pytest.mark.parametrize("how", ["debug", "always"])
def test_where_litestar_logs_the_error_that_line_has_the_traceback(how: str) -> None:
    """If Litestar logs exceptions, the request's line has only the type of the error."""
    done = run(f"""
        from litestar import Litestar, get
        from litestar.logging import LoggingConfig
        from litestar.testing import TestClient
        from pantheon_obs import instrument
        @get("/boom")
        async def boom() -> None:
            raise ZeroDivisionError
        app = Litestar([boom], debug={how == "debug"},
                       logging_config=LoggingConfig(log_exceptions={how!r}))
        instrument(app)
        with TestClient(app, raise_server_exceptions=False) as client:
            client.get("/boom")
    """)

    failure, story = done.lines[1:3]
    assert ["exception" in failure, "exception" in story] == [True, False]
    assert "litestar" == failure["logger"]
    assert failure["trace_id"] == story["trace_id"]
    assert ("error", "ZeroDivisionError") == (story["outcome"], story["error_type"])


def test_logging_that_litestar_has_set_up_since_is_taken_over_at_start_up() -> None:
    """A second app configures logging anew, structlog too: the start of the first undoes that."""
    done = run("""
        import structlog
        from litestar import Litestar, Request, get
        from litestar.plugins.structlog import StructlogPlugin
        from litestar.testing import TestClient
        from pantheon_obs import instrument
        @get("/ok")
        async def ok(request: Request) -> None:
            request.logger.info("by the request", size=1)
            logging.getLogger("shop").info("by logging")
            structlog.get_logger().info("by structlog")
        app = Litestar([ok], plugins=[StructlogPlugin()])
        instrument(app)
        Litestar([ok], plugins=[StructlogPlugin()])
        with TestClient(app) as client:
            client.get("/ok")
    """)

    assert [
        "observability_configured",
        "logging_taken_over",
        "HTTP Request",
        "by the request",
        "by logging",
        "by structlog",
        "HTTP Response",
        "request_finished",
    ] == done.events
    assert 1 == len({line["trace_id"] for line in done.lines[2:]})


def test_a_logger_of_structlog_that_prints_prints_lines_of_ours() -> None:
    """The application's processors run, and its renderer is the only one that does not count."""
    done = run("""
        import structlog
        configure_logging()
        structlog.configure(
            processors=[
                lambda _logger, _method, event: {**event, "by": "the application"},
                structlog.processors.JSONRenderer(lambda event, **_: b"rendered"),
            ],
            logger_factory=structlog.BytesLoggerFactory(),
            cache_logger_on_first_use=False,
        )
        structlog.get_logger().info("before")
    """)

    assert [("before", "the application")] == [(line["event"], line["by"]) for line in done.lines]


def test_a_lifespan_is_a_start_up_and_drains(events: Events) -> None:
    """A layer between the trace and Litestar gets the server's start-up and shutdown."""
    heard: list[str] = []
    started: list[str] = []

    def within(app: Any) -> Any:
        async def endpoints(scope: Any, receive: Any, send: Any) -> None:
            async def listening() -> Any:
                message = await receive()
                heard.append(message["type"])
                return message

            if scope["type"] == "lifespan":
                await app(scope, listening, send)
            else:
                await app(scope, receive, send)

        return endpoints

    app = install(service(), Settings(), lambda: started.append("once"), within)
    with TestClient(app) as client:
        assert ["lifespan.startup"] == heard
        client.get("/items/7")

    assert ["lifespan.startup", "lifespan.shutdown"] == heard
    assert ["once"] == started


def test_a_broken_start_up_of_ours_does_not_stop_the_application(events: Events) -> None:
    """A failure in our hook is reported, and the application runs."""

    def within(app: Any) -> Callable[..., Any]:
        async def broken(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                raise RuntimeError
            await app(scope, receive, send)

        return broken

    app = install(service(), Settings(), lambda: None, within)
    [response] = ask(app, "GET /items/7")

    assert 200 == response.status_code
    assert "litestar hook" in [event.get("site") for event in events]


def test_probes_are_answered() -> None:
    """The health endpoints stand inside the trace and outside of Litestar."""
    live, other = ask(instrument(service(), health=True), "GET /health/live", "GET /items/7")

    assert (200, 36) == (live.status_code, len(live.headers["x-trace-id"]))
    assert 7 == other.json()


def test_an_app_that_is_running_can_be_instrumented(events: Events) -> None:
    """The next request is traced, even if the app has served requests before."""
    app = service()
    with TestClient(app, raise_server_exceptions=False) as client:
        before = client.get("/boom")
        instrument(app)
        after = client.get("/boom")

    assert "x-trace-id" not in before.headers
    assert 36 == len(after.headers["x-trace-id"])
    assert [("error", 500, "ZeroDivisionError")] == endings(events)


def test_failures_in_a_group_are_kept_together(events: Events) -> None:
    """The line of several failures has their group as its error type."""
    ask(instrument(service()), "GET /twice")

    [failure] = [event for event in events if event["event"] == "background_failed"]
    assert "ExceptionGroup" == failure["error_type"]
    assert 2 == failure["exception"].count("raise LookupError")


def test_a_failure_of_litestar_s_own_keeps_its_type(events: Events) -> None:
    """A `LitestarException` without a cause is reported by its own type."""

    @get("/own")
    async def own() -> Response[str]:
        return Response("", background=BackgroundTask(own_failure))

    async def own_failure() -> None:
        msg = "own"
        raise LitestarException(msg)

    ask(instrument(Litestar([own], logging_config=None)), "GET /own")

    [failure] = [event for event in events if event["event"] == "background_failed"]
    assert "LitestarException" == failure["error_type"]


def test_the_template_has_the_prefix_of_its_mount(events: Events) -> None:
    """A mount is part of the template, and the server's root path is not."""
    app = instrument(service())
    with TestClient(app, raise_server_exceptions=False, root_path="/root") as client:
        for path in ("/items/7", "/raw", "/raw/a/b", "/raw/nowhere"):
            client.get(path)
        client.patch("/items/7")

    assert ["/items/{item_id}", "/raw/{path}", "/raw/{path}", None, "/items/{item_id}"] == (
        routes(events)
    )


def test_a_refusal_in_a_websocket_is_no_failure(events: Events) -> None:
    """An HTTP exception is no error, and neither is a client that leaves."""

    @websocket("/refused")
    async def refused(socket: WebSocket[Any, Any, Any]) -> None:
        raise NotAuthorizedException

    @websocket("/left")
    async def left(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        with anyio.fail_after(30):
            await socket.receive_text()

    client = TestClient(instrument(Litestar([refused, left], logging_config=None)))
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/refused"):
        pass
    with client.websocket_connect("/left"):
        pass

    assert [("ok", None), ("ok", None)] == [
        (event["outcome"], event.get("error_type"))
        for event in events
        if event["event"] == "websocket_finished"
    ]


def test_signals_of_an_error_outside_of_a_trace_do_nothing(events: Events) -> None:
    """Called without us around it, the router's errors are Litestar's own."""
    app = instrument(service())
    app.asgi_handler = app._create_asgi_handler()  # noqa: SLF001 - without the trace

    [response] = ask(app, "GET /boom")

    assert 500 == response.status_code
    assert [] == endings(events)
