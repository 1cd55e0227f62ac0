"""Small programs in processes of their own, and their output."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from textwrap import dedent
from typing import Any

from tests.support.lines import parse_lines

SECONDS_TO_WAIT = 60

LOGGING = """
import logging, sys
from pantheon_obs import bind, configure_logging, get_logger, trace_context
"""


@dataclass(frozen=True)
class Finished:
    """A program that has ended.

    Args:
        stdout: Its standard output.
        stderr: Its standard error.
        status: its exit status, negative for a signal.
    """

    stdout: bytes
    stderr: bytes
    status: int

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as log lines, each valid; nothing stands on standard error."""
        assert b"" == self.stderr
        return parse_lines(self.stdout)

    @property
    def events(self) -> list[str]:
        """The event of each line."""
        return [line["event"] for line in self.lines]


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of ours, and with these variables."""
    ours = ("PANTHEON_OBS_", "SENTRY_", "OTEL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, **variables}


def command(program: str) -> list[str]:
    """Build the command that runs a program; logging and our names are imported already."""
    return [sys.executable, "-c", LOGGING + dedent(program)]


def run(program: str, **variables: str) -> Finished:
    """Run a program to its end."""
    done = subprocess.run(
        command(program),
        capture_output=True,
        check=False,
        env=clean_environment(**variables),
        timeout=SECONDS_TO_WAIT,
    )
    return Finished(done.stdout, done.stderr, done.returncode)
