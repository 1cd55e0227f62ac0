"""Flask's own features, with `instrument` around them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, abort, request, stream_with_context
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from pantheon_obs import bind, current_trace_id, instrument
from pantheon_obs.adapters.wsgi import TraceIdMiddleware
from tests.adapters.wsgi_server import Server, endings

if TYPE_CHECKING:
    from collections.abc import Iterator

Events = list[dict[str, Any]]


def service(name: str = "shop") -> Flask:
    """A small app, not instrumented yet."""
    app = Flask(name)

    @app.get("/orders/<int:order_id>")
    def order(order_id: int) -> dict[str, object]:
        bind(order_id=order_id)
        return {"trace_id": current_trace_id.get()}

    @app.get("/boom")
    def boom() -> None:
        raise ZeroDivisionError

    @app.get("/gone")
    def gone() -> None:
        abort(410)

    return app


def get(app: Any, path: str, **options: Any) -> Any:
    """Send a request and read its answer to the end, as a server does."""
    return Client(app, Response).get(path, buffered=True, **options)


def test_the_app_object_is_instrumented_in_place_once(events: Events) -> None:
    """`instrument` returns the app itself; a second call has no effect, even on a wrapped app."""
    app = service()

    assert app is instrument(app)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    outer = app.wsgi_app
    assert app is instrument(app)

    assert outer is app.wsgi_app
    response = get(app, "/orders/7", headers={"X-Trace-ID": "t-1"})
    assert ["t-1"] == response.headers.getlist("X-Trace-ID")
    assert {"trace_id": "t-1"} == response.json
    [story] = [event for event in events if event["event"] == "request_finished"]
    assert ("/orders/<int:order_id>", 7) == (story["route"], story["order_id"])


def test_an_app_that_serves_already_can_be_instrumented(events: Events) -> None:
    """An app that has served requests can still be instrumented."""
    app = service()
    assert "X-Trace-ID" not in get(app, "/orders/7").headers

    instrument(app)

    assert "X-Trace-ID" in get(app, "/orders/7").headers


def test_by_hand_it_is_a_wsgi_middleware() -> None:
    """`TraceIdMiddleware` gives the id, and sets up nothing."""
    app = service()
    app.wsgi_app = TraceIdMiddleware(app.wsgi_app)  # type: ignore[method-assign]

    assert "X-Trace-ID" in get(app, "/boom").headers


@pytest.mark.parametrize("handled_by", [None, 500, ValueError])
def test_an_error_that_nobody_handles_is_the_requests(
    events: Events, handled_by: int | type[Exception] | None
) -> None:
    """A page of the application's for 500, or a handler of another error, does not change that."""
    app = instrument(service())
    if handled_by is not None:
        app.register_error_handler(handled_by, lambda _error: ("our own page", 500))

    response = get(app, "/boom")

    assert ("our own page" in response.text) == (handled_by == 500)
    assert "X-Trace-ID" in response.headers
    assert [("error", 500, "ZeroDivisionError")] == endings(events)
    assert ["request_finished"] == [event["event"] for event in events if "exception" in event]
    assert ["/boom"] == [event.get("route") for event in events if "route" in event]


def test_an_error_that_is_handled_is_none(events: Events) -> None:
    """The outcome is `ok` if the application handles the error."""
    app = instrument(service())
    app.register_error_handler(Exception, lambda _error: ("sorry", 503))

    get(app, "/boom")

    assert [("ok", 503, None)] == endings(events)


def test_the_application_s_own_line_of_an_error_stays(events: Events) -> None:
    """Flask's line is dropped from our output only; the application's line and handler stay."""
    app = instrument(service("own_lines"))
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    app.logger.addHandler(handler)

    @app.errorhandler(500)
    def page(error: Any) -> Any:
        app.logger.error("own line", exc_info=error.original_exception)
        return "", 500

    try:
        get(app, "/boom")
    finally:
        app.logger.removeHandler(handler)

    assert ["Exception on /boom [GET]", "own line"] == [record.getMessage() for record in records]
    own, story = [event for event in events if event["level"] == "error"]
    assert ("own line", "request_finished") == (own["event"], story["event"])
    assert ("exception" in own, "exception" in story) == (True, False)
    assert "ZeroDivisionError" == story["error_type"]


def test_on_a_quiet_path_flasks_own_line_of_an_error_stays(events: Events) -> None:
    """Our line is below the level on a quiet path."""
    app = instrument(service(), quiet_paths=("/boom",))

    get(app, "/boom")

    assert ["Exception on /boom [GET]"] == [
        event["event"] for event in events if "exception" in event
    ]


