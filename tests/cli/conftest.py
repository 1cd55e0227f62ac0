"""Run a command in this process, and read what it prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest

from pantheon_obs.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


class Result(NamedTuple):
    """The exit code and output of a command."""

    code: int
    out: str
    err: str


class Run(Protocol):
    """Run `pantheon-obs` with some arguments."""

    def __call__(self, *arguments: str | Path) -> Result:
        """Return the exit code and what was printed."""


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run a command in this process."""

    def run(*arguments: str | Path) -> Result:
        capsysbinary.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsysbinary.readouterr()
        return Result(code, out.decode(), err.decode())

    return run
