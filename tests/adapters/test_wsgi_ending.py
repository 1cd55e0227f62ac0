"""Each WSGI request has exactly one line, which says how it ended."""

from __future__ import annotations

import errno
import gc
import os
import socket
import sys
from typing import Any

import pytest

from pantheon_obs.adapters.wsgi import TraceIdMiddleware
from tests.adapters.wsgi_server import Server, endings, raises, returns, yields
from tests.support.garbage import collect_garbage


class Body:
    """An iterable that counts the calls of its `close`."""

    def __init__(self, *parts: bytes, fails: BaseException | None = None) -> None:
        self.parts = parts
        self.fails = fails
        self.closed = 0

    def __iter__(self) -> Any:
        """Return an iterator over the parts."""
        return iter(self.parts)

    def close(self) -> None:
        """Count the call, and fail if the test asks for it."""
        self.closed += 1
        if self.fails is not None:
            raise self.fails


@pytest.mark.parametrize("kind", ["list", "tuple", "iterable", "generator"])
def test_the_line_comes_when_the_body_is_closed(events: list[dict[str, Any]], kind: str) -> None:
    """The line comes when the server first closes the body; a second time adds no line."""
    made: dict[str, Any] = {"list": [b"a"], "tuple": (b"a",), "iterable": Body(b"a")}
    app = yields(b"a") if kind == "generator" else returns(made[kind])
    server = Server(TraceIdMiddleware(app))
    server.call()
    server.read()
    assert [] == endings(events)

    server.close()
    server.close()

    assert [b"a"] == server.sent
    assert [("ok", 200, None)] == endings(events)


@pytest.mark.parametrize("kind", ["list", "iterable", "generator"])
def test_a_server_that_closes_before_it_iterates(events: list[dict[str, Any]], kind: str) -> None:
    """The app's own `close` is called, and the line says that the body was not read."""
    body = Body(b"a")
    app: Any = {"list": returns([b"a"]), "iterable": returns(body), "generator": yields(b"a")}[kind]
    server = Server(TraceIdMiddleware(app))
    server.call()

    server.close()

    assert (kind == "iterable") == bool(body.closed)
    expected = ("no_response", None) if kind == "generator" else ("client_disconnected", 200)
    assert [(*expected, None)] == endings(events)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param("500 Oh", ("error", 500, "ZeroDivisionError"), id="unhandled"),
        pytest.param("404 Not Found", ("ok", 404, None), id="handled"),
    ],
)
def test_an_error_that_the_application_answers_is_its_start_s_exc_info(
    events: list[dict[str, Any]], status: str, expected: tuple[Any, ...]
) -> None:
    """A framework that catches everything passes it to the server, and raises it no further."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        try:
            return [b"%d" % (1 / 0)]
        except ZeroDivisionError:
            start_response(status, [], sys.exc_info())
        return [b"sorry"]

    server = Server(TraceIdMiddleware(app))

    assert server.serve() is None
    assert [expected] == endings(events)
    assert (expected[0] == "error") == ("exception" in events[0])
    assert ZeroDivisionError is server.started[0][2][0]


class Limited:
    """A framework's stream of a request's body, which misses the bytes that never came."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def read(self) -> bytes:
        """Read the body; the server reports its early end as an ordinary one."""
        if not self.stream.read():
            msg = "the client disconnected"
            raise OSError(msg)
        return b"all"


def lost() -> None:
    """Fail as a database's connection does."""
    msg = "connection lost"
    raise OSError(msg)


class Storing(Limited):
    """A request that stores its body."""

    def read(self) -> bytes:
        """Fail in another place."""
        lost()
        return b""


class Full(Limited):
    """A request that stores its body on a disk that is full."""

    def read(self) -> bytes:
        """Fail as the system does."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("wrapper", "expected"),
    [
        pytest.param(Limited, "client_disconnected", id="of-the-body"),
        pytest.param(Full, "error", id="of-a-disk"),
        pytest.param(Storing, "error", id="of-another-connection"),
    ],
)
def test_a_framework_may_say_itself_that_the_body_was_cut(
    events: list[dict[str, Any]], wrapper: Any, expected: str
) -> None:
    """It counts if the object that raises it reads the body."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        return [wrapper(environ["wsgi.input"]).read()]

    assert isinstance(Server(TraceIdMiddleware(app)).serve(), OSError)
    assert [expected] == [outcome for outcome, *_ in endings(events)]