def test_a_test_that_wants_the_error_gets_it(events: Events) -> None:
    """With TESTING an error escapes to the test, as it does without us; the line is the same."""
    app = instrument(service())
    app.testing = True

    with pytest.raises(ZeroDivisionError), app.test_client() as client:
        client.get("/boom")
    with pytest.raises(ZeroDivisionError):
        app.test_client().get("/boom")

    assert [("error", None, "ZeroDivisionError")] * 2 == endings(events)


def test_an_error_that_flask_raises_is_answered(events: Events) -> None:
    """With PROPAGATE_EXCEPTIONS the server gets it, and the client has the id all the same."""
    app = instrument(service())
    app.config["PROPAGATE_EXCEPTIONS"] = True
    server = Server(app, PATH_INFO="/boom", HTTP_X_TRACE_ID="t-1")

    assert isinstance(server.serve(), ZeroDivisionError)
    assert (["t-1"], "500 Internal Server Error") == (server.ids, server.status)
    assert [("error", 500, "ZeroDivisionError")] == endings(events)


@pytest.mark.parametrize("where", ["before", "after", "teardown"])
def test_an_error_in_a_hook_has_one_traceback(events: Events, where: str) -> None:
    """Each hook of a request may fail, and there is one traceback."""
    app = instrument(service())
    hook = {
        "before": app.before_request,
        "after": app.after_request,
        "teardown": app.teardown_request,
    }[where]

    errors = [LookupError()]

    @hook  # type: ignore[arg-type]
    def fails(*given: Any) -> Any:
        if errors:  # Flask asks again for its answer to the error
            raise errors.pop()
        return given[0]

    server = Server(app, PATH_INFO="/orders/7")
    server.serve()

    assert 1 == len(server.ids)
    assert [("error", 500, "LookupError")] == endings(events)
    assert 1 == len([event for event in events if "exception" in event])


def test_a_stream_has_the_request_and_the_id(events: Events) -> None:
    """`stream_with_context` works as ever; each part is made in the trace."""
    app = instrument(service())

    @app.get("/stream")
    def stream() -> Response:
        def parts() -> Iterator[str]:
            yield f"{request.path} {current_trace_id.get()} "
            bind(streamed=True)
            yield f"{request.path} {current_trace_id.get()}"

        return Response(stream_with_context(parts()))

    response = get(app, "/stream", headers={"X-Trace-ID": "t-1"})

    assert "/stream t-1 /stream t-1" == response.text
    [story] = [event for event in events if event["event"] == "request_finished"]
    assert (True, "/stream") == (story["streamed"], story["route"])
    assert story["ttfb_ms"] > 0


@pytest.mark.parametrize(
    ("path", "method", "route"),
    [
        pytest.param("/orders/7", "GET", "/orders/<int:order_id>", id="outer"),
        pytest.param("/caf\u00e9/orders/7", "GET", "/caf\u00e9/orders/<int:order_id>", id="inner"),
        pytest.param("/caf\u00e9/gone", "GET", "/caf\u00e9/gone", id="answered-by-the-inner"),
        pytest.param("/caf\u00e9/orders/7", "POST", "/caf\u00e9/orders/<int:order_id>", id="405"),
        pytest.param("/caf\u00e9/nowhere", "GET", None, id="404"),
    ],
)
def test_mounted_apps_are_one_trace(
    events: Events, path: str, method: str, route: str | None
) -> None:
    """The route names the way to the inner app, and the inner app's own rule."""
    inner = instrument(service("inner"))
    # As it comes over the wire, in an environ.
    mounts = {"/caf\u00e9".encode().decode("latin-1"): inner}
    app = instrument(service())
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, mounts)  # type: ignore[method-assign]
    outermost = instrument(app.wsgi_app)

    response = Client(outermost, Response).open(path, method=method, buffered=True)

    assert 1 == len(response.headers.getlist("X-Trace-ID"))
    [story] = [event for event in events if event["event"] == "request_finished"]
    assert (path, route) == (story["path"], story.get("route"))


def test_another_apps_error_under_an_app_that_was_not_instrumented(events: Events) -> None:
    """Flask's signal is ignored if it comes outside of a traced request."""
    app = service()
    instrument(app)
    bare = app.extensions["pantheon_obs"].app

    response = Client(bare, Response).get("/boom", buffered=True)

    assert 500 == response.status_code
    assert [] == endings(events)
    assert ["Exception on /boom [GET]"] == [
        event["event"] for event in events if "exception" in event
    ]
