"""The contract, second part: one line says how a request ended."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.contract import Service, new_id

if TYPE_CHECKING:
    from tests.adapters.contract import Adapter


def ending(story: dict[str, Any]) -> tuple[Any, ...]:
    """Return the fields of a line that say how the exchange ended."""
    return (story["outcome"], story.get("status_code"), story["level"], story.get("error_type"))


@pytest.mark.parametrize(
    ("path", "expected", "needs"),
    [
        pytest.param("/ok", ("ok", 200, "info", None), (), id="value"),
        pytest.param("/nowhere", ("ok", 404, "warning", None), (), id="404"),
        pytest.param("/handled/404", ("ok", 404, "warning", None), (), id="handled-4xx"),
        pytest.param("/handled/503", ("ok", 503, "error", None), (), id="handled-5xx"),
        pytest.param("/boom", ("error", 500, "error", "ZeroDivisionError"), (), id="unhandled"),
        pytest.param(
            "/no-response", ("no_response", 500, "error", None), ("no response",), id="no-response"
        ),
    ],
)
def test_the_line_tells_how_a_request_ended(
    service: Service, path: str, expected: tuple[Any, ...], needs: tuple[str, ...]
) -> None:
    """Outcome, status, level and error type belong together; there is one line, complete."""
    service.needs(*needs)

    story = service.story(service.get(path))

    assert expected == ending(story)
    assert ("GET", path) == (story["method"], story["path"])
    assert story["latency_ms"] > 0
    assert "ttfb_ms" not in story


def test_an_unhandled_error_has_exactly_one_traceback(service: Service) -> None:
    """The request's line has it; the server's line of the same exception is dropped."""
    response = service.get("/boom")

    lines = service.lines_of(response.headers["x-trace-id"])

    [story] = [line for line in lines if "exception" in line]
    assert "request_finished" == story["event"]
    assert story["exception"].splitlines()[-1].startswith("ZeroDivisionError")
    assert [] == [
        line
        for line in service.lines
        if line["logger"] == "uvicorn.error"
        and "exception" in line
        and "ZeroDivisionError" in line["exception"]
    ]


@pytest.mark.parametrize("path", ["/stream/", "/sync-stream/"])
def test_a_stream_is_not_buffered_and_its_line_comes_after_its_last_byte(
    service: Service, path: str
) -> None:
    """The first chunk reaches the client while the second does not exist yet."""
    if path == "/sync-stream/":
        service.needs("sync endpoints", "sync streams")
    key = new_id()

    with service.open(path + key, key) as response:
        body = response.iter_raw()
        first = next(body)
        later = service.story(service.get("/ok"))  # by now a line of the stream would be there too
        early = [line for line in service.lines if line.get("trace_id") == key]
        service.release(key)
        rest = b"".join(body)

    assert f"one {key}\n".encode() == first
    assert f"two {key}\n".encode() == rest
    assert "request_finished" == later["event"]
    assert [] == early
    lines = service.lines_of(key)
    assert ["second chunk", "request_finished"] == [line["event"] for line in lines]
    story = lines[-1]
    assert ("ok", 200, "info", None) == ending(story)
    assert 0 < story["ttfb_ms"] < story["latency_ms"]


def test_an_error_in_the_middle_of_a_stream_is_an_error(service: Service) -> None:
    """The status has been sent, the outcome is not ok; the traceback is on the line."""
    trace_id = new_id()
    with service.send("/broken-stream", (b"X-Trace-ID", trace_id.encode())) as connection:
        while connection.recv(65536):
            pass

    lines = service.lines_of(trace_id)

    [story] = lines
    assert ("error", 200, "error", "RuntimeError") == ending(story)
    assert "the stream broke" in story["exception"]
    assert story["ttfb_ms"] > 0


def test_a_response_that_is_not_ended_is_an_error(service: Service) -> None:
    """An app that returns in the middle of its response has not served it."""
    service.needs("no response", "half responses")
    trace_id = new_id()
    with service.send("/half-response", (b"X-Trace-ID", trace_id.encode())) as connection:
        while connection.recv(65536):
            pass

    assert ("error", 200, "error", None) == ending(service.story(trace_id))


def test_a_client_that_leaves_a_stream_is_no_error(service: Service) -> None:
    """A cut connection ends the stream, and the line says that the client left."""
    trace_id = new_id()
    with service.send("/endless", (b"X-Trace-ID", trace_id.encode())) as connection:
        received = b""
        while b"data: again" not in received:
            received += connection.recv(65536)

    [story] = service.lines_of(trace_id)

    assert ("client_disconnected", 200, "info", None) == ending(story)


def test_a_client_that_does_not_wait_for_a_slow_answer_is_noticed(service: Service) -> None:
    """A client that leaves while the handler works gets no answer, and the line has no status."""
    service.needs("departures")
    key = new_id()
    with service.send(f"/slow/{key}", (b"X-Trace-ID", key.encode())):
        service.wait_for(key, "waiting")

    service.release(key)

    assert ("client_disconnected", None, "info", None) == ending(service.story(key))


def test_a_client_that_leaves_during_its_upload_is_no_error(service: Service) -> None:
    """The framework's exception for it is no failure, and its answer reaches nobody."""
    service.needs("departures", "uploads")
    trace_id = new_id()
    headers = (
        (b"X-Trace-ID", trace_id.encode()),
        (b"Content-Length", b"100000"),
        (b"Content-Type", b"application/json"),
    )
    with service.send("/posted", *headers, method="POST") as connection:
        connection.sendall(b"[" * 5000)

    [story] = service.lines_of(trace_id)

    assert ("client_disconnected", None, "info", None) == ending(story)
    assert [] == [line for line in service.lines if "Disconnect" in line.get("exception", "")]


