"""A client that leaves in the middle of its upload, under a real WSGI server."""

from __future__ import annotations

import socket
import struct
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests.adapters.contract import ADAPTERS, Service, check_whole_output, new_id
from tests.sinks.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("gunicorn")
WITH_SENTRY = find_spec("sentry_sdk") is not None
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends a reset
HEAD = b"POST /%s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Trace-ID: %s\r\n%s\r\n\r\n"
PART = b"x" * 5000
PARTS = {
    b"Content-Length: 1000000": PART,
    b"Transfer-Encoding: chunked": b"%x\r\n%s" % (1_000_000, PART),
}
WSGI = [adapter for adapter in ADAPTERS if not adapter.is_asgi]


@pytest.fixture(scope="module", params=WSGI, ids=lambda adapter: adapter.name)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """Serve each application that is called over WSGI."""
    adapter = request.param
    if adapter.package:
        pytest.importorskip(adapter.package)
    with Receiver() as receiver:
        with adapter.serve(env={"SENTRY_DSN": receiver.dsn} if WITH_SENTRY else {}) as server:
            service = Service(adapter, server)
            yield service
            server.stop()
        assert [] == receiver.events
    check_whole_output(service)


@pytest.mark.parametrize("framing", PARTS, ids=["length", "chunked"])
@pytest.mark.parametrize("path", [b"posted", b"tolerated"])
def test_a_client_that_leaves_its_upload_is_no_error(
    service: Service, path: bytes, framing: bytes
) -> None:
    """No response had started, so the line has no status, whatever the application answers."""
    if service.adapter.package == "django" and framing.endswith(b"chunked"):
        pytest.skip("Django reads no body whose length it does not know")
    trace_id = new_id()
    with service.server.connect() as connection:
        connection.sendall(HEAD % (path, trace_id.encode(), framing) + PARTS[framing])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    [story] = service.lines_of(trace_id)

    assert ("client_disconnected", "info", None, None) == (
        story["outcome"],
        story["level"],
        story.get("status_code"),
        story.get("error_type"),
    )
