"""Start servers in processes of their own, for the demo and the tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
SECONDS_TO_START = 120  # on a busy machine
SECONDS_TO_STOP = 30
RECORDER = {"PANTHEON_OBS_DEBUG_ON_ERROR": "1"}
"""The variable with which a request that fails has its DEBUG lines."""


class WaitedError(RuntimeError):
    """A wait ended without its event; the message is one sentence."""


class Server:
    """A running `python -m …`; its output is collected line by line, its `with` block ends it."""

    def __init__(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        on_line: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Start the process.

        Args:
            arguments: The arguments after `python -m`.
            env: Environment variables, in addition to this process's own.
            on_line: Called in another thread with each line that it prints to stdout or stderr.
        """
        self.lines: list[str] = []
        self._name = arguments[0]
        self._on_line = on_line
        self._url: Future[str] = Future()
        self._process = subprocess.Popen(  # noqa: S603 - starts our own modules
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._reader = Thread(target=self._read)
        self._reader.start()

    @property
    def url(self) -> str:
        """Wait for the first URL that the server prints, and return it."""
        try:
            return self._url.result(SECONDS_TO_START)
        except TimeoutError:
            msg = f"waited {SECONDS_TO_START} s for the address of {self._name}"
            raise WaitedError(msg) from None

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.lines.append(line.rstrip("\n"))
            self._on_line(self.lines[-1])
            found = re.search(r"http://127\.0\.0\.1:\d+(/\w+)?", line)
            if found and not self._url.done():
                self._url.set_result(found[0])
        if not self._url.done():
            msg = f"waited for the address of {self._name}, which stopped: {_last(self.lines)}"
            error = WaitedError(msg)
            error.add_note("\n".join(self.lines))
            self._url.set_exception(error)

    def stop(self) -> None:
        """Stop the process with SIGTERM, as a deployment does, and read its output to the end."""
        self._process.terminate()
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()


def start_provider() -> Server:
    """Start the local provider; its URL is the value for `OPENAI_BASE_URL`."""
    return Server("examples.local_provider", "--port", "0")


def start_app(
    provider_url: str | None = None,
    *,
    env: dict[str, str] | None = None,
    on_line: Callable[[str], None] = lambda _line: None,
) -> Server:
    """Start the chat service under uvicorn on a free port; it uses the loopback interface only.

    Args:
        provider_url: The URL of its LLM provider; None selects its fake gateway.
        env: Further environment variables of the service.
        on_line: Called with each line that it prints.
    """
    alone = {"CHAT_DATABASE": "", **_models(provider_url)}
    arguments = ["examples.fastapi_app.app:app", "--host", "127.0.0.1", "--port", "0"]
    return Server("uvicorn", *arguments, env={**alone, **(env or {})}, on_line=on_line)


def start_django(
    provider_url: str | None = None,
    *,
    env: dict[str, str] | None = None,
    on_line: Callable[[str], None] = lambda _line: None,
) -> Server:
    """Start the Django service under gunicorn, after `manage("migrate")`; see `start_app`."""
    arguments = ["examples.django_app.wsgi", "--bind", "127.0.0.1:0", "--threads", "4"]
    arguments += ["--logger-class", "pantheon_obs.adapters.gunicorn.JSONLogger"]
    arguments += ["--timeout", "120"]  # a worker that still imports, on a busy machine, is not lost
    arguments += ["--no-control-socket"]  # it would write into the home directory
    alone = {"DATABASE_URL": "", "REDIS_URL": "", **_models(provider_url)}
    return Server("gunicorn", *arguments, env={**alone, **(env or {})}, on_line=on_line)


def start_worker(
    provider_url: str | None = None,
    *,
    env: dict[str, str],
    on_line: Callable[[str], None] = lambda _line: None,
) -> Server:
    """Start the Django service's Celery worker; see `start_app`.

    Args:
        provider_url: The URL of its LLM provider; None selects its fake gateway.
        env: Further environment variables: `REDIS_URL` names its broker.
        on_line: Called with each line that it prints.
    """
    # --quiet: the banner is plain text. The other options: there is only one worker.
    arguments = ["--app", "examples.django_app", "--quiet", "worker", "--concurrency", "2"]
    arguments += ["--without-gossip", "--without-mingle"]
    environment = {"DATABASE_URL": "", **_models(provider_url), **env}
    return Server("celery", *arguments, env=environment, on_line=on_line)


def manage(*arguments: str, env: dict[str, str]) -> list[str]:
    """Run a command of the Django service to its end.

    Args:
        arguments: The command and its options.
        env: Environment variables, in addition to this process's own.

    Returns:
        The lines that it printed to stdout or stderr.

    Raises:
        WaitedError: The command failed; a note has its output.
    """
    run = subprocess.run(  # noqa: S603 - as above
        [sys.executable, "-m", "examples.django_app.manage", *arguments],
        cwd=ROOT,
        env={**os.environ, "SENTRY_DSN": "", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
    )
    if run.returncode:
        msg = f"waited for manage.py {arguments[0]}, which failed: {_last(run.stdout.splitlines())}"
        error = WaitedError(msg)
        error.add_note(run.stdout)
        raise error
    return run.stdout.splitlines()


def _last(lines: list[str]) -> str:
    """Return the last line that says something."""
    return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")


def _models(provider_url: str | None) -> dict[str, str]:
    """Make the variables that name the provider and keep a service on the loopback interface."""
    return {
        "OPENAI_API_KEY": "local" if provider_url else "",
        "OPENAI_BASE_URL": provider_url or "",
        "SENTRY_DSN": "",
        "no_proxy": "127.0.0.1",
    }
