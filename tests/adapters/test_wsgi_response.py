"""What a server and an app find of one another with us in between: all that PEP 3333 gives them."""

from __future__ import annotations

import io
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from pantheon_obs import Settings, instrument
from pantheon_obs.adapters.wsgi import TraceIdMiddleware
from pantheon_obs.core import pipeline
from tests.adapters.wsgi_server import TEXT, Server, endings, raises, returns, yields

if TYPE_CHECKING:
    from collections.abc import Callable

CORS = ("Access-Control-Allow-Origin", "*")


@pytest.mark.parametrize("app", [returns([b"a"]), yields(b"a", b"b")], ids=["list", "generator"])
def test_the_validator_passes_around_and_inside(events: list[dict[str, Any]], app: Any) -> None:
    """The standard library's checker finds nothing against either side."""
    checked = validator(TraceIdMiddleware(validator(app)))

    assert Server(checked).serve() is None
    assert [("ok", 200, None)] == endings(events)


def test_a_response_is_started_when_the_app_does_it(events: list[dict[str, Any]]) -> None:
    """An app that starts with its first part is not asked for it earlier."""
    server = Server(TraceIdMiddleware(yields(b"a")))
    body = iter(server.call())
    assert [] == server.started

    next(body)

    assert ["200 OK"] == [status for status, _ in server.started]
    server.close()


def test_a_body_has_the_length_that_the_app_gave_it() -> None:
    """A server tells the Content-Length of a body of one part from it."""

    class Sized:
        def __iter__(self) -> Any:
            return iter([b"a", b"b"])

        def __len__(self) -> int:
            return 2

    pipeline.add_sink(SimpleNamespace(name="test", started=print, handle=lambda event: None))  # type: ignore[arg-type]
    try:
        servers = [
            Server(TraceIdMiddleware(returns(body)))
            for body in ([], [b"a"], (b"a", b"b"), Sized(), iter([b"a"]))
        ]
        bodies = [server.call() for server in servers]
        lengths = [len(body) if hasattr(body, "__len__") else None for body in bodies]
        for server in servers:
            server.close()
    finally:
        pipeline.remove_sink("test")

    assert [0, 1, 2, 2, None] == lengths


def test_where_nobody_watches_a_list_stays_the_list() -> None:
    """With the id alone there is nothing to learn from it."""
    body = [b"a"]
    server = Server(TraceIdMiddleware(returns(body)))

    assert body is server.call()
    assert 1 == len(server.ids)
    assert "pantheon_obs.trace" not in server.environ


def test_where_nobody_watches_an_error_is_answered_all_the_same() -> None:
    """The header is on every response."""
    server = Server(TraceIdMiddleware(raises(KeyError())))

    assert isinstance(server.serve(), KeyError)
    assert ("500 Internal Server Error", 1) == (server.status, len(server.ids))


class Uncloseable:
    """A file as a server in C has it: its attributes are fixed."""

    __slots__ = ("fileno",)

    def __iter__(self) -> Any:
        """Its parts."""
        return iter([b"a"])


@pytest.mark.parametrize(
    ("wrapper", "make", "closes"),
    [
        pytest.param(FileWrapper, lambda: FileWrapper(io.BytesIO(b"a")), True, id="class"),
        pytest.param(lambda file: file, lambda: open(__file__, "rb"), True, id="function"),  # noqa: SIM115, PTH123 - the app's own way
        pytest.param(Uncloseable, Uncloseable, False, id="fixed"),
    ],
)
def test_a_file_reaches_the_server_as_the_very_object(
    events: list[dict[str, Any]], wrapper: Any, make: Callable[[], Any], *, closes: bool
) -> None:
    """Only so does the server send it by its shortest way; the line comes when it is closed."""
    file = make()
    server = Server(TraceIdMiddleware(returns(file)), **{"wsgi.file_wrapper": wrapper})

    assert file is server.call()
    assert closes == ([] == endings(events))
    if closes:
        server.close()

    assert [("ok", 200, None)] == endings(events)
    assert getattr(getattr(file, "filelike", file), "closed", True)


def test_a_file_that_could_not_be_sent_was_left_by_its_client(events: list[dict[str, Any]]) -> None:
    """A server closes it on the way out of its own error."""
    file = FileWrapper(io.BytesIO(b"a"))
    server = Server(TraceIdMiddleware(returns(file)), **{"wsgi.file_wrapper": FileWrapper})
    server.call()
    try:
        raise BrokenPipeError  # noqa: TRY301 - as a server's socket does
    except BrokenPipeError:
        server.close()

    assert [("client_disconnected", 200, None)] == endings(events)


