"""Measure the cost of the library side by side with its peers, and print one table."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, replace
from multiprocessing import get_context

from bench.cases import FULL, QUICK, MisbehavedError
from bench.families import FAMILIES, measure

VERDICTS = {True: "yes", False: "no", None: "-"}
HEADINGS = ("work", "hand", "peer", "ours", "× hand", "× peer", "target", "met")


def main() -> int:
    """Measure the families and print the table; a slow contender is no error.

    Returns:
        0, or 1 if a contender does not do its job.
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a few seconds: checks all; the figures are not reliable",
    )
    parser.add_argument(
        "--only", choices=FAMILIES, action="append", help="one family (may be repeated)"
    )
    parser.add_argument(
        "--large", action="store_true", help="a search in 1 GB, too; takes some minutes"
    )
    options = parser.parse_args()
    effort = replace(QUICK if options.quick else FULL, is_large=options.large)
    print(_line(HEADINGS))
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for name in options.only or FAMILIES:
            try:
                rows = pool.submit(measure, name, effort).result()
            except MisbehavedError as error:
                print(error, file=sys.stderr)
                return 1
            for row in rows:
                *cells, met = astuple(row)
                print(_line((*cells, VERDICTS[met])), flush=True)
    return 0


def _line(cells: tuple[str, ...]) -> str:
    work, *figures, target, met = cells
    return f"{work:<33}" + "".join(f"{cell:>9}" for cell in figures) + f"  {target:<28}{met}"


if __name__ == "__main__":
    sys.exit(main())
