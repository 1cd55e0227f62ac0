"""A pytest plugin that writes the outcome of every test to the file named by `OUTCOMES`.

It runs in the environment of a framework's own suite, and imports pytest and the standard library
only.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

# The worst outcome of a test's phases and subtests is the outcome of the test.
_BY_WEIGHT = ("passed", "skipped", "xfailed", "xpassed", "failed")
_LONGEST_MESSAGE = 600

_outcomes: dict[str, tuple[str, str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note the outcome of one phase of a test."""
    outcome: str = report.outcome
    if hasattr(report, "wasxfail"):
        outcome = "xfailed" if outcome == "skipped" else "xpassed"
    _note(report, outcome)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a module whose import fails as a test that fails."""
    if report.failed:
        _note(report, "failed")


def pytest_sessionfinish() -> None:
    """Write the file."""
    Path(os.environ["OUTCOMES"]).write_text(json.dumps(_outcomes))


def _note(report: pytest.TestReport | pytest.CollectReport, outcome: str) -> None:
    before, _ = _outcomes.get(report.nodeid, ("passed", ""))
    if _BY_WEIGHT.index(outcome) >= _BY_WEIGHT.index(before):
        _outcomes[report.nodeid] = (outcome, _message_of(report) if outcome == "failed" else "")


def _message_of(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = f"{crash.path}:{crash.lineno}: {crash.message}" if crash else str(report.longrepr)
    return text[:_LONGEST_MESSAGE]
