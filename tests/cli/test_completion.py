"""`completion`: shells complete commands, options and values."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from pantheon_obs.cli.main import COMMANDS
from tests.support.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pantheon-obs st", ["story"]),
        ("pantheon-obs story --j", ["--json"]),
        ("pantheon-obs tail --f", ["--follow"]),
        ("pantheon-obs schema --format d", ["duckdb"]),
        ("pantheon-obs completion z", ["zsh"]),
        ("pantheon-obs story abc shop", ["shop.log"]),
    ],
)
def test_bash_completes(run: Run, tmp_path: Path, words: str, expected: list[str]) -> None:
    """A command, an option, a value, a file."""
    script = run("completion", "bash").out
    typed = words.split()
    words_typed = (
        f"{script}\ntouch shop.log\nCOMP_WORDS=({' '.join(typed)}); COMP_CWORD={len(typed) - 1}\n"
        '_pantheon_obs; printf "%s\\n" "${COMPREPLY[@]}"'
    )

    result = subprocess.run(
        [program("bash"), "-c", words_typed],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert (expected, "") == (result.stdout.split(), result.stderr)


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_another_shell_takes_its_script(run: Run, name: str) -> None:
    """The script has no error, and names the commands and their options."""
    script = run("completion", name).out

    assert all(command.name in script for command in COMMANDS)
    assert "where" in script
    subprocess.run([program(name), "-n"], input=script, text=True, check=True)
