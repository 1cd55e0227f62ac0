"""An instrumented application passes its framework's own test suite.

Each suite runs twice, once as it is and once with every application in it instrumented. A test
that ends differently must be one of those in `expected.py`, which says why.

`make test-long` runs this file. pytest collects it only when it is named, as its own name does not
begin with `test_`: the suites take minutes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.long.expected import BY_DESIGN, FAULTS
from tests.long.suites import (
    SUITES,
    Outcome,
    Outcomes,
    Suite,
    download,
    finish,
    make_environment,
    requests_in,
    start,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    Differences = dict[str, tuple[Outcome, Outcome]]

_NOT_RUN = Outcome("not run")


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_a_suite_ends_as_without_instrument_except_for_the_listed_tests(
    suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each difference has a reason, each that the contract asks for is there."""
    archive = download(suite)
    sources = {name: unpack(archive, tmp_path / name) for name in ("bare", "instrumented")}
    python = make_environment(suite, sources["bare"])
    files = {name: tmp_path / f"{name}.json" for name in sources}
    began = time.monotonic()
    runs = {
        name: start(suite, python, source, files[name], instrumented=name == "instrumented")
        for name, source in sources.items()
    }
    try:
        bare, instrumented = (finish(run, files[name]) for name, run in runs.items())
    finally:
        for run in runs.values():
            run.kill()
            run.wait()
    seconds = time.monotonic() - began
    requests = requests_in(files["instrumented"])
    differences = compare(bare, instrumented)
    by_design, faults = BY_DESIGN.get(suite.name, {}), FAULTS.get(suite.name, {})
    mended = without(faults, differences)
    with capsys.disabled():
        print(  # noqa: T201 - a reader of the run wants to know
            f"\n{suite.requirement}: {len(bare)} tests bare, {len(instrumented)} instrumented with "
            f"{requests} requests, {len(differences)} end differently, {seconds:.0f} s\n"
            f"  fail bare: {[test for test, how in bare.items() if how.name == 'failed']}\n"
            f"  known faults that do not show: {mended}"
        )

    assert requests > 0
    assert [] == [
        (test, *how)
        for test, how in differences.items()
        if not is_listed(test, by_design) and not is_listed(test, faults)
    ]
    assert [] == without(by_design, differences)


def test_only_tests_that_end_in_another_way_are_differences() -> None:
    """A test that ran in only one of the two runs is a difference; a message is not."""
    bare = {"a": Outcome("passed"), "b": Outcome("failed", "at noon"), "c": Outcome("passed")}
    instrumented = {"a": Outcome("failed", "x"), "b": Outcome("failed", "at one")}

    expected = {
        "a": (Outcome("passed"), Outcome("failed", "x")),
        "c": (Outcome("passed"), Outcome("not run")),
    }
    assert expected == compare(bare, instrumented)


def compare(bare: Outcomes, instrumented: Outcomes) -> Differences:
    """Map each test that ends differently to its two outcomes."""
    pairs = {
        test: (bare.get(test, _NOT_RUN), instrumented.get(test, _NOT_RUN))
        for test in {**bare, **instrumented}
    }
    return {test: (one, other) for test, (one, other) in pairs.items() if one.name != other.name}


def is_listed(test: str, listed: Iterable[str]) -> bool:
    """Whether a test's id is in a list, with its parameters or without."""
    return test in listed or test.partition("[")[0] in listed


def without(listed: Iterable[str], differences: Iterable[str]) -> list[str]:
    """List the entries that match no difference."""
    return [test for test in listed if not any(is_listed(name, {test}) for name in differences)]
