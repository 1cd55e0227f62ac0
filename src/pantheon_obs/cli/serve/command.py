"""Show the report live in a browser, while files grow or lines come in.

The page is served on this machine only, unless --host names another address. The newest 50,000
requests are remembered, at most 150 MB of lines. Standard input is passed on to standard output
byte for byte, so that `uvicorn app:app | pantheon-obs serve -` still shows the lines.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

from pantheon_obs.cli.inputs import FILES, add_files
from pantheon_obs.cli.reading.follow import Follower
from pantheon_obs.cli.reading.lines import Reader
from pantheon_obs.cli.serve.memory import Memory
from pantheon_obs.cli.serve.server import Server
from pantheon_obs.cli.terminal import note
from pantheon_obs.core.errors import require

if TYPE_CHECKING:
    import argparse

EXAMPLES = f"""\
{FILES}
examples:
  pantheon-obs serve /var/log/shop/app.log
      follow a file, and show it at http://127.0.0.1:8800/
  uvicorn app:app | pantheon-obs serve -
      show what a server writes, while its lines still go to the terminal
  pantheon-obs serve /var/log/shop /var/log/worker --port 9000
      follow all files of two folders
"""
PORT = 8800


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_files(parser)
    parser.add_argument("--port", metavar="PORT", type=int, default=PORT, help=f"({PORT})")
    parser.add_argument(
        "--host",
        metavar="HOST",
        default="127.0.0.1",
        help="the address to listen at (127.0.0.1); everyone who can reach it can read the lines",
    )


def run(arguments: argparse.Namespace) -> int:
    """Follow and serve until the person ends it."""
    for package in ("duckdb", "jinja2"):
        require(package, extra="cli", feature="serve")
    follower = Follower(arguments.files, from_start=True, echo=_pass_on)
    memory = Memory(follower.read)
    server = Server(arguments.host, arguments.port, memory)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    interrupted = threading.Event()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored
        signal.signal(signal.SIGINT, lambda *_: _interrupt(interrupted))
    note(server.address)
    try:
        _follow(follower, memory, interrupted)
    except KeyboardInterrupt:
        # The terminal has interrupted the application, too: its last output is passed on.
        while follower.is_piped:
            follower.wait()
            deque(follower.poll(), maxlen=0)
    finally:
        server.server_close()
    return 0


def _interrupt(interrupted: threading.Event) -> None:
    """Raise and note the interrupt: the interpreter drops it in the middle of a finalizer."""
    interrupted.set()
    raise KeyboardInterrupt


def _follow(follower: Follower, memory: Memory, interrupted: threading.Event) -> None:
    """Remember the lines of zipped files, then the new lines as they come."""
    for line in Reader(follower.once).lines():
        memory.add(line)
    while not interrupted.is_set():
        for line in follower.poll():
            memory.add(line)
        memory.notify()
        follower.wait()
    raise KeyboardInterrupt


def _pass_on(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
