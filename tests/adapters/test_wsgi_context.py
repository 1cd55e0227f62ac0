"""The context of an app whose server asks for a part, serves another request, and goes on."""

from __future__ import annotations

import copy
import pickle
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from pantheon_obs import bind, current_trace_id, trace_context
from pantheon_obs.adapters.wsgi import TraceIdMiddleware
from pantheon_obs.core.context import current_trace
from tests.adapters.wsgi_server import TEXT, Server, endings, raises, returns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_of_the_application: ContextVar[str] = ContextVar("_of_the_application", default="")


def seen() -> dict[str, Any]:
    """Return the current id and bound fields."""
    return {"id": current_trace_id.get(), **structlog.contextvars.get_contextvars()}


class Stream:
    """A body of which each step records the current id and bound fields."""

    def __init__(self, name: str) -> None:
        structlog.contextvars.bind_contextvars(user=name)
        self.seen = [seen()]
        self.parts = 0

    def __iter__(self) -> Iterator[bytes]:
        """Return the body itself."""
        return self

    def __next__(self) -> bytes:
        """Return one of two parts."""
        self.seen.append(seen())
        self.parts += 1
        structlog.contextvars.bind_contextvars(part=self.parts)
        bind(parts=self.parts)
        if self.parts > 2:
            raise StopIteration
        return b"part"

    def close(self) -> None:
        """Record the same in `close`."""
        self.seen.append(seen())


def app(environ: dict[str, Any], start_response: Any) -> Any:
    """Return a stream, and keep it in the environ for the test."""
    start_response("200 OK", [*TEXT])
    environ["test.body"] = body = Stream(environ["HTTP_X_TRACE_ID"])
    return body


def expected(name: str) -> list[dict[str, Any]]:
    """Return the contexts that a stream sees in its call, its steps and its close."""
    own = {"id": name, "user": name}
    return [own, own, {**own, "part": 1}, {**own, "part": 2}, {**own, "part": 3}]


def nothing_is_current() -> bool:
    """Whether a context is as clean as before."""
    return seen() == {"id": ""} and current_trace.get() is None


def test_streams_on_one_thread_by_turns_keep_apart(events: list[dict[str, Any]]) -> None:
    """Each step has the id and fields of its request; between two steps nothing is current."""
    traced = TraceIdMiddleware(app)
    servers = [Server(traced, HTTP_X_TRACE_ID=name) for name in ("a", "b", "c")]
    bodies = [iter(server.call()) for server in servers]

    assert nothing_is_current()
    for _ in range(3):
        for body in bodies:
            next(body, None)
            assert nothing_is_current()
    for server in servers:
        server.close()
        assert nothing_is_current()

    for server in servers:
        name = server.environ["HTTP_X_TRACE_ID"]
        assert expected(name) == server.environ["test.body"].seen
    assert [("a", 3), ("b", 3), ("c", 3)] == [(e["trace_id"], e["parts"]) for e in events]


def test_a_stream_that_wanders_through_threads_takes_its_context_along(
    events: list[dict[str, Any]],
) -> None:
    """The server may ask for each part, and close, from another thread."""
    server = Server(TraceIdMiddleware(app), HTTP_X_TRACE_ID="a")
    clean: list[bool] = []

    def run(step: Callable[[], Any]) -> None:
        def stepping() -> None:
            step()
            clean.append(nothing_is_current())

        thread = threading.Thread(target=stepping)
        thread.start()
        thread.join()

    run(server.call)
    for _ in range(3):
        run(lambda: next(server.body, None))
    run(server.close)

    assert [True] * 5 == clean
    assert expected("a") == server.environ["test.body"].seen
    assert [("ok", 200, None)] == endings(events)


