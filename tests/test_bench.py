"""The benchmark runs and checks its contenders; it does not judge their speed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cases import QUICK, Case, Contender, MisbehavedError, Target
from bench.families import FAMILIES
from bench.harness import STDOUT, compare, compare_all

pytestmark = pytest.mark.usefixtures("unmeasured")

ROOT = Path(__file__).resolve().parents[1]
# The peers; the dependency group `peers` installs them.
OTHERS = (
    "asgi_correlation_id",
    "django_guid",
    "fastapi",
    "genai_prices",
    "langfuse",
    "logfire",
    "openai",
    "openinference.instrumentation",
    "opentelemetry.sdk",
    "prometheus_client",
    "pythonjsonlogger",
    "uvicorn",
)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_checks_its_contenders_and_prints_its_rows(family: str) -> None:
    """The benchmark fails on a wrong header or log line, and not on a slow contender."""
    for other in OTHERS:
        pytest.importorskip(other)

    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--only", family],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )

    assert (0, "") == (run.returncode, run.stderr)
    heading, *rows = run.stdout.splitlines()
    assert ["work", "hand", "peer", "ours"] == heading.split()[:4]
    assert rows
    assert all(row.endswith(("yes", "no", "-")) for row in rows)


def writer(written: bytes) -> Contender:
    """Make a contender that writes these bytes for each piece of work, instead of one event."""
    return Contender(run=lambda _: os.write(STDOUT, written), line=frozenset({"event"}))


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        (b"", "0 lines for one piece of work"),
        (b'{"event": 1}\n{"event": 1}\n', "2 lines for one piece of work"),
        (b'{"event": \n', "not a line of JSON"),
        (b'{"message": 1}\n', "no ['event']"),
    ],
    ids=["no line", "two lines", "not JSON", "no event"],
)
def test_a_contender_that_writes_the_wrong_line_is_refused(written: bytes, complaint: str) -> None:
    """A contender that does less than its job is refused, so that it cannot look fast."""
    hand = writer(b'{"event": 1}\n')
    case = Case(work="greeting", hand=hand, ours=writer(written), target=Target())

    with pytest.raises(MisbehavedError) as refused:
        compare(case, QUICK)

    assert str(refused.value).startswith(f"greeting: ours: {complaint}")


def test_each_other_peer_is_checked_and_has_a_row_of_its_own() -> None:
    """A case may have further peers besides the one that the target names."""
    hand = writer(b'{"event": 1}\n')
    others = {"neighbour": hand, "stranger": hand}
    case = Case(work="greeting", hand=hand, ours=hand, target=Target(), others=others)

    first, *rest = compare_all(case, QUICK)

    assert ("greeting", True) == (first.work, first.met)
    assert [("  beside neighbour", None), ("  beside stranger", None)] == [
        (row.work, row.met) for row in rest
    ]
    with pytest.raises(MisbehavedError, match="greeting: stranger: 0 lines"):
        compare_all(replace(case, others={"stranger": writer(b"")}), QUICK)


def test_the_check_of_instructions_is_skipped_without_valgrind() -> None:
    """It says in one line which package is missing."""
    run = subprocess.run(
        [sys.executable, "-c", "from bench.check import main; print(main())"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PATH": ""},
    )

    line, status = run.stdout.splitlines()
    assert ("0", True) == (status, "install the package valgrind" in line)
