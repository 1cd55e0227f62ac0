"""Fail if the library takes many more instructions than the code by hand, in the same run.

Instructions do not depend on how busy a machine is. The limits are wide: this finds a regression,
and `make bench` measures.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cases import COUNTED
from bench.counting import FUNCTION, LIMITS, PIECES
from bench.families import FAMILIES, measure

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORT = 20  # instructions for one piece: somebody else has called the function
_COUNTED = ("trace", "disabled", "story", "django", "log")


def main() -> int:
    """Count the families in turn; return 1 if one is above its limit, or could not be counted."""
    if len(sys.argv) > 1:
        return _fork(sys.argv[1:])
    if shutil.which("valgrind") is None:
        print("bench-check is skipped: install the package valgrind, which counts instructions")
        return 0
    print(f"{'instructions for one piece of work':<38}{'hand':>10}{'ours':>10}{'× hand':>9}  limit")
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        shares = [_COUNTED[first::workers] for first in range(workers)]
        found = [case for cases in pool.map(_counts, shares) for case in cases]
    met = [_is_met(*case) for case in found]
    return 0 if len(met) == len(LIMITS) and all(met) else 1


def _fork(families: list[str]) -> int:
    """Count each family in a child of this process: only this one imports, which is slow here."""
    for family in families:
        import_module(FAMILIES[family][0])
    for family in families:
        child = os.fork()
        if child == 0:
            measure(family, COUNTED)
            sys.stderr.flush()
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            return 1
    return 0


def _counts(families: tuple[str, ...]) -> list[tuple[str, dict[str, int]]]:
    """Count families in one process; return their cases with their contenders."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(  # noqa: S603 - our own code
            (
                *("valgrind", "--tool=callgrind", "--quiet"),
                *(f"--toggle-collect={FUNCTION}", f"--dump-after={FUNCTION}"),
                f"--callgrind-out-file={folder}/%p",
                *(sys.executable, "-m", "bench.check", *families),
            ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        if run.returncode:
            sys.exit(run.stderr)
        cases = [json.loads(line) for line in run.stderr.splitlines() if line.startswith("[")]
        counts: dict[int, Iterator[int]] = {}
        found = []
        for process, work, *names in cases:
            numbers = counts.setdefault(process, _dumps(Path(folder) / str(process)))
            found.append((work, {name: next(numbers) for name in names}))
        return found


def _dumps(output: Path) -> Iterator[int]:
    """Return the counts of one process, in their order."""
    totals = (_total(output.with_suffix(f".{number}")) for number in count(1))
    return (total for total in totals if total > _SHORT)


def _total(dump: Path) -> int:
    """Return the instructions of one piece of work; of a call by somebody else a few."""
    found = re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE)
    return int(found[1]) // PIECES if found else 0


def _is_met(work: str, counts: dict[str, int]) -> bool:
    bare = counts.get("bare", 0)
    hand, ours = counts["hand"] - bare, counts["ours"] - bare
    ratio = ours / hand
    print(f"{work:<38}{hand:>10,}{ours:>10,}{ratio:>9.2f}  {LIMITS[work]:g}", flush=True)
    return 0 < ratio <= LIMITS[work]


if __name__ == "__main__":
    sys.exit(main())