@pytest.mark.parametrize("wrapper", [None, FileWrapper, iter], ids=["none", "class", "function"])
def test_what_is_no_file_of_the_servers_is_a_body(
    events: list[dict[str, Any]], wrapper: Any
) -> None:
    """A wrapper of the framework's own is iterated over, in the trace."""
    environ = {} if wrapper is None else {"wsgi.file_wrapper": wrapper}
    server = Server(TraceIdMiddleware(returns(iter([b"a"]))), **environ)

    server.serve()

    assert [b"a"] == server.sent
    assert [("ok", 200, None)] == endings(events)


def test_write_and_exc_info_reach_the_server(events: list[dict[str, Any]]) -> None:
    """The old way of writing, and the way to take a response back, are as they were."""
    reasons = []

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT])
        try:
            raise LookupError  # noqa: TRY301 - what is answered
        except LookupError as error:
            reason = (type(error), error, error.__traceback__)
            reasons.append(reason)
            write = start_response("404 Not Found", [*TEXT], reason)
        write(b"a")
        write(b"b")
        return []

    server = Server(TraceIdMiddleware(app))
    server.serve()

    assert [b"a", b"b"] == server.written
    assert [2, 3] == [len(arguments) for arguments in server.started]
    assert reasons[0] is server.started[-1][2]
    assert [("ok", 404, None)] == endings(events)
    assert events[0]["ttfb_ms"] >= 0


@pytest.mark.parametrize(
    ("app", "streams"),
    [
        pytest.param(returns([b"a", b"b"]), False, id="list"),
        pytest.param(yields(b"a", b"b"), True, id="parts"),
        pytest.param(yields(b"a"), True, id="one-of-unknown-length"),
        pytest.param(yields(b""), False, id="empty"),
        pytest.param(
            returns(iter([b"a"]), headers=[("Content-Length", "1")]),
            False,
            id="one-of-known-length",
        ),
        pytest.param(
            returns(iter([b"a", b"b"]), headers=[("Content-Length", "2")]),
            True,
            id="parts-of-known-length",
        ),
    ],
)
def test_only_a_stream_has_a_time_to_its_first_byte(
    events: list[dict[str, Any]], app: Any, *, streams: bool
) -> None:
    """A body that was there as a whole has none."""
    Server(TraceIdMiddleware(app)).serve()

    assert streams == ("ttfb_ms" in events[0])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([CORS], "x-trace-id", id="none"),
        pytest.param(
            [CORS, ("access-control-expose-headers", "X-Other")], "X-Other, x-trace-id", id="one"
        ),
        pytest.param([CORS, ("Access-Control-Expose-Headers", " ")], "x-trace-id", id="empty"),
        pytest.param(
            [CORS, ("Access-Control-Expose-Headers", "X-TRACE-ID")], "X-TRACE-ID", id="there"
        ),
    ],
)
def test_the_id_is_exposed_to_other_origins(given: Any, expected: str) -> None:
    """Once, after what the app exposes; the app's own list of headers stays as it is."""
    before = [*given]
    server = Server(TraceIdMiddleware(returns([], headers=given)))

    server.serve()

    found = {name.lower(): value for name, value in server.started[-1][1]}
    assert expected == found["access-control-expose-headers"]
    assert before == given


@pytest.mark.parametrize("headers", [[("X",)], [(1, 2)], [b"x: y"]], ids=["short", "int", "bytes"])
def test_headers_that_are_none_are_the_servers_affair(headers: Any) -> None:
    """What it makes of them it makes with us as without."""
    server = Server(TraceIdMiddleware(returns([], headers=headers)))

    assert server.serve() is None
    assert headers == server.started[-1][1][: len(headers)]


