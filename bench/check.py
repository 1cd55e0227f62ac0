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
from itertools import count
from pathlib import Path

from bench.cases import COUNTED
from bench.counting import FUNCTION, LIMITS, PIECES
from bench.families import measure

_SHORT = 20  # instructions for one piece: somebody else has called the function
FAMILIES = ("trace", "disabled", "story", "django", "log")


def main() -> int:
    """Count the families in turn; return 1 if one is above its limit, or could not be counted."""
    if len(sys.argv) > 1:
        measure(sys.argv[1], COUNTED)
        return 0
    if shutil.which("valgrind") is None:
        print("bench-check is skipped: install the package valgrind, which counts instructions")
        return 0
    print(f"{'instructions for one piece of work':<38}{'hand':>10}{'ours':>10}{'× hand':>9}  limit")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [case for cases in pool.map(_counts, FAMILIES) for case in cases]
    met = [_is_met(*case) for case in found]
    return 0 if met and all(met) else 1


def _counts(family: str) -> list[tuple[str, dict[str, int]]]:
    """Count one family in a process of its own; return its cases with their contenders."""
    with tempfile.TemporaryDirectory() as folder:
        output = f"{folder}/counts"
        run = subprocess.run(  # noqa: S603 - our own code
            (
                *("valgrind", "--tool=callgrind", "--quiet"),
                *(f"--toggle-collect={FUNCTION}", f"--dump-after={FUNCTION}"),
                f"--callgrind-out-file={output}",
                *(sys.executable, "-m", "bench.check", family),
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
        totals = (_total(Path(f"{output}.{number}")) for number in count(1))
        counts = (total for total in totals if total > _SHORT)
        return [(work, {name: next(counts) for name in names}) for work, *names in cases]


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