def test_a_context_variable_of_the_application_stays_set(events: list[dict[str, Any]]) -> None:
    """Only our variables and structlog's are reset; a token of the application stays valid."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT])
        token = _of_the_application.set("set")

        def body() -> Iterator[bytes]:
            yield _of_the_application.get().encode()
            _of_the_application.reset(token)

        return body()

    server = Server(TraceIdMiddleware(application))
    next(iter(server.call()))

    assert "set" == _of_the_application.get()
    server.read()
    assert "" == _of_the_application.get()
    server.close()
    assert [("ok", 200, None)] == endings(events)


def test_a_trace_within_a_stream_lasts_over_its_parts(events: list[dict[str, Any]]) -> None:
    """A job within the body has its own trace until the job ends."""
    ids: list[str] = []

    def job(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        with trace_context("job"):
            yield b"one"
            ids.append(current_trace_id.get())
            yield b"two"
        ids.append(current_trace_id.get())
        yield b"three"

    server = Server(TraceIdMiddleware(job), HTTP_X_TRACE_ID="a")

    server.serve()

    assert ["job", "a"] == ids
    assert nothing_is_current()
    assert ["a"] == [event["trace_id"] for event in events]


def test_nothing_leaks_into_the_next_request_on_the_thread(events: list[dict[str, Any]]) -> None:
    """A request leaks nothing, whether it is read, dropped, broken or never answered."""

    def binds(inner: Any) -> Any:
        def app(environ: dict[str, Any], start_response: Any) -> Any:
            structlog.contextvars.bind_contextvars(user="alice")
            bind(tenant="acme")
            return inner(environ, start_response)

        return app

    for inner in returns([b"a"]), returns(iter([b"a"])), raises(KeyError()), raises(SystemExit()):
        Server(TraceIdMiddleware(binds(inner))).serve()
        assert nothing_is_current()
        abandoned = Server(TraceIdMiddleware(binds(returns(iter([b"a"])))))
        next(iter(abandoned.call()))
        assert nothing_is_current()
        abandoned.body = None

    assert {"acme"} == {event["tenant"] for event in events}
    assert 8 == len({event["trace_id"] for event in events})


def test_an_inner_request_gives_the_outer_ones_back(events: list[dict[str, Any]]) -> None:
    """A request that is served within another one restores that one's context."""
    found: list[object] = []

    def outer(environ: dict[str, Any], start_response: Any) -> Any:
        structlog.contextvars.bind_contextvars(user="alice")
        Server(TraceIdMiddleware(app), HTTP_X_TRACE_ID="inner").serve()
        found.append(seen())
        return returns([])(environ, start_response)

    Server(TraceIdMiddleware(outer), HTTP_X_TRACE_ID="outer").serve()

    assert [{"id": "outer", "user": "alice"}] == found
    assert ["inner", "outer"] == [event["trace_id"] for event in events]


class OpenCall:
    """A call in progress, as a trace knows it."""

    nested = False
    started = 0.0

    def __init__(self) -> None:
        self.finished: list[dict[str, Any]] = []

    def force_finish(self) -> None:
        """Record the trace in which the call was ended."""
        self.finished.append(seen())


def test_calls_that_are_open_at_the_end_are_finished_in_the_trace(
    events: list[dict[str, Any]],
) -> None:
    """Open calls are finished for each kind of body."""
    for body in [b"a"], iter([b"a"]), None:
        call = OpenCall()

        def opens(
            environ: dict[str, Any], start_response: Any, call: OpenCall = call, body: Any = body
        ) -> Any:
            record = current_trace.get()
            assert record is not None
            record.open_calls.add(call)
            return returns(body)(environ, start_response)

        server = Server(TraceIdMiddleware(opens), HTTP_X_TRACE_ID="a")
        server.call()
        assert [] == call.finished
        try:
            server.read()
        except TypeError:
            assert body is None
        server.close()

        assert [{"id": "a"}] == call.finished


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda environ: pickle.loads(pickle.dumps(environ))],  # noqa: S301 - our own
    ids=["copy", "deepcopy", "pickle"],
)
def test_an_environ_is_copied_and_pickled_as_without_us(
    events: list[dict[str, Any]], copied: Callable[[Any], Any]
) -> None:
    """A copy that is served later is a request of its own."""
    copies: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        copies.append(copied(environ))
        start_response("200 OK", [])
        return []

    traced = TraceIdMiddleware(app)
    Server(traced, HTTP_X_TRACE_ID="t-1").serve()
    later = Server(traced)
    later.environ = copies[0]

    assert later.serve() is None
    assert {"t-1"} == {event["trace_id"] for event in events}
    assert [("ok", 200, None)] * 2 == endings(events)
