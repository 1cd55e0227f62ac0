"""`tail`: a row for each unit and call, and files that grow."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs.cli.reading import follow
from pantheon_obs.cli.reading.follow import Follower
from tests.cli.incidents import TRACE
from tests.cli.written import call, line, request, save, task, websocket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Run

COMMAND = [sys.executable, "-m", "pantheon_obs", "tail"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with units and calls of all kinds."""
    return save(
        tmp_path / "shop.log",
        line(0),
        call(0, 100, input_tokens=1200, output_tokens=None, cost_usd=1234.5, tenant="acme"),
        call(0, 50, nested=True),
        request(0, 1500, level="error", status_code=500, route="/{x}", error_type="A", n=1.0),
        websocket(0, 20, route="/{x}", n=1.5, service="edge"),
        task(0, 10, service="worker", latency_ms=None, deep={"a": [1]}),
        request(0, 5, trace_id=7, grpc_code="OK"),
        "text",
    )


ROWS = [
    f"2026-11-29 21:41:07.100 shop llm.generate ok 100 ms small 1,200 → ? tokens $1,234.50 {TRACE}",
    f"2026-11-29 21:41:08.500 shop GET /{{x}} 500 A 1.50 s {TRACE}",
    f"2026-11-29 21:41:07.020 edge /{{x}} 1000 20.0 ms {TRACE}",
    f"2026-11-29 21:41:07.010 worker shop.mail SUCCESS - {TRACE}",
    "2026-11-29 21:41:07.005 shop GET /x OK 5.0 ms -",
]


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ([], [0, 1, 2, 3, 4]),
        (["--errors"], [1]),
        (["--slow", "100"], [0, 1]),
        (["--route", "/{x}"], [1, 2]),
        (["--where", "tenant=acme"], [0]),
        (["--where", "n=1.0"], [1]),
        (["--where", 'deep={"a":[1]}'], [3]),
        (["--where", "n=1.5", "--where", "route=/{x}"], [2]),
        (["--where", "n=1.5", "--where", "tenant=acme"], []),
        (["--where", "absent="], []),
    ],
)
def test_each_unit_and_call_is_a_row(
    run: Run, log: Path, options: list[str], rows: list[int]
) -> None:
    """Nested calls and other lines make no rows; all options must hold."""
    result = run("tail", log, *options)

    assert [ROWS[row] for row in rows] == [" ".join(row.split()) for row in result.out.splitlines()]
    assert (0, "pantheon-obs: skipped 0 torn and 1 foreign lines\n") == (result.code, result.err)


@pytest.mark.parametrize("condition", ["tenant", "=x"])
def test_a_condition_needs_a_key_and_a_value(run: Run, log: Path, condition: str) -> None:
    """The answer says which form is accepted."""
    result = run("tail", log, "--where", condition)

    assert 2 == result.code
    assert f"--where {condition} is not accepted: use KEY=VALUE" in result.err


def events(follower: Follower) -> list[str]:
    """The events of the lines that have come."""
    return [found.fields["event"] for found in follower.poll()]


def add(path: Path, *lines: dict[str, Any] | str, end: str = "\n") -> None:
    """Append lines to a file."""
    with path.open("a", encoding="utf-8") as file:
        for entry in lines:
            file.write((entry if isinstance(entry, str) else json.dumps(entry)) + end)


def test_only_what_is_added_is_followed(tmp_path: Path) -> None:
    """Half a line waits for its other half."""
    path = save(tmp_path / "x.log", line(0, "old"))
    (tmp_path / "y.log.gz").write_bytes(gzip.compress(b"x"))
    follower = Follower([str(path), str(tmp_path / "y.log.gz")], from_start=False)
    text = json.dumps(line(1, "split"))

    assert [] == events(follower)
    add(path, line(0, "new"), text[:50], end="\n")
    add(path, text[:40], end="")
    assert ["new"] == events(follower)
    add(path, text[40:])
    assert ["split"] == events(follower)
    assert {"files": 1, "lines": 3, "foreign": 0, "torn": 1} == follower.read
    assert not follower.is_done


def test_a_file_may_be_read_from_its_start(tmp_path: Path) -> None:
    """`serve` reads a file in this way."""
    path = save(tmp_path / "x.log", line(0, "old"))

    assert ["old"] == events(Follower([str(path)], from_start=True))


