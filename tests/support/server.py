"""Start real servers in processes of their own, on free ports of the loopback interface.

Their output is collected as it comes; a test waits for the output, never for a time.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Condition, Thread
from typing import IO, TYPE_CHECKING, Self

from examples.databases import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0
"""The longest wait for anything; reaching it fails the test."""
_OPTIONS = ("PANTHEON_OBS", "SENTRY_", "OTEL_")


class Server:
    """A running `python -m …` that listens on a port; its `with` block stops it.

    Attributes:
        out: The lines of its standard output so far, without their ends.
        err: The lines of its standard error so far.
        url: The URL on which it listens.
    """

    def __init__(
        self,
        *arguments: str,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        ready: bool = True,
    ) -> None:
        """Start the process.

        Args:
            arguments: The arguments after `python -m`.
            port: The port on which it listens; None for a program that does not listen.
            env: Environment variables, added to those of `environment()`.
            ready: Whether to wait until it listens.
        """
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.out: list[str] = []
        self.err: list[str] = []
        self._grown = Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="surrogateescape",
        )
        self._readers = [
            Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in (
                (self.process.stdout, self.out),
                (self.process.stderr, self.err),
            )
        ]
        for reader in self._readers:
            reader.start()
        if ready and port is not None:
            self.wait_until_ready()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._grown:
                lines.append(line.rstrip("\n"))
                self._grown.notify_all()

    def wait_until_ready(self) -> None:
        """Wait until the port answers; fail if the server has ended."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.connect().close()
            except ConnectionRefusedError:
                time.sleep(0.02)
            else:
                return
        self.stop()
        msg = f"the server did not start:\n{self.output()}"
        raise AssertionError(msg)

    def connect(self) -> socket.socket:
        """Open a raw connection to the server."""
        return socket.create_connection(("127.0.0.1", self.port or 0), SECONDS)

    def wait_for(self, happened: Callable[[], object], what: str = "it") -> None:
        """Wait until `happened()` is true of the output; fail after a long time."""
        with self._grown:
            if not self._grown.wait_for(lambda: bool(happened()), SECONDS):
                msg = f"waited {SECONDS:.0f} s for {what}:\n{self.output()}"
                raise AssertionError(msg)

    def output(self) -> str:
        """Return everything that it has printed, for a message."""
        return "\n".join(["stdout:", *self.out, "stderr:", *self.err])

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Stop it as a deployment does, kill it if it hangs; read its output to the end.

        Args:
            by: The signal to send, if it runs.

        Returns:
            Its exit status, negative for a signal.
        """
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join(SECONDS)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()


def uvicorn(
    app: str, *options: str, env: Mapping[str, str] | None = None, ready: bool = True
) -> Server:
    """Serve an app, `module:attribute` as seen from the project's root, under uvicorn.

    Args:
        app: The app.
        options: Further command-line options.
        env: Environment variables; see `Server`.
        ready: Whether to wait until it listens.
    """
    port = free_port()
    arguments = (app, "--host", "127.0.0.1", "--port", str(port), *options)
    return Server("uvicorn", *arguments, port=port, env=env, ready=ready)


def gunicorn(
    app: str, *options: str, env: Mapping[str, str] | None = None, ready: bool = True
) -> Server:
    """Serve an app, `module:attribute`, under gunicorn; see `uvicorn`."""
    port = free_port()
    arguments = (app, "--bind", f"127.0.0.1:{port}", *options)
    return Server("gunicorn", *arguments, port=port, env=env, ready=ready)


def hypercorn(
    app: str, *options: str, env: Mapping[str, str] | None = None, ready: bool = True
) -> Server:
    """Serve an ASGI app, `module:attribute`, under hypercorn; see `uvicorn`."""
    port = free_port()
    arguments = (app, "--bind", f"127.0.0.1:{port}", *options)
    return Server("hypercorn", *arguments, port=port, env=env, ready=ready)


def granian(
    app: str, *options: str, env: Mapping[str, str] | None = None, ready: bool = True
) -> Server:
    """Serve an app, `module:attribute`, under granian; see `uvicorn`."""
    port = free_port()
    arguments = (app, "--host", "127.0.0.1", "--port", str(port), *options)
    return Server("granian", *arguments, port=port, env=env, ready=ready)


def uwsgi(
    app: str, *options: str, env: Mapping[str, str] | None = None, ready: bool = True
) -> Server:
    """Serve a WSGI app, `module:attribute`, in a worker that uWSGI has forked; see `uvicorn`."""
    port = free_port()
    listening = ("--http-socket", f"127.0.0.1:{port}", "--master", "--need-app", "--die-on-term")
    arguments = ("tests.support.pyuwsgi_main", "--module", app, *listening, *options)
    return Server(*arguments, port=port, env=env, ready=ready)


def read_until(expected: object, read: Callable[[], object]) -> object:
    """Read something again and again until it is as expected; return it as it was at last.

    A worker counts a request when its client has the whole response already.
    """
    deadline = time.monotonic() + SECONDS
    while (found := read()) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def wait_until(happened: Callable[[], object]) -> None:
    """Wait until a condition that nothing announces is true; fail after a long time."""
    assert read_until(True, lambda: bool(happened())), happened  # noqa: FBT003 - the value to read


def environment() -> dict[str, str]:
    """Return the variables of this process, without those of the library's options.

    The watchdog of event loops is off: on a busy machine a loop may really be blocked.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OPTIONS)}
    return {**kept, "PANTHEON_OBS_SLOW_LOOP_MS": "0"}


def run_python(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own, and fail with its standard error if it fails.

    Args:
        code: The program.
        arguments: Its arguments.
        variables: Environment variables; see `environment`.

    Returns:
        Its output.
    """
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert 0 == done.returncode, done.stderr
    return done
