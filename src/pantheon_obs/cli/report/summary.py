"""The report as text: the tables that fit a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.cli.terminal import printable, text_of
from pantheon_obs.cli.wording import dollars, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pantheon_obs.cli.report.failures import ReportRow
    from pantheon_obs.cli.stories.tracebacks import Frame

MOST_ROWS = 20  # of a table; --json and --html have them all
_WIDEST = 60  # characters of a cell
_TIMES = 2  # of a row, the longest


def summary(report: ReportRow) -> Iterator[str]:
    """Give the lines of the report as text."""
    window, totals = report["window"], report["totals"]
    if window["first"] is None:
        yield "no line of pantheon-obs in this window"
        return
    before = (report["before"] or {}).get("totals")
    yield f"{window['first']} to {window['last']}, {totals['lines']:,} lines"
    for key in ("requests", "websockets", "tasks", "errors", "llm_calls", "llm_errors", "cost_usd"):
        if totals[key] or (before and before[key]):
            write = dollars if key == "cost_usd" else "{:,}".format
            change = f"  (before: {write(before[key])})" if before else ""
            yield f"{key.replace('_', ' '):12} {write(totals[key])}{change}"
    yield from _section("requests", report["requests"], _request)
    yield from _section("errors", report["errors"], _error)
    yield from _section("LLM calls", report["llm"], _call)


def _section(
    title: str, rows: Sequence[ReportRow], cells_of: Callable[[ReportRow], dict[str, object]]
) -> Iterator[str]:
    """Give a table; numbers stand at the right of their column."""
    if not rows:
        return
    table = [
        {head: _text(cell) for head, cell in cells_of(row).items()} for row in rows[:MOST_ROWS]
    ]
    table.insert(0, {head: head for head in table[0]})
    widths = {head: max(len(cells[head]) for cells in table) for head in table[0]}
    yield ""
    yield title
    for cells in table:
        aligned = [
            cell.rjust(widths[head])
            if cell[:1].isdigit() or cell[:1] == "$"
            else cell.ljust(widths[head])
            for head, cell in cells.items()
        ]
        yield "  ".join(aligned).rstrip()
    if len(rows) > MOST_ROWS:
        yield f"… and {len(rows) - MOST_ROWS:,} more: --json and --html have them all"


def _request(row: ReportRow) -> dict[str, object]:
    spent = [f"{time['name']} {duration(time['ms'])}" for time in row["times"][:_TIMES]]
    return {
        "kind": row["kind"],
        "service": row["service"],
        "method": row["method"],
        "route": row["route"],
        "count": row["requests"],
        "errors": f"{row['error_share']:.1%}",
        "p50": duration(row["p50_ms"]),
        "p95": duration(row["p95_ms"]),
        "p99": duration(row["p99_ms"]),
        "where the time went": ", ".join(spent) or None,
        "slowest": row["slowest"] and row["slowest"]["trace_id"],
    }


def _error(row: ReportRow) -> dict[str, object]:
    return {
        "count": row["count"],
        "service": row["service"],
        "type": f"{row['type'] or '-'} (new)" if row["new"] else row["type"],
        "route": row["route"],
        "where": _place(row["frame"]),
        "last": row["last"],
        "example": row["example"]["trace_id"],
    }


def _call(row: ReportRow) -> dict[str, object]:
    return {
        "model": row["model"],
        "provider": row["provider"],
        "by": None if row["by"] is None else text_of(row["by"]),
        "calls": row["calls"],
        "errors": row["errors"],
        "in": row["input_tokens"],
        "out": row["output_tokens"],
        "cost": dollars(row["cost_usd"]),
        "in failed": dollars(row["cost_in_failed_usd"]),
        "p95": duration(row["p95_ms"]),
        "cut": row["cut"],
    }


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    text = f"{cell:,}" if isinstance(cell, int) else printable(cell)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _place(frame: Frame | None) -> str | None:
    """Name a place in code; of a long path the end is what tells."""
    if frame is None:
        return None
    text = printable(f"{frame['file']}:{frame['line']} {frame['function']}")
    return text if len(text) <= _WIDEST else f"…{text[1 - _WIDEST :]}"
