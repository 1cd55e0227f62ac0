"""Draw the ratios of the benchmark as SVG, for docs/performance.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from bench.cases import Ratio, Row

_COLOUR = {True: "#2a7f62", False: "#c0504d", None: "#6b7a8f"}
_ROW = 0.24  # inches


def draw(rows: list[Row], folder: Path) -> None:
    """Draw one chart beside the code by hand, and one beside the peers."""
    by_hand = [(row.work, row.hand_ratio, row.met) for row in rows if row.hand_ratio]
    _draw(by_hand, "times the code by hand (1 = as fast)", folder / "hand.svg")
    work, by_peer = "", []
    for row in rows:
        beside = row.work.startswith("  ")
        work = work if beside else row.work
        if row.peer_ratio:
            name = f"{work}, {row.work.strip()}" if beside else work
            by_peer.append((name, row.peer_ratio, None if beside else row.met))
    _draw(by_peer, "times the peer (below 1 = faster)", folder / "peers.svg")


def _draw(bars: list[tuple[str, Ratio, bool | None]], title: str, path: Path) -> None:
    mpl.rcParams.update(
        {"svg.hashsalt": "bench", "font.size": 8}
    )  # the same file from the same figures
    figure = Figure(figsize=(8, 1 + _ROW * len(bars)), layout="constrained")
    axes = figure.subplots()
    ratios = [ratio for _, ratio, _ in bars]
    medians = [ratio.median for ratio in ratios]
    spread = [
        [max(0, ratio.median - ratio.low) for ratio in ratios],
        [max(0, ratio.high - ratio.median) for ratio in ratios],
    ]
    places = range(len(bars))
    colours = [_COLOUR[met] for *_, met in bars]
    axes.barh(places, medians, xerr=spread, color=colours, ecolor="#222222", height=0.7)
    for place, ratio in zip(places, ratios, strict=True):
        axes.text(ratio.high, place, f" {ratio.median:.2f}", va="center")
    axes.set_yticks(places, [work for work, *_ in bars])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="#222222", linewidth=0.8)
    axes.set_xlabel(
        f"{title}; the lines show the quartiles; green: the target is met, red: it is not"
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