def test_a_body_that_is_left_in_its_middle_is_the_clients_doing(
    events: list[dict[str, Any]],
) -> None:
    """A server that cannot write closes a body that it has not read to its end."""
    server = Server(TraceIdMiddleware(yields(b"a", b"b")))
    assert b"a" == next(iter(server.call()))

    server.close()

    assert [("client_disconnected", 200, None)] == endings(events)


@pytest.mark.parametrize(
    ("method", "status"),
    [
        pytest.param("HEAD", "200 OK", id="head"),
        pytest.param("GET", "204 No Content", id="204"),
        pytest.param("GET", "304 Not Modified", id="304"),
    ],
)
def test_a_response_without_a_body_need_not_be_read(
    events: list[dict[str, Any]], method: str, status: str
) -> None:
    """Some servers close the body of such a response at once."""
    server = Server(TraceIdMiddleware(returns([], status)), REQUEST_METHOD=method)
    server.call()

    server.close()

    assert ["ok"] == [outcome for outcome, *_ in endings(events)]


@pytest.mark.parametrize("made", [lambda: [b"a"], lambda: Body(b"a")], ids=["list", "iterable"])
def test_a_body_that_is_never_closed_has_its_line_when_it_is_dropped(
    events: list[dict[str, Any]], made: Any
) -> None:
    """A server that breaks PEP 3333 loses no line; the app's `close` stays uncalled."""
    body = made()
    server = Server(TraceIdMiddleware(returns(body)))
    server.call()
    server.read()

    server.body = None
    collect_garbage()

    assert [("ok", 200, None)] == endings(events)
    assert not getattr(body, "closed", 0)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "app",
    [
        pytest.param(raises(KeyError("x")), id="before-the-response"),
        pytest.param(yields(KeyError("x")), id="before-the-first-part"),
        pytest.param(yields(b"", KeyError("x")), id="after-an-empty-part"),
    ],
)
def test_an_unhandled_error_is_answered_and_goes_on_to_the_server(
    events: list[dict[str, Any]], app: Any, method: str
) -> None:
    """The client gets a plain 500 with the id, and then the server gets the error."""
    server = Server(TraceIdMiddleware(app), REQUEST_METHOD=method, HTTP_X_TRACE_ID="t-1")

    error = server.serve()

    assert isinstance(error, KeyError)
    assert ([b"Internal Server Error"] if method == "GET" else []) == server.sent
    assert ("500 Internal Server Error", ["t-1"]) == (server.status, server.ids)
    assert error is server.started[-1][2][1]
    assert [("error", 500, "KeyError")] == endings(events)
    assert ["KeyError: 'x'"] == [
        event["exception"].splitlines()[-1] for event in events if "exception" in event
    ]


def test_an_error_in_the_middle_of_a_body_is_raised_as_it_is(events: list[dict[str, Any]]) -> None:
    """A response that has started cannot be replaced by a 500."""
    error = KeyError()
    server = Server(TraceIdMiddleware(yields(b"a", error)))

    assert error is server.serve()
    assert [b"a"] == server.sent
    assert [("error", 200, "KeyError")] == endings(events)


def test_a_server_that_takes_no_answer_gets_the_error(events: list[dict[str, Any]]) -> None:
    """The error is the app's own, and its traceback begins where it did."""

    class Strict(Server):
        """Raises the reason of a second start, as werkzeug's test client does."""

        def start_response(self, *arguments: Any) -> Any:
            """Take the first two arguments only."""
            if len(arguments) > 2:
                raise arguments[2][1]
            return super().start_response(*arguments)

    error = KeyError()
    server = Strict(TraceIdMiddleware(raises(error)))

    assert error is server.serve()
    assert [("error", None, "KeyError")] == endings(events)
    assert "in start_response" not in events[0]["exception"]


def test_a_debugger_outside_gets_the_error_itself(events: list[dict[str, Any]]) -> None:
    """Werkzeug's debugger has its own page for the error."""
    error = KeyError()
    server = Server(TraceIdMiddleware(raises(error)), **{"werkzeug.debug.preserve_context": print})

    assert error is server.serve()
    assert [] == server.started
    assert [("error", None, "KeyError")] == endings(events)


