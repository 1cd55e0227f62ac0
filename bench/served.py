"""Measure uvicorn under load: CPU time of its process for one request, and for one chunk of SSE.

Each contender has a server of its own. Sixteen connections are kept open; a request is on the way
on each of them while the server works. What the client costs is not counted.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cases import Case, Contender, MisbehavedError, Target
from bench.harness import compare_all
from bench.served_app import CHUNKS
from bench.soak import HOST, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.cases import Effort, Row

CONNECTIONS = 16
_END = b"0\r\n\r\n"
_length = re.compile(rb"content-length: (\d+)").search
_header = re.compile(rb"\r\nx-trace-id: [^\r]+\r\n").search
_ROOT = Path(__file__).resolve().parents[1]


class Server:
    """The client of one server."""

    def __init__(self, name: str, port: int) -> None:
        self._name = name
        self._sockets = [socket.create_connection((HOST, port)) for _ in range(CONNECTIONS)]

    def close(self) -> None:
        """Close the connections."""
        for each in self._sockets:
            each.close()

    def cpu(self) -> int:
        """Return the CPU time of the server's process, in nanoseconds."""
        return int(self._answers("/cpu", 1)[0].rpartition(b"\r\n\r\n")[2])

    def ask(self, path: str, times: int) -> None:
        """Send requests on all connections, and read the whole answers."""
        for _ in repeat(None, -(-times // CONNECTIONS)):
            self._answers(path, CONNECTIONS)

    def check(self, path: str) -> None:
        """Raise MisbehavedError if the status or the trace id is wrong."""
        (answer,) = self._answers(path, 1)
        has_id = _header(answer.lower()) is not None
        if not answer.startswith(b"HTTP/1.1 200") or has_id is (self._name in WITHOUT_ID):
            msg = f"{self._name}: sent {answer!r}"
            raise MisbehavedError(msg)

    def _answers(self, path: str, count: int) -> list[bytes]:
        used = self._sockets[:count]
        request = f"GET {path} HTTP/1.1\r\nHost: api.example.com\r\nAccept: */*\r\n\r\n".encode()
        for each in used:
            each.sendall(request)
        return [_whole(each) for each in used]


WITHOUT_ID = ("bare", "access_log")


def _whole(connection: socket.socket) -> bytes:
    """Read one answer."""
    answer = b""
    while True:
        part = connection.recv(65536)
        if not part:
            msg = f"the server has closed the connection after {answer!r}"
            raise MisbehavedError(msg)
        answer += part
        head, end, body = answer.partition(b"\r\n\r\n")
        if end and (length := _length(head.lower())):
            if len(body) >= int(length[1]):
                return answer
        elif answer.endswith(_END):
            return answer


@contextmanager
def _serving(name: str) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    command = (sys.executable, "-m", "bench.served_app", name, str(port))
    with (
        subprocess.Popen(  # noqa: S603 - our own code
            command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as server,
        subprocess.Popen(("/bin/cat",), stdin=server.stdout, stdout=subprocess.DEVNULL),
    ):
        try:
            wait_until_ready(server, port)
            with closing(Server(name, port)) as client:
                yield client
        finally:
            server.terminate()


def rows(effort: Effort) -> list[Row]:
    """Compare requests per CPU second, as CPU time of a request, and the chunks of a stream."""
    effort = replace(effort, rounds=max(1, effort.rounds // 3))
    with ExitStack() as stack:
        servers = {name: stack.enter_context(_serving(name)) for name in NAMES}
        one = {name: _contender(server, "/orders/7") for name, server in servers.items()}
        stream = {name: _contender(server, "/stream") for name, server in servers.items()}
        served = Case(
            work="uvicorn, a request (peer: access log)",
            hand=one["by_hand"],
            peer=one["access_log"],
            ours=one["ours"],
            others={"nothing": one["bare"], "asgi-correlation-id": one["id_only"]},
            target=Target(hand=1.05, peer=0.625),
        )
        chunk = Case(
            work="uvicorn, SSE chunk (hand: bare)",
            hand=stream["bare"],
            peer=stream["id_only"],
            ours=stream["ours"],
            parts=CHUNKS,
            target=Target(hand=1.1),
        )
        return [
            *compare_all(served, effort, pieces=CONNECTIONS * 4),
            *compare_all(chunk, effort, pieces=CONNECTIONS),
        ]


NAMES = ("bare", "access_log", "by_hand", "id_only", "ours")


def _contender(server: Server, path: str) -> Contender:
    return Contender(
        run=lambda times: server.ask(path, times),
        check=lambda: server.check(path),
        clock=server.cpu,
    )
