"""The types of the public names agree with their behaviour."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("checker", "options"),
    [
        pytest.param("mypy", (), id="mypy"),
        pytest.param("pyright", ("--pythonpath", sys.executable), id="pyright"),
    ],
)
def test_users_code_passes_the_type_checker(checker: str, options: tuple[str, ...]) -> None:
    """Type checkers accept the right uses in api.py, and report the wrong ones."""
    pytest.importorskip(checker)

    checked = subprocess.run(
        [sys.executable, "-m", checker, *options, "tests/typing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (checked.returncode, checked.stderr), checked.stdout
