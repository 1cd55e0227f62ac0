"""Bugsink, a server that speaks Sentry's protocol, in an environment and a process of its own.

Its licence, PolyForm Shield, is not an open one, and its requirements conflict with ours. So it is
no dependency: uv installs it for a test run, into uv's cache.
https://www.bugsink.com/docs/
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import httpx
import uv

from tests.support.server import SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIREMENT = "bugsink==2.6.1"
_SERVE = Path(__file__).parent / "isolated" / "serve.py"
# Variables that make an interpreter or Django load something else.
_NOT_FOR_IT = ("VIRTUAL_ENV", "PYTHON", "DJANGO_", "SENTRY_", "COVERAGE_")


class NotInstallableError(RuntimeError):
    """uv could not install Bugsink; the message is its output."""


class Bugsink:
    """A running Bugsink with some projects; its `with` block ends it.

    Attributes:
        dsns: The DSN of each project.
    """

    def __init__(self, projects: Iterable[str]) -> None:
        """Start it; `wait_until_ready` waits for it."""
        self.dsns: dict[str, str] = {}
        self._ids: dict[str, int] = {}
        self._directory = TemporaryDirectory(prefix="pantheon-")
        self._stderr = Path(self._directory.name, "stderr")
        command = [uv.find_uv_bin(), "run", "--quiet", "--no-project", "--isolated"]
        command += ["--python", sys.executable, "--with", REQUIREMENT]
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*command, "python", _SERVE, self._directory.name, *projects],
                env={
                    name: value
                    for name, value in os.environ.items()
                    if not name.startswith(_NOT_FOR_IT)
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def wait_until_ready(self) -> None:
        """Return once it answers.

        Raises:
            NotInstallableError: Bugsink could not be installed.
            RuntimeError: It is installed, but does not start.
        """
        if not self._next_line():
            raise NotInstallableError(self._stderr.read_text().strip())
        line = self._next_line()
        if not line:
            msg = f"Bugsink did not start:\n{self._stderr.read_text()}"
            raise RuntimeError(msg)
        access = json.loads(line)
        for name, project in access["projects"].items():
            self.dsns[name] = project["dsn"]
            self._ids[name] = project["id"]
        self._client = httpx.Client(
            base_url=f"{access['url']}/api/canonical/0/",
            headers={"Authorization": f"Bearer {access['token']}"},
            timeout=SECONDS,
            trust_env=False,
        )

    def _next_line(self) -> str:
        """Read the next line that it prints; an empty one at its end."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(SECONDS)
        return line

    def count(self, project: str) -> int:
        """Count the events of a project that it has stored."""
        found: int = self._get(f"projects/{self._ids[project]}/")["stored_event_count"]
        return found

    def wait_for(self, project: str, count: int) -> None:
        """Wait until so many events of a project are stored."""
        wait_until(lambda: self.count(project) >= count)

    def issues(self, project: str) -> dict[str, list[dict[str, Any]]]:
        """Map the id of each issue of a project to its events as stored, the oldest first."""
        issues = self._get("issues/", project=self._ids[project])["results"]
        return {issue["id"]: self._events(issue["id"]) for issue in issues}

    def _events(self, issue: str) -> list[dict[str, Any]]:
        page = self._get("events/", issue=issue, order="asc")
        assert page["next"] is None, "more events than on one page"
        return [self._get(f"events/{event['id']}/")["data"] for event in page["results"]]

    def _get(self, path: str, **parameters: Any) -> Any:
        return self._client.get(path, params=parameters).raise_for_status().json()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._directory.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()
