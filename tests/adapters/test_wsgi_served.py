"""Under a real server: files that it sends itself, and a response that is replaced by a 500."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adapters.contract import Adapter, Service, check_whole_output, new_id, read_all
from tests.support.server import Server, gunicorn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 64 * 1024 * 1024  # more than the buffers of sockets


def serve(*options: str) -> Server:
    """Serve one request at a time, in the worker's main thread."""
    logger = ("--logger-class", "pantheon_obs.adapters.gunicorn.JSONLogger")
    return gunicorn("tests.adapters.apps.wsgi_served:app", *options, "--no-control-socket", *logger)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Serve the app."""
    pytest.importorskip("gunicorn")
    with serve() as server:
        service = Service(Adapter("wsgi", serve), server)
        yield service
        server.stop()
    check_whole_output(service)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a large sparse file, which takes no space on the disk."""
    path = tmp_path_factory.mktemp("served") / "file"
    with path.open("wb") as file:
        file.truncate(SIZE)
    return path


def test_a_file_is_sent_by_the_server_itself(service: Service, file: Path) -> None:
    """gunicorn recognizes its own wrapper; the line comes with the end of the file."""
    trace_id = new_id()

    response = service.get("/file", {"X-Trace-ID": trace_id, "X-File": str(file)})

    assert SIZE == len(response.content)
    story = service.story(trace_id)
    assert ("ok", 200) == (story["outcome"], story["status_code"])
    assert any(line.get("is_file") for line in service.lines)


def test_a_client_that_leaves_a_file_is_noticed(service: Service, file: Path) -> None:
    """The server cannot send the rest, and closes it."""
    trace_id = new_id()
    headers = ((b"X-Trace-ID", trace_id.encode()), (b"X-File", str(file).encode()))
    with service.send("/file", *headers) as connection:
        connection.recv(1)

    story = service.story(trace_id)

    assert ("client_disconnected", "info") == (story["outcome"], story["level"])


def test_a_response_that_was_started_is_taken_back(service: Service) -> None:
    """gunicorn itself would send both headers, and nothing at all for an OSError."""
    trace_id = new_id()

    with service.send("/boom", (b"X-Trace-ID", trace_id.encode())) as connection:
        head, _, body = read_all(connection).decode().partition("\r\n\r\n")

    assert ("HTTP/1.1 500", "Internal Server Error") == (head[:12], body)
    assert 1 == head.count("Content-Length: ") == head.count(f"X-Trace-ID: {trace_id}")
    assert ("error", 500) == (
        (story := service.story(trace_id))["outcome"],
        story["status_code"],
    )


def test_a_response_that_cannot_be_taken_back_is_left_to_the_server(service: Service) -> None:
    """If a layer hides gunicorn's response from us, gunicorn behaves as it does without us."""
    trace_id = new_id()

    with service.send("/hidden/boom", (b"X-Trace-ID", trace_id.encode())) as connection:
        assert b"" == read_all(connection)

    assert "OSError" == service.story(trace_id)["error_type"]


def test_the_server_repeats_no_traceback(service: Service) -> None:
    """Each of the errors has one line."""
    for path in ("/boom", "/hidden/boom"):
        trace_id = new_id()
        with service.send(path, (b"X-Trace-ID", trace_id.encode())) as connection:
            read_all(connection)
        service.story(trace_id)

    traced = [line for line in service.lines if "exception" in line]

    assert {"request_finished"} == {line["event"] for line in traced}
