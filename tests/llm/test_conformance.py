"""The page that compares libraries: its rows of ours are true, and all of it can be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.conformance.contenders import CONTENDERS, OURS
from bench.conformance.judge import COST, ENDING, ONCE, TOKENS, misses
from bench.conformance.page import NOT_ASKED, RIGHT, cell, parse, render
from bench.conformance.scenarios import scenarios

pytestmark = pytest.mark.usefixtures("unmeasured")

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "llm-conformance.md").read_text(encoding="utf-8")
NAMES = [scenario.name for scenario in scenarios()]
FIRST = scenarios()[0]
RECORD = {"ending": "ok", "input": 1149, "output": 212, "cost": 0.00071125}


def test_the_committed_rows_of_ours_are_those_of_now() -> None:
    """The real SDKs make all calls, in a process of its own."""
    for package in ("anthropic", "genai_prices", "openai"):
        pytest.importorskip(package)

    run = subprocess.run(
        [sys.executable, "-m", "bench.conformance.run", OURS],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYDANTIC_DISABLE_PLUGINS": "__all__"},
    )

    assert 0 == run.returncode, run.stderr[-5000:]
    results = json.loads(run.stdout.splitlines()[-1])
    now = {scenario.name: cell(scenario, results, OURS) for scenario in scenarios()}
    assert parse(PAGE)[OURS] == now
    assert {RIGHT} == {*now.values()}


def test_the_page_has_a_cell_for_each_call_and_library_that_ran() -> None:
    """A library that could not run is named with its error, and has no column."""
    table = parse(PAGE)

    assert [*CONTENDERS] == [name for name in CONTENDERS if f"| {name} |" in PAGE]
    ran = [name for name in CONTENDERS if f"| {name} | could not run |" not in PAGE]
    assert ran == [*table]
    for name, cells in table.items():
        assert (name, NAMES) == (name, [*cells])
        assert all(cells.values())


def test_each_call_has_a_name_of_its_own() -> None:
    """The name is the key of the results."""
    assert len({*NAMES}) == len(NAMES)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([RECORD], {ONCE: None, ENDING: None, TOKENS: None, COST: None}),
        ([], {ONCE: "no record", ENDING: "-", TOKENS: "-", COST: "-"}),
        ([RECORD] * 2, {ONCE: "2 records", ENDING: "-", TOKENS: "-", COST: "-"}),
        (
            [RECORD | {"ending": "error", "output": 213, "cost": 0.00071126}],
            {ONCE: None, ENDING: "`error`", TOKENS: "output 213", COST: "$0.00071126"},
        ),
        (
            [RECORD | {"input": None, "cost": None}],
            {ONCE: None, ENDING: None, TOKENS: "input missing", COST: "missing"},
        ),
    ],
    ids=["right", "no record", "two records", "wrong", "missing"],
)
def test_misses_are_found(records: list[object], expected: dict[str, str | None]) -> None:
    """The judge accepts the truth, and says how a record differs from it."""
    assert expected == misses(FIRST, {"records": records}, CONTENDERS[OURS])


def test_a_library_that_cannot_run_is_on_the_page() -> None:
    """With its error; the others keep their columns."""
    calls = {name: {"records": []} for name in NAMES}
    page = render({"otel-openai-v2": {"calls": calls}, "langfuse": {"error": "No such package"}})

    assert "| langfuse | could not run |" in page
    assert "It could not run: `No such package`" in page
    [(name, cells)] = parse(page).items()
    assert "otel-openai-v2" == name
    assert {"no record", NOT_ASKED} == {*cells.values()}
