"""The report as text: the tables that fit a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pantheon_obs.cli.report.failures import ReportRow

Cells = dict[str, str]  # by the head of their column
MOST_ROWS = 20  # of a table; --json and --html have them all
_WIDEST = 60  # characters of a cell
_MINUTE = 60_000
_SECOND = 1000


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
            change = f"  (before: {_amount(key, before[key])})" if before else ""
            yield f"{key.replace('_', ' '):12} {_amount(key, totals[key])}{change}"
    yield from _section("requests", report["requests"], _request)
    yield from _section("errors", report["errors"], _error)
    yield from _section("LLM calls", report["llm"], _call)


def _section(
    title: str, rows: Sequence[ReportRow], cells_of: Callable[[ReportRow], Cells]
) -> Iterator[str]:
    """Give a table; numbers stand at the right of their column."""
    if not rows:
        return
    table = [cells_of(row) for row in rows[:MOST_ROWS]]
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


def _request(row: ReportRow) -> Cells:
    slowest = row["slowest"] or {"trace_id": None}
    return {
        "kind": _cell(row["kind"]),
        "service": _cell(row["service"]),
        "method": _cell(row["method"]),
        "route": _cell(row["route"]),
        "count": f"{row['requests']:,}",
        "errors": f"{row['error_share']:.1%}",
        "p50": _duration(row["p50_ms"]),
        "p95": _duration(row["p95_ms"]),
        "p99": _duration(row["p99_ms"]),
        "slowest": _cell(slowest["trace_id"]),
    }


def _error(row: ReportRow) -> Cells:
    frame = row["frame"]
    return {
        "count": f"{row['count']:,}",
        "service": _cell(row["service"]),
        "type": _cell(row["type"]) + (" (new)" if row["new"] else ""),
        "route": _cell(row["route"]),
        "where": _cell(frame and f"{frame['file']}:{frame['line']} {frame['function']}"),
        "last": row["last"],
        "example": _cell(row["example"]["trace_id"]),
    }


def _call(row: ReportRow) -> Cells:
    return {
        "model": _cell(row["model"]),
        "provider": _cell(row["provider"]),
        "by": _cell(row["by"]),
        "calls": f"{row['calls']:,}",
        "errors": f"{row['errors']:,}",
        "in": f"{row['input_tokens']:,}",
        "out": f"{row['output_tokens']:,}",
        "cost": _amount("cost_usd", row["cost_usd"]),
        "in failed": _amount("cost_in_failed_usd", row["cost_in_failed_usd"]),
        "p95": _duration(row["p95_ms"]),
        "cut": f"{row['cut']:,}",
    }


def _cell(value: object) -> str:
    if value is None:
        return "-"
    text = printable(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    if milliseconds >= _MINUTE:
        return f"{milliseconds / _MINUTE:.1f} min"
    if milliseconds >= _SECOND:
        return f"{milliseconds / _SECOND:.2f} s"
    return f"{milliseconds:.1f} ms"


def _amount(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"${value:,.4f}" if key.endswith("_usd") else f"{value:,}"
