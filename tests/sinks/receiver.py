"""An HTTP server that a DSN points to; it keeps everything that Sentry's client sends."""

from __future__ import annotations

import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition
from typing import Any

from tests.support.serving import Serving

SECONDS = 60.0


class Receiver(Serving):
    """Listens on a free port of the loopback interface while its `with` block runs.

    Attributes:
        items: Pairs of an envelope item's type and its payload, in the order of arrival.
        sampling: The sampling context of each event, by its id; on the wire it is `trace`.
        peers: The address of the client at each request; requests on one connection share it.
        dsn: The DSN of this server.
    """

    def __init__(self) -> None:
        self.items: list[tuple[str, dict[str, Any]]] = []
        self.sampling: dict[str, dict[str, str]] = {}
        self.peers: list[tuple[str, int]] = []
        self._arrived = Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections are kept, as Sentry's servers do
            wbufsize = -1  # one packet for each response: the client acknowledges the first late

            def do_POST(self) -> None:
                receiver.peers.append(self.client_address)
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                receiver.take(body)
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        super().__init__(server)
        self.dsn = f"http://public@127.0.0.1:{server.server_port}/1"

    def take(self, envelope: bytes) -> None:
        """Read an envelope's items: https://develop.sentry.dev/sdk/data-model/envelopes/."""
        first, _, rest = envelope.partition(b"\n")
        about = json.loads(first)
        self.sampling[about.get("event_id", "")] = about.get("trace", {})
        while rest:
            head, _, rest = rest.partition(b"\n")
            header = json.loads(head)
            payload, rest = rest[: header["length"]], rest[header["length"] + 1 :]
            with self._arrived:
                self.items.append((header["type"], json.loads(payload)))
                self._arrived.notify_all()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the errors, without transactions and sessions."""
        return [payload for kind, payload in self.items if kind == "event"]

    def wait_for(self, count: int) -> None:
        """Wait until so many errors have arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.events) >= count, SECONDS), self.items
