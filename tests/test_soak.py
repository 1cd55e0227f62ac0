"""The soak test runs, and finds planted faults; `make soak` runs it for longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.soak import SERVERS, Seen, check

pytestmark = pytest.mark.usefixtures("unmeasured")

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the figures come from /proc")
@pytest.mark.parametrize("server", SERVERS)
def test_no_line_is_lost_under_load(server: str) -> None:
    """64 connections, cut streams, a killed worker, and SIGTERM with requests in flight."""
    run = subprocess.run(
        [sys.executable, "-m", "bench.soak", "--seconds", "1", "--only", server],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        cwd=ROOT,
    )

    assert (0, "") == (run.returncode, run.stderr), run.stdout


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the figures come from /proc")
def test_the_recorder_counts_each_line_and_memory_is_flat() -> None:
    """Of 50 open streams, whose lines are more than a process may keep aside."""
    command = [sys.executable, "-m", "bench.soak_recorder", "--streams", "50", "--lines", "300"]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=150, check=False, cwd=ROOT
    )

    assert (0, "") == (run.returncode, run.stderr), run.stdout


def test_a_lost_line_a_second_one_and_growth_are_seen() -> None:
    """The checks of the soak test can fail."""
    seen = Seen(answered=["one", "two"], begun=["one", "two"])
    seen.figures[7] = [(1, 10, 3)] * 10 + [(2**24, 900, 90)] * 10
    line = b'{"event":"request_finished","trace_id":"one"}\n'

    problems = check("server", seen, line + line, killed=False)

    assert [
        "server: one has 2 lines",
        "server: two has no line",
        "server, process 7: resident memory has grown from 1 to 16777216",
        "server, process 7: descriptors has grown from 10 to 900",
        "server, process 7: threads has grown from 3 to 90",
    ] == problems
