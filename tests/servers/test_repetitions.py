"""Servers and converters that log an exception again: one failure has one traceback."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import closing
from typing import Any

import pytest

from pantheon_obs import bind, instrument, trace_context
from tests.support import loopback
from tests.support.lines import with_traceback
from tests.support.server import SECONDS, free_port

Events = list[dict[str, Any]]


def app(_environ: Any, _start_response: Any) -> Any:
    """Fail."""
    bind(tenant="acme")
    raise LookupError


async def asgi_app(_scope: Any, _receive: Any, _send: Any) -> None:
    """Fail."""
    raise LookupError


def ask(port: int) -> None:
    """Send a request with a secret in its query string."""
    url = f"http://127.0.0.1:{port}/boom?token=hunter2"
    assert 500 == loopback.get(url).status_code


def check(lines: Events) -> None:
    """Check that our line is the only one about the failure."""
    assert ["request_finished"] == [
        event["event"] for event in lines if event["level"] in {"warning", "error", "critical"}
    ]
    assert 1 == sum("exception" in event for event in lines)
    assert "hunter2" not in str(lines)


def test_waitress_says_it_once(lines: Events) -> None:
    """Its own line comes from the thread that has served the request."""
    waitress = pytest.importorskip("waitress")
    server = waitress.create_server(instrument(app), host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run)
    thread.start()

    ask(server.effective_port)
    server.task_dispatcher.shutdown()
    server.trigger.pull_trigger(server.close)
    thread.join(SECONDS)

    check(lines)


def test_tornado_says_it_once(lines: Events) -> None:
    """Its container for WSGI logs the access and the error."""
    httpserver = pytest.importorskip("tornado.httpserver")
    wsgi = pytest.importorskip("tornado.wsgi")
    port = free_port()

    async def serve() -> None:
        server = httpserver.HTTPServer(wsgi.WSGIContainer(instrument(app)))
        server.listen(port, "127.0.0.1")
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /boom?token=hunter2 HTTP/1.1\r\nHost: test\r\n\r\n")
        while not any("exception" in event for event in lines):  # noqa: ASYNC110 - lines set none
            await asyncio.sleep(0.01)
        for _ in range(10):  # it logs the error in a step of the loop, and answers nothing
            await asyncio.sleep(0)
        server.stop()
        await server.close_all_connections()
        writer.close()

    asyncio.run(serve())

    check(lines)


def test_mangum_says_it_once(lines: Events) -> None:
    """It answers the event of AWS Lambda with a 500 of its own, and logs the error."""
    mangum = pytest.importorskip("mangum")
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/boom",
        "rawQueryString": "token=hunter2",
        "headers": {"host": "test"},
        "requestContext": {
            "http": {"method": "GET", "path": "/boom", "sourceIp": "127.0.0.1"},
            "domainName": "test",
        },
        "isBase64Encoded": False,
    }

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        handler = mangum.Mangum(instrument(asgi_app), lifespan="off")
        assert 500 == handler(event, None)["statusCode"]
    finally:
        asyncio.set_event_loop(None)
        loop.close()

    check(lines)


def escaped(error: Exception) -> None:
    """Have an exception escape from a request, whose line has its traceback."""

    def failing(_environ: Any, _start_response: Any) -> Any:
        raise error

    with closing(instrument(failing)({"REQUEST_METHOD": "GET"}, lambda *_: len)) as body:
        assert b"Internal Server Error" == next(body)
        with pytest.raises(type(error)):
            next(body)


def library_logs(error: Exception) -> None:
    """Log an exception as installed code does, whatever its name."""
    record = logging.getLogger("some.server").makeRecord(
        "some.server",
        logging.ERROR,
        logging.__file__,
        1,
        "it failed",
        (),
        (type(error), error, error.__traceback__),
    )
    logging.getLogger("some.server").handle(record)


def test_a_line_of_the_application_about_its_own_error_stays(lines: Events) -> None:
    """Only installed code repeats an exception that it received."""
    error = LookupError()
    escaped(error)

    logging.getLogger("shop").error("the job failed", exc_info=error)

    assert ["request_finished", "the job failed"] == with_traceback(lines)


def test_a_line_within_another_request_or_job_stays(lines: Events) -> None:
    """Code that gets the exception of a request in its own trace has a failure of its own."""
    error = LookupError()
    escaped(error)

    with trace_context("job-1"):
        library_logs(error)

    assert ["request_finished", "it failed"] == with_traceback(lines)


def test_elsewhere_the_first_line_repeats_and_a_later_one_is_a_new_failure(lines: Events) -> None:
    """A server may log from a thread; a library may raise the same object again and again."""
    error = LookupError()
    escaped(error)

    for _ in range(2):
        thread = threading.Thread(target=library_logs, args=[error])
        thread.start()
        thread.join(SECONDS)

    assert ["request_finished", "it failed"] == with_traceback(lines)


def test_an_error_that_no_line_has_is_logged(lines: Events) -> None:
    """An exception of a job without an event of its own is reported by the code that logs it."""
    error = LookupError()
    with pytest.raises(LookupError), trace_context("job-1"):
        raise error

    library_logs(error)

    assert ["it failed"] == with_traceback(lines)