@pytest.mark.parametrize(
    ("environ", "outcome"),
    [
        pytest.param({}, "no_response", id="plain"),
        pytest.param({"werkzeug.debug.preserve_context": print}, "no_response", id="debugger"),
        pytest.param({"HTTP_UPGRADE": "websocket"}, "ok", id="upgrade"),
    ],
)
@pytest.mark.parametrize(
    "returned", [[], (), None, iter(())], ids=["list", "tuple", "none", "iter"]
)
def test_an_app_that_starts_no_response_gets_none_of_ours(
    events: list[dict[str, Any]], returned: Any, environ: dict[str, Any], outcome: str
) -> None:
    """It has taken the server's connection over where the client has asked for another protocol."""
    server = Server(TraceIdMiddleware(lambda environ, start_response: returned), **environ)

    error = server.serve()

    assert (returned is None) == isinstance(error, TypeError)
    assert ([], []) == (server.started, server.sent)
    assert (returned is server.body) == (not hasattr(returned, "__next__"))
    assert [(outcome, None, None)] == endings(events)


def test_parts_without_a_start_are_no_response(events: list[dict[str, Any]]) -> None:
    """Parts are for the server, so the app has not taken its connection over."""
    app = lambda environ, start_response: iter([b"a"])  # noqa: E731 - as above
    server = Server(TraceIdMiddleware(app), HTTP_UPGRADE="websocket")

    assert server.serve() is None
    assert [b"a"] == server.sent
    assert [("no_response", None, None)] == endings(events)


@pytest.mark.parametrize(
    ("error", "environ", "ended", "answered"),
    [
        pytest.param(
            StopIteration(), {"HTTP_UPGRADE": "websocket"}, ("ok", None, None), False, id="upgrade"
        ),
        pytest.param(
            StopIteration(), {"a": socket.socket}, ("error", 500, "StopIteration"), True, id="plain"
        ),
        pytest.param(
            ConnectionError(), {}, ("error", 500, "ConnectionError"), True, id="plain-connection"
        ),
        pytest.param(
            ConnectionRefusedError(),
            {"HTTP_UPGRADE": "websocket"},
            ("error", 500, "ConnectionRefusedError"),
            True,
            id="another-connection",
        ),
        pytest.param(
            BrokenPipeError(),
            {"HTTP_UPGRADE": "websocket"},
            ("client_disconnected", None, None),
            False,
            id="departure",
        ),
    ],
)
def test_an_exception_may_say_that_the_connection_was_taken_over(
    events: list[dict[str, Any]],
    error: Exception,
    environ: dict[str, Any],
    ended: tuple[Any, ...],
    *,
    answered: bool,
) -> None:
    """Some servers expect one from an app that they have given their socket to."""
    server = Server(TraceIdMiddleware(raises(error)), **environ)

    raised = server.serve()

    # A generator cannot pass a StopIteration on.
    assert error is (raised.__cause__ if isinstance(raised, RuntimeError) else raised)
    assert answered == bool(server.started)
    assert [ended] == endings(events)


def test_an_app_that_returns_nothing_after_its_start_is_in_error(
    events: list[dict[str, Any]],
) -> None:
    """A server would fail on None, so the client gets a 500."""
    server = Server(TraceIdMiddleware(returns(None)))

    assert isinstance(server.serve(), TypeError)
    assert [b"Internal Server Error"] == server.sent
    assert [("error", 500, "TypeError")] == endings(events)


@pytest.mark.parametrize("where", ["call", "body"])
def test_an_exit_passes_at_once(events: list[dict[str, Any]], where: str) -> None:
    """A worker may exit during a request; the line says that the request was cancelled."""
    error = SystemExit()
    server = Server(TraceIdMiddleware(raises(error) if where == "call" else yields(error)))

    assert error is server.serve()
    assert [("cancelled", None if where == "call" else 200, None)] == endings(events)