@pytest.mark.parametrize("status", ["abc", b"200 OK", None], ids=["text", "bytes", "none"])
def test_a_status_that_is_none_is_the_servers_affair(
    events: list[dict[str, Any]], status: Any
) -> None:
    """The line has none then, or what can be read of it."""
    server = Server(TraceIdMiddleware(returns([b"a"], status)))

    assert server.serve() is None
    assert status is server.started[-1][0]
    assert [("ok", 200 if isinstance(status, bytes) else None, None)] == endings(events)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param({"HTTP_X_TRACE_ID": "first,second"}, "first", id="sent-twice"),
        pytest.param({"HTTP_X_TRACE_ID": "first , second"}, "first", id="joined-widely"),
        pytest.param({"HTTP_X_REQUEST_ID": "other"}, "other", id="second-header"),
        pytest.param({"HTTP_X_TRACE_ID": "\u20ac", "HTTP_X_REQUEST_ID": "o"}, "o", id="no-latin-1"),
        pytest.param({"HTTP_X_TRACE_ID": 7}, None, id="no-string"),
    ],
)
def test_the_id_comes_from_the_environ(sent: dict[str, Any], expected: str | None) -> None:
    """Of a header that was sent twice, which servers join, the first counts."""
    server = Server(TraceIdMiddleware(returns([])), **sent)

    server.serve()

    assert [expected or server.ids[0]] == server.ids
    assert expected or len(server.ids[0]) == 36


@pytest.mark.parametrize(
    ("script", "path", "expected"),
    [
        pytest.param("", "/ok", "/ok", id="plain"),
        pytest.param("/api", "/ok", "/api/ok", id="mounted"),
        pytest.param("", "/caf\xc3\xa9", "/caf\xe9", id="utf-8"),
        pytest.param("", "/\xff", "/\ufffd", id="no-utf-8"),
        pytest.param("", "/\u20ac", "/\u20ac", id="no-bytes"),
    ],
)
def test_the_path_is_readable_and_whole(
    events: list[dict[str, Any]], script: str, path: str, expected: str
) -> None:
    """As it is over ASGI: with its mount, decoded, without the query string."""
    server = Server(
        TraceIdMiddleware(returns([])), SCRIPT_NAME=script, PATH_INFO=path, QUERY_STRING="a=secret"
    )

    server.serve()

    assert [expected] == [event["path"] for event in events]


def test_a_quiet_path_is_below_info(events: list[dict[str, Any]]) -> None:
    """A probe leaves no line where DEBUG is off."""
    app = TraceIdMiddleware(returns([]), Settings(quiet_paths=("/live",)))

    Server(app, PATH_INFO="/live").serve()
    Server(app, SCRIPT_NAME="/below", PATH_INFO="/live").serve()
    Server(app, PATH_INFO="/other").serve()

    assert ["/other"] == [event["path"] for event in events]


def test_a_mounted_app_is_part_of_the_outer_trace(events: list[dict[str, Any]]) -> None:
    """One id and one line, however many of the apps are instrumented."""
    app = TraceIdMiddleware(TraceIdMiddleware(returns([b"a"])))

    server = Server(app)
    server.serve()
    Server(app, **{key: server.environ[key] for key in server.environ}).serve()

    assert 1 == len(server.ids)
    assert [("ok", 200, None)] * 2 == endings(events)


def test_starting_up_happens_once_and_before_the_first_request() -> None:
    """Its failure is ours; of several first requests at once one does it."""
    calls: list[str] = []
    barrier = threading.Barrier(4)

    def on_startup() -> None:
        calls.append("start-up")
        raise KeyError

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        calls.append("request")
        return returns([])(environ, start_response)

    traced = TraceIdMiddleware(app, on_startup=on_startup)

    def request() -> None:
        barrier.wait()
        Server(traced).serve()

    threads = [threading.Thread(target=request) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == calls.count("start-up")
    assert 4 == calls.count("request")


def test_a_start_up_that_another_request_has_taken_is_none(monkeypatch: Any) -> None:
    """Between the question and the deed another thread may have been there."""
    traced = TraceIdMiddleware(returns([]), on_startup=print)

    class Taken(list[Any]):
        def __bool__(self) -> bool:
            return True

    monkeypatch.setattr(traced, "_to_start", Taken())

    assert Server(traced).serve() is None


def test_a_wsgi_callable_is_wrapped_once() -> None:
    """What `instrument` has returned it returns again; one wrapped by hand gets its set-up."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        return returns([])(environ, start_response)

    wrapped = instrument(app)

    assert isinstance(wrapped, TraceIdMiddleware)
    assert wrapped is instrument(wrapped)
    by_hand = TraceIdMiddleware(app)
    assert by_hand is not instrument(by_hand)
