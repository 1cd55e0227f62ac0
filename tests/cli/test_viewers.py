"""The files of `docs/viewers/`: other programs show our lines by them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pantheon_obs.cli.reading.schema import keys
from tests.cli.incidents import TRACE, traceback
from tests.cli.written import call, line, request, save
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterable

VIEWERS = Path(__file__).parents[2] / "docs" / "viewers"
LNAV = VIEWERS / "lnav" / "pantheon_obs.json"
HL = VIEWERS / "hl" / "config.toml"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with lines of several kinds."""
    failed = {"level": "error", "error_type": "A", "exception": traceback("A")}
    return save(
        tmp_path / "shop.log",
        line(0, own={"a": [1]}),
        call(0, 200, cost_usd=0.25, input_tokens=7, output_tokens=None),
        request(0, 250, status_code=500, route="/{x}", **failed),
    )


def lnav(log: Path, *commands: str) -> str:
    """Run lnav without a screen."""
    home = log.parent / "home"
    installed = home / ".lnav" / "formats" / "pantheon_obs"
    installed.mkdir(parents=True, exist_ok=True)
    shutil.copy(LNAV, installed)
    options = [option for command in commands for option in ("-c", command)]
    result = subprocess.run(
        [program("lnav"), "-n", "-I", str(home / ".lnav"), *options, str(log)],
        env={**os.environ, "HOME": str(home)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return result.stdout


def test_lnav_shows_time_level_trace_and_event(log: Path) -> None:
    """The other fields and the traceback stand below the line."""
    shown = lnav(log)

    assert (
        f"2026-11-29 21:41:07.250 ERROR    {TRACE} pantheon_obs.request request_finished" in shown
    )
    assert "GET /{x} 500 250" in shown
    assert "exception:   File" in shown.replace("exception:     File", "exception:   File")


def test_lnav_answers_sql(log: Path) -> None:
    """Figures are numbers, and the trace id can be grouped by."""
    query = (
        ";SELECT trace_id, log_level, sum(latency_ms) AS ms, sum(cost_usd) AS usd"
        " FROM pantheon_obs GROUP BY log_level ORDER BY log_level"
    )

    rows = lnav(log, query, ":write-csv-to -").splitlines()

    assert [
        ["trace_id", "log_level", "ms", "usd"],
        [TRACE, "info", "200", "0.25"],
        [TRACE, "error", "250", "<NULL>"],
    ] == sorted((row.split(",") for row in rows), key=lambda row: row[1], reverse=True)


def names_in(config: dict[str, dict[str, dict[str, list[str]]]]) -> Iterable[str]:
    """The keys of a line that hl's configuration names."""
    fields = config["fields"]
    yield from fields["hide"]
    for rule in fields["predefined"].values():
        for part in rule.get("variants", [rule]):
            yield from part["names"]


def test_the_viewers_name_keys_that_lines_have() -> None:
    """A key that was renamed is renamed there, too."""
    config = tomllib.loads(HL.read_text(encoding="utf-8"))
    form = json.loads(LNAV.read_text(encoding="utf-8"))["pantheon_obs"]

    assert set() == set(names_in(config)) - set(keys())
    assert set() == set(form["value"]) - set(keys())


def test_hl_shows_time_level_and_event(log: Path) -> None:
    """Its configuration needs no option beside it."""
    hl = shutil.which("hl")
    if hl is None:
        pytest.skip("hl is not installed: https://github.com/pamburus/hl/releases")

    shown = subprocess.run(
        [hl, "--config", str(HL), "--paging", "never", "--color", "never", str(log)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert "2026-11-29 21:41:07.250 [ERR] pantheon_obs.request: request_finished" in shown