@pytest.mark.parametrize(("status", "level"), [("200 OK", "info"), ("503 Busy", "error")])
def test_a_close_that_fails_after_the_response_is_work_that_failed(
    events: list[dict[str, Any]], status: str, level: str
) -> None:
    """The response was complete, as its line says, and another line has the error."""
    error = KeyError()
    server = Server(TraceIdMiddleware(returns(Body(b"a", fails=error), status)))

    assert error is server.serve()
    story, failure = events
    assert ("request_finished", "ok", level) == (story["event"], story["outcome"], story["level"])
    assert ("background_failed", "KeyError") == (failure["event"], failure["error_type"])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(KeyError(), ("error", 200, "KeyError"), id="error"),
        pytest.param(SystemExit(), ("cancelled", 200, None), id="exit"),
    ],
)
def test_a_close_that_fails_before_the_end_is_the_requests_error(
    events: list[dict[str, Any]], error: BaseException, expected: tuple[Any, ...]
) -> None:
    """The request has not ended before, so it ends with this error."""
    server = Server(TraceIdMiddleware(returns(Body(b"a", fails=error))))
    server.call()

    with pytest.raises(type(error)):
        server.close()

    assert [expected] == endings(events)


def test_a_close_that_exits_after_the_response_changes_nothing(
    events: list[dict[str, Any]],
) -> None:
    """The line has been written before, and there is no error to report."""
    server = Server(TraceIdMiddleware(returns(Body(b"a", fails=SystemExit()))))

    assert isinstance(server.serve(), SystemExit)
    assert [("ok", 200, None)] == endings(events)
    assert ["request_finished"] == [event["event"] for event in events]


def test_the_first_error_counts(events: list[dict[str, Any]]) -> None:
    """If both the body and its `close` fail, the line has the error of the body."""

    class Broken(Body):
        def __iter__(self) -> Any:
            yield b"a"
            raise LookupError

    server = Server(TraceIdMiddleware(returns(Broken(fails=KeyError()))))

    server.serve()

    assert [("error", 200, "LookupError")] == endings(events)


@pytest.mark.parametrize("how", ["escapes", "is-handled", "other"])
def test_a_write_that_says_the_client_has_gone(events: list[dict[str, Any]], how: str) -> None:
    """An exception of the server's `write` is no error of the app."""

    class Gone(Server):
        """A server whose client has gone."""

        def write(self, data: bytes) -> None:
            """Fail to write."""
            raise BrokenPipeError(errno.EPIPE, "gone")

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", [])
        try:
            write(b"a")
        except BrokenPipeError:
            if how == "escapes":
                raise
        if how == "other":
            raise KeyError
        return []

    # Under a debugger we do not answer either.
    environ = {"werkzeug.debug.preserve_context": print}
    Gone(TraceIdMiddleware(app), **environ).serve()

    expected = {
        "escapes": ("client_disconnected", 200, None),
        "is-handled": ("ok", 200, None),
        "other": ("error", 200, "KeyError"),
    }
    assert [expected[how]] == endings(events)


def test_one_exception_object_that_is_raised_for_two_requests_is_two_failures(
    events: list[dict[str, Any]],
) -> None:
    """Some libraries raise one object again and again: each request's line has the traceback."""
    shared = ZeroDivisionError()

    Server(TraceIdMiddleware(raises(shared))).serve()
    Server(TraceIdMiddleware(raises(shared))).serve()

    assert 2 == len([event for event in events if "exception" in event])


def test_a_request_leaves_no_garbage_behind(events: list[dict[str, Any]]) -> None:
    """A request leaves no cycles, whose collection would pause the application."""
    apps = returns([b"a"]), yields(b"a"), yields(KeyError())
    collect_garbage()
    gc.disable()
    try:
        # A thread of another test may leave some meanwhile, but not in each of the rounds.
        assert [0, 0, 0] == [min(garbage_of(app) for _ in range(3)) for app in apps]
    finally:
        gc.enable()
    assert 9 == len(endings(events))


def garbage_of(app: Any) -> int:
    """Serve a request, and count the objects in cycles that are there afterwards."""
    server = Server(TraceIdMiddleware(app))
    server.serve()
    server.body = None  # the stand-in itself makes a cycle
    del server
    return collect_garbage()


def test_an_oserror_of_a_function_without_arguments_is_the_applications(
    events: list[dict[str, Any]],
) -> None:
    """Only errors of the object that reads the request's body show that the client left."""

    def connect() -> None:
        raise ConnectionResetError

    def app(_environ: Any, _start_response: Any) -> Any:
        connect()

    Server(TraceIdMiddleware(app)).serve()

    assert [("error", 500, "ConnectionResetError")] == endings(events)
