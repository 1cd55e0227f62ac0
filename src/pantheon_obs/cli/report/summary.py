"""The report as text: the tables that fit a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.cli.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Row = dict[str, Any]
MOST_ROWS = 20  # of a table; --json and --html have them all
LONGEST = 60  # characters of a cell
_MINUTE = 60_000
_SECOND = 1000


def summary(report: Row) -> Iterator[str]:
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
    yield from _section(
        "requests",
        ("kind", "service", "method", "route", "count", "errors", "p50", "p95", "p99", "slowest"),
        [_request(row) for row in report["requests"]],
    )
    yield from _section(
        "errors",
        ("count", "service", "type", "route", "where", "last", "example"),
        [_error(row) for row in report["errors"]],
    )
    yield from _section(
        "LLM calls",
        (
            *("model", "provider", "by", "calls", "errors", "in", "out"),
            *("cost", "in failed", "p95", "cut"),
        ),
        [_call(row) for row in report["llm"]],
    )


def _section(title: str, heads: Sequence[str], rows: list[list[str]]) -> Iterator[str]:
    """Give a table; numbers stand at the right of their column."""
    if not rows:
        return
    yield ""
    yield title
    shown = [list(heads), *rows[:MOST_ROWS]]
    widths = [max(len(row[at]) for row in shown) for at in range(len(heads))]
    for row in shown:
        cells = [
            cell.rjust(width) if cell[:1].isdigit() or cell[:1] == "$" else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        yield "  ".join(cells).rstrip()
    if len(rows) > MOST_ROWS:
        yield f"… and {len(rows) - MOST_ROWS:,} more: --json and --html have them all"


def _request(row: Row) -> list[str]:
    slowest = row["slowest"] or {"trace_id": None}
    return [
        _text(row["kind"]),
        _text(row["service"]),
        _text(row["method"]),
        _text(row["route"]),
        f"{row['requests']:,}",
        f"{row['error_share']:.1%}",
        *(_time(row[key]) for key in ("p50_ms", "p95_ms", "p99_ms")),
        _text(slowest["trace_id"]),
    ]


def _error(row: Row) -> list[str]:
    frame = row["frame"]
    return [
        f"{row['count']:,}",
        _text(row["service"]),
        _text(row["type"]) + (" (new)" if row["new"] else ""),
        _text(row["route"]),
        _text(f"{frame['file']}:{frame['line']} {frame['function']}") if frame else "-",
        row["last"],
        _text(row["example"]["trace_id"]),
    ]


def _call(row: Row) -> list[str]:
    return [
        _text(row["model"]),
        _text(row["provider"]),
        _text(row["by"]),
        f"{row['calls']:,}",
        f"{row['errors']:,}",
        f"{row['input_tokens']:,}",
        f"{row['output_tokens']:,}",
        _amount("cost_usd", row["cost_usd"]),
        _amount("cost_usd", row["cost_in_failed_usd"]),
        _time(row["p95_ms"]),
        f"{row['cut']:,}",
    ]


def _text(value: object) -> str:
    if value is None:
        return "-"
    text = printable(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _time(milliseconds: float | None) -> str:
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
