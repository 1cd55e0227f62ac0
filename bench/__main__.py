"""Measure the cost of the library side by side with its peers, and print one table."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cases import FULL, QUICK, MisbehavedError
from bench.contenders import LACKS, versions
from bench.families import FAMILIES, measure

if TYPE_CHECKING:
    from bench.cases import Row

VERDICTS = {True: "yes", False: "no", None: "-"}
HEADINGS = ("work", "hand", "peer", "ours", "× hand", "× peer")
_THREE_DIGITS = 100


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
    parser.add_argument(
        "--save", type=Path, metavar="FOLDER", help="write figures.json and the charts there"
    )
    options = parser.parse_args()
    effort = replace(QUICK if options.quick else FULL, is_large=options.large)
    print(_line(HEADINGS, "target", "met"))
    rows: list[Row] = []
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for name in options.only or FAMILIES:
            try:
                found = pool.submit(measure, name, effort).result()
            except MisbehavedError as error:
                print(error, file=sys.stderr)
                return 1
            for row in found:
                figures = [_shown(figure) for figure in (row.hand, row.peer, row.ours)]
                ratios = [str(ratio or "") for ratio in (row.hand_ratio, row.peer_ratio)]
                cells = (row.work, *figures, *ratios)
                print(_line(cells, row.target, VERDICTS[row.met]), flush=True)
            rows += found
    if options.save is not None:
        _save(rows, options.save)
    return 0


def _save(rows: list[Row], folder: Path) -> None:
    figures = {
        "python": platform.python_version(),
        "system": platform.system(),
        "contenders": {
            name: {"version": at, "lacks": LACKS[name]} for name, at in versions().items()
        },
        "rows": [asdict(row) for row in rows],
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    (folder / "figures.json").write_text(f"{text}\n", encoding="utf-8")
    import_module("bench.charts").draw(rows, folder)  # which needs matplotlib


def _shown(figure: float | str | None) -> str:
    if figure is None or isinstance(figure, str):
        return figure or ""
    return f"{figure:.3g}" if figure < _THREE_DIGITS else f"{figure:,.0f}"


def _line(cells: tuple[str, ...], target: str, met: str) -> str:
    work, hand, peer, ours, *ratios = cells
    figures = f"{hand:>9}{peer:>10}{ours:>9}" + "".join(f"{ratio:>12}" for ratio in ratios)
    return f"{work:<36}{figures}  {target:<28}{met}"


if __name__ == "__main__":
    sys.exit(main())