def test_work_after_the_response_is_not_in_the_request(service: Service) -> None:
    """The line comes with the last byte; later lines have the id all the same."""
    service.needs("background")
    response = service.get(f"/background/{(key := new_id())}")
    trace_id = response.headers["x-trace-id"]

    service.story(response)
    service.release(key)
    service.wait_for(trace_id, "worked")

    assert ["request_finished", "worked"] == [line["event"] for line in service.lines_of(trace_id)]


@pytest.mark.parametrize(
    ("status", "level"), [pytest.param(200, "info", id="200"), pytest.param(503, "error", id="503")]
)
def test_work_after_the_response_that_fails_is_reported_once(
    service: Service, status: int, level: str
) -> None:
    """The request has the outcome ok; the failure has a line of its own with a traceback."""
    service.needs("background")
    trace_id = service.get(f"/background-boom/{status}").headers["x-trace-id"]
    service.wait_for(trace_id, "background_failed")

    story, failure = service.lines_of(trace_id)

    assert ("ok", status, level, None) == ending(story)
    assert ("background_failed", "error", "LookupError") == (
        failure["event"],
        failure["level"],
        failure["error_type"],
    )
    assert "the background broke" in failure["exception"]
    assert [] == [
        line
        for line in service.lines
        if line["logger"] == "uvicorn.error"
        and "exception" in line
        and "the background broke" in line["exception"]
    ]


def test_a_call_that_is_still_open_is_finished_with_the_request(service: Service) -> None:
    """Each call that the app leaves open is ended when the app returns."""
    trace_id = service.get("/open-call").headers["x-trace-id"]
    service.wait_for(trace_id, "force_finished")  # comes after the request's own line

    events = [line["event"] for line in service.lines_of(trace_id)]

    assert ["request_finished", "force_finished"] == events


def test_the_query_string_is_on_no_line(service: Service) -> None:
    """Query strings may contain secrets, so no line shows them, not even the server's own."""
    secret = new_id()

    for path in ("/ok", "/nowhere", "/boom", "/handled/503"):
        service.story(service.get(f"{path}?token={secret}"))

    assert [] == [line for line in service.server.out if secret in line]


def test_a_question_mark_that_is_part_of_the_path_stays(service: Service) -> None:
    """A percent-encoded one begins no query string; the line is valid all the same."""
    line = service.story(service.get("/no%3Fwhere?query"))

    assert "/no?where" == line["path"]


def test_a_server_that_stops_leaves_a_line_of_each_cancelled_request(adapter: Adapter) -> None:
    """A request that the shutdown cancels has exactly one line, which says so."""
    adapter.needs("shutdown")
    key = new_id()
    with adapter.serve("--timeout-graceful-shutdown", "1") as server:
        service = Service(adapter, server)
        with service.send(f"/slow/{key}", (b"X-Trace-ID", key.encode())):
            service.wait_for(key, "waiting")
            server.stop(signal.SIGTERM)

    lines = [line for line in service.lines if line.get("trace_id") == key]
    assert ["waiting", "request_finished"] == [line["event"] for line in lines]
    assert ("cancelled", None, "info", None) == ending(lines[-1])
    assert [] == server.err


def test_a_stream_that_is_open_when_the_server_stops_is_cancelled(adapter: Adapter) -> None:
    """It has exactly one line, even if the process ends before the application's call does."""
    adapter.needs("lifespan")
    key = new_id()
    with adapter.serve("--timeout-graceful-shutdown", "1") as server:
        service = Service(adapter, server)
        with service.send("/endless", (b"X-Trace-ID", key.encode())) as connection:
            received = b""
            while b"data: again" not in received:
                received += connection.recv(65536)
            server.stop(signal.SIGTERM)

    [line] = [line for line in service.lines if line.get("trace_id") == key]
    assert ("cancelled", 200, "info", None) == ending(line)
    assert [] == server.err
