"""Odd files, values and environments: each command answers, and no traceback is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pantheon_obs.cli import terminal
from tests.cli.incidents import TRACE
from tests.cli.test_commands import COMMAND, Terminal
from tests.cli.written import call, line, request, save, task
from tests.support.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

NO_TEXT = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no such names of files")
DEEP = "[" * 900 + "]" * 900


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A log with a value of 900 levels, more than orjson writes."""
    unit, llm = (json.dumps(entry)[:-1] for entry in (request(0, 5), call(0, 5)))
    return save(tmp_path / "x.log", *(f'{text},"deep":{DEEP}}}' for text in (unit, llm)))


def test_a_very_deep_value_is_cut_in_text(run: Run, deep: Path) -> None:
    """The levels beyond 200 are left out."""
    text = run("story", TRACE, deep).out

    assert "deep=[[[" in text
    assert "…" in text


def test_a_very_deep_value_is_compared(run: Run, deep: Path) -> None:
    """It is another value than the one that was asked for."""
    assert (0, "", "") == run("tail", deep, "--where", "deep=x")


@pytest.mark.parametrize("by", ["deep", "Level"])
def test_calls_are_grouped_by_very_deep_values(run: Run, deep: Path, by: str) -> None:
    """A field whose name DuckDB cannot tell from another one is written anew before."""
    pytest.importorskip("duckdb")

    result = run("report", deep, "--by", by, "--json")

    assert 0 == result.code, result.err
    assert [1] == [row["calls"] for row in json.loads(result.out)["llm"]]


def test_a_field_without_a_name_groups_calls(run: Run, tmp_path: Path) -> None:
    """JSON has such keys."""
    pytest.importorskip("duckdb")
    path = save(tmp_path / "x.log", call(0, 5, **{"": "acme"}))

    result = run("report", path, "--by", "", "--json")

    assert ["acme"] == [row["by"] for row in json.loads(result.out)["llm"]]


def test_details_of_a_wrong_type_do_not_end_a_story(run: Run, tmp_path: Path) -> None:
    """The schema has no type for them where an event does not have them."""
    path = save(
        tmp_path / "x.log",
        call(0, 5, loop_blocked_ms="x", retries=[1], keep_rate={"a": "\x1b"}),
        task(0, 5, loop_blocked_ms="y", db_calls=1, db_ms=1, db_repeats="\x1b[J", db_repeated=[7]),
        request(0, 5, db_calls=1, db_ms=1.7e308),
    )

    result = run("story", TRACE, path)

    assert 0 == result.code
    assert "\x1b" not in result.out
    assert 'keep rate {"a":"\\u001b"}' in result.out


@pytest.mark.parametrize(
    "arguments", [("story", TRACE, "-"), ("tail", "-"), ("tail", "-f", "-"), ("doctor", "-")]
)
def test_closed_standard_input_is_a_sentence(arguments: tuple[str, ...]) -> None:
    """As a shell closes it with `<&-`."""
    result = subprocess.run(
        [program("sh"), "-c", 'exec "$@" <&-', "sh", *COMMAND, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (2, "pantheon-obs: -: standard input is closed\n") == (result.returncode, result.stderr)


@NO_TEXT
def test_a_file_name_may_be_bytes_that_are_no_text(run: Run, tmp_path: Path) -> None:
    """The service of its lines is its name with a replacement character."""
    path = os.fsencode(tmp_path) + b"/sh\xffop.log"
    os.rename(save(tmp_path / "x.log", request(0, 5)), path)  # noqa: PTH104 - bytes

    story = json.loads(run("story", TRACE, tmp_path, "--json").out)

    assert ["sh\ufffdop"] == story["services"]
    assert "sh\ufffdop" in run("tail", tmp_path).out
    pytest.importorskip("duckdb")
    report = json.loads(run("report", tmp_path, "--json").out)
    assert ["sh\ufffdop"] == [row["service"] for row in report["requests"]]


@NO_TEXT
def test_a_variable_may_be_bytes_that_are_no_text(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON has question marks in their place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UVICORN_LOG_CONFIG", "log\udcff.json")
    save(tmp_path / "log\udcff.json", {})

    result = run("doctor", "--json")

    assert 1 == result.code
    assert "UVICORN_LOG_CONFIG=log?.json: the server's lines are raw" in result.out


@pytest.mark.parametrize(("kind", "shows"), [("xterm", True), ("dumb", False)])
def test_progress_is_shown_over_all_files(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, *, shows: bool
) -> None:
    """The time counts from the first file on; a terminal without escape sequences shows none."""
    pytest.importorskip("duckdb")
    screen = Terminal()
    clock = iter(range(100))
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(terminal, "time", type("Clock", (), {"monotonic": lambda: next(clock)}))
    monkeypatch.setenv("TERM", kind)
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.log", line(0))

    assert 0 == run("report", tmp_path, "--json").code

    if shows:
        assert "c.log 100 %\r\x1b[K" in screen.getvalue()
    else:
        assert "" == screen.getvalue()
