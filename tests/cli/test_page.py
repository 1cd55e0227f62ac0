"""The commands of `docs/cli.md` run, and print what the page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
FILES = re.findall(r"`(\w+\.log)`:\n\n```json\n(.*?)```", PAGE, re.DOTALL)
SHOWN = re.findall(r"```sh\n(pantheon-obs [^\n]*)\n```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
QUIET = re.findall(r"^(pantheon-obs (?:story|schema) .*)$", PAGE, re.MULTILINE)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the files that the page shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    for name, text in FILES:
        Path(name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("command", "output"), SHOWN)
def test_an_example_prints_what_the_page_shows(run: Run, command: str, output: str) -> None:
    """A reader who has written the files sees the same."""
    result = run(*shlex.split(command)[1:])

    assert output.splitlines() == [row.rstrip() for row in result.out.splitlines()]
    assert (0, "") == (result.code, result.err)


@pytest.mark.parametrize("command", QUIET)
def test_a_command_runs(run: Run, command: str) -> None:
    """It finds something."""
    assert 0 == run(*shlex.split(command)[1:]).code
