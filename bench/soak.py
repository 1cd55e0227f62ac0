"""Serve load for a time, and check that no line is lost and that nothing grows.

`python -m bench.soak --seconds 600` serves uvicorn and gunicorn, one after the other, with 64
connections: answers, errors, streams, streams that the client cuts. A worker of gunicorn is killed,
and SIGTERM comes while requests are in flight. Each request that was answered must have one
`request_finished`, and resident memory, descriptors and threads of each process must be as in the
first half of its life. No check depends on the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median

HOST = "127.0.0.1"
PATHS = ("/ok", "/stream", "/endless", "/boom", "/ok", "/figures", "/ok")
CONNECTIONS = 64
GROWTH = 4 * 1024 * 1024  # bytes of resident memory that a half may have more than the other
FEW = 8  # figures of one process, below which there are no halves to compare
THREADS = 16  # of a worker of gunicorn
PATIENCE = 30.0  # seconds until a server that does not start or end is a failure

SERVERS = {
    "uvicorn": ("uvicorn", "bench.soak_app:app", "--host", HOST, "--port", "{port}"),
    "gunicorn": (
        *("gunicorn", "bench.soak_app:wsgi_app", "--bind", HOST + ":{port}", "--workers", "2"),
        *("--threads", str(THREADS), "--no-control-socket", "--graceful-timeout", "10"),
        *("--logger-class", "pantheon_obs.adapters.gunicorn.JSONLogger"),
    ),
}


@dataclass
class Seen:
    """The responses that the clients have received, and the figures of the server.

    Attributes:
        answered: The ids of requests whose whole response has come.
        begun: The ids of those of which the head has come.
        figures: The figures of each process, in their order: memory, descriptors, threads.
    """

    answered: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    figures: defaultdict[int, list[tuple[int, ...]]] = field(
        default_factory=lambda: defaultdict(list)
    )


async def ask(port: int, path: str, trace_id: str, seen: Seen) -> None:
    """Send one request; leave an endless response after its beginning."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n"
            f"X-Trace-ID: {trace_id}\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        seen.begun.append(trace_id)
        if path == "/endless":
            await reader.readexactly(4096)
            return
        body = await reader.read()
        seen.answered.append(trace_id)
        if path == "/figures":
            process, *figures = map(int, body.split(b"\r\n")[-4 if b"\r\n" in body else 0].split())
            seen.figures[process].append(tuple(figures))
    finally:
        writer.close()


async def load(port: int, ids: count[int], seen: Seen, stop: asyncio.Event) -> None:
    """Send one request after the other until it is to stop; a killed server may refuse any."""
    while not stop.is_set():
        number = next(ids)
        try:
            await ask(port, PATHS[number % len(PATHS)], f"soak-{number}", seen)
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.01)


async def soak(port: int, server: subprocess.Popen[bytes], seconds: float, *, kill: bool) -> Seen:
    """Load the server, kill one of its workers half way, and end it with requests in flight."""
    seen, ids, stop = Seen(), count(), asyncio.Event()
    clients = [asyncio.create_task(load(port, ids, seen, stop)) for _ in range(CONNECTIONS)]
    await asyncio.sleep(seconds / 2)
    if kill:
        while len(seen.figures) < 2:  # noqa: ASYNC110, PLR2004 - both workers have answered
            await asyncio.sleep(0.01)
        os.kill(next(iter(seen.figures)), signal.SIGKILL)
    await asyncio.sleep(seconds / 2)
    while len(seen.answered) < CONNECTIONS:  # noqa: ASYNC110 - however slow the machine is
        await asyncio.sleep(0.01)
    server.send_signal(signal.SIGTERM)
    stop.set()
    await asyncio.gather(*clients)
    return seen


def check(name: str, seen: Seen, output: bytes, *, killed: bool) -> list[str]:
    """List the faults in the lines and in the figures."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith(b"{")]
    finished = Counter(line["trace_id"] for line in lines if line["event"] == "request_finished")
    # A killed worker takes the lines of responses with it that it has just sent.
    lost = [trace_id for trace_id in seen.begun if trace_id not in finished]
    allowed = CONNECTIONS if killed else 0
    problems = [
        *(f"{name}: {trace_id} has {n} lines" for trace_id, n in finished.items() if n > 1),
        *(f"{name}: {trace_id} has no line" for trace_id in lost[allowed:]),
        *(
            f"{name}: {line}"
            for line in lines
            if line["event"] in ("telemetry_failed", "log_lines_dropped")
        ),
    ]
    for process, figures in seen.figures.items():
        if len(figures) >= FEW:
            problems += grown(f"{name}, process {process}", figures[len(figures) // 4 :])
        for part in (figures[len(figures) // 4], figures[-1]):
            print(f"{name}, process {process}: memory, descriptors, threads {part}")
    print(
        f"{name}: {len(seen.begun)} requests, {len(seen.answered)} answered whole, "
        f"{sum(finished.values())} lines, {len(seen.figures)} processes, "
        f"{len(problems)} problems"
    )
    return problems


def grown(where: str, figures: list[tuple[int, ...]]) -> list[str]:
    """Compare the halves of a process's figures, whose warm-up has been taken off."""
    half = len(figures) // 2
    first, second = (
        [median(column) for column in zip(*part, strict=True)]
        for part in (figures[:half], figures[half:])
    )
    names = ("resident memory", "descriptors", "threads")
    tolerated = (GROWTH, CONNECTIONS, THREADS)  # gunicorn starts its threads as it needs them
    return [
        f"{where}: {name} has grown from {before:.0f} to {after:.0f}"
        for name, before, after, more in zip(names, first, second, tolerated, strict=True)
        if after > before + more
    ]


def run(name: str, seconds: float) -> list[str]:
    """Soak one server; list the faults."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    command = [part.format(port=port) for part in SERVERS[name]]
    with tempfile.TemporaryFile() as output:
        server = subprocess.Popen(  # noqa: S603 - one of `SERVERS`
            [sys.executable, "-m", *command],
            cwd=Path(__file__).resolve().parents[1],
            stdout=output,
            stderr=output,
        )
        try:
            wait_until_ready(server, port)
            seen = asyncio.run(soak(port, server, seconds, kill=name == "gunicorn"))
            status = server.wait(PATIENCE)
        finally:
            server.kill()
            server.wait()
        output.seek(0)
        problems = check(name, seen, output.read(), killed=name == "gunicorn")
    if status not in (0, -signal.SIGTERM):
        problems.append(f"{name}: ended with status {status}")
    return problems


def wait_until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the server listens."""
    deadline = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), 1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    msg = "the server did not start"
    raise RuntimeError(msg)


def main() -> int:
    """Soak each server.

    Returns:
        0, or 1 if anything is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each server (10)")
    parser.add_argument("--only", choices=SERVERS, action="append", help="one server")
    options = parser.parse_args()
    problems = [
        problem for name in options.only or SERVERS for problem in run(name, options.seconds)
    ]
    print(*problems, sep="\n", file=sys.stderr, end="\n" if problems else "")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