def test_a_missing_file_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that it has when it comes is new."""
    path = tmp_path / "x.log"
    follower = Follower([str(path)], from_start=False)

    assert f"pantheon-obs: {path}: waiting for this file\n" == capsys.readouterr().err
    assert [] == events(follower)
    save(path, line(0, "first"))
    assert ["first"] == events(follower)


def test_a_rotated_file_is_read_to_its_end_and_the_new_one_from_its_start(tmp_path: Path) -> None:
    """An unfinished last line of the old one is a line."""
    path = save(tmp_path / "x.log", line(0, "old"))
    follower = Follower([str(path)], from_start=False)

    path.rename(tmp_path / "x.log.1")
    add(tmp_path / "x.log.1", line(0, "last"))
    assert ["last"] == events(follower)
    add(tmp_path / "x.log.1", line(0, "unfinished"), end="")
    assert [] == events(follower)
    save(path, line(0, "new"))
    assert ["unfinished", "new"] == events(follower)

    path.rename(tmp_path / "x.log.2")
    save(path, line(0, "newer"))
    assert ["newer"] == events(follower)


def test_a_truncated_file_is_read_from_its_start(tmp_path: Path) -> None:
    """logrotate's copytruncate leaves such a file."""
    path = save(tmp_path / "x.log", line(0, "old"), line(0, "older"))
    add(path, "half", end="")
    follower = Follower([str(path)], from_start=True)

    assert ["old", "older"] == events(follower)
    save(path, line(0, "new"))
    assert ["new"] == events(follower)
    save(path, *(line(0, f"longer {number}") for number in range(9)))
    assert "longer 0" == events(follower)[0]


def test_a_file_that_grew_beyond_its_old_end_was_truncated(tmp_path: Path) -> None:
    """This holds also if only its end was followed."""
    path = save(tmp_path / "x.log", line(0, "old"))
    follower = Follower([str(path)], from_start=False)

    save(path, line(0, "new"), line(0, "newer"))
    assert ["new", "newer"] == events(follower)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_named_pipe_is_followed(tmp_path: Path) -> None:
    """Its end is no truncation, and nobody need write into it from the start."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    follower = Follower([str(pipe)], from_start=False)
    assert [] == events(follower)
    keeper = os.open(pipe, os.O_RDWR)
    assert [] == events(follower)
    add(pipe, line(0, "first"))
    assert ["first"] == events(follower)
    os.close(keeper)
    assert [] == events(follower)


def test_a_file_that_vanishes_while_it_is_opened_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come back."""
    path = save(tmp_path / "x.log", line(0, "old"))
    follower = Follower([str(path)], from_start=True)
    assert ["old"] == events(follower)
    path.unlink()
    save(path, line(0, "new"))
    real = os.open

    def vanish(*_: object) -> int:
        raise FileNotFoundError

    add(path.with_name("x.log"), "")
    monkeypatch.setattr(os, "open", vanish)
    assert [] == events(follower)
    monkeypatch.setattr(os, "open", real)
    assert ["new"] == events(follower)


def test_following_waits_between_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at a few times in a second."""
    waited: list[float] = []
    monkeypatch.setattr(follow.time, "sleep", waited.append)
    path = save(tmp_path / "x.log")

    Follower([str(path)], from_start=False).wait()

    assert [0.2] == waited


def rows(process: subprocess.Popen[str]) -> Iterator[str]:
    """The rows that a process prints."""
    assert process.stdout is not None
    yield from process.stdout


def test_a_process_follows_files_and_standard_input(tmp_path: Path) -> None:
    """Rows come as lines are written; with standard input alone it ends when that ends."""
    path = tmp_path / "x.log"
    with subprocess.Popen(
        [*COMMAND, "-f", path, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        printed = rows(process)
        process.stdin.write(json.dumps(request(0, 1, path="/stdin")) + "\n")
        process.stdin.flush()
        assert "/stdin" in next(printed)
        save(path, request(0, 1, path="/file"))
        assert "/file" in next(printed)
        process.stdin.write(json.dumps(request(0, 1, path="/unfinished")))
        process.stdin.close()
        assert "/unfinished" in next(printed)
        add(path, request(0, 1, path="/later"))
        assert "/later" in next(printed)
        process.terminate()

    alone = subprocess.run(
        [*COMMAND, "-f"],
        input=json.dumps(request(0, 1)), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert TRACE in alone.stdout
