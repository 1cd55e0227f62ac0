"""The groups of errors: the engine groups by the outline of a traceback, which is read here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.cli.report import queries
from pantheon_obs.cli.report.windows import format_us
from pantheon_obs.cli.stories import tracebacks
from pantheon_obs.cli.terminal import text_of

if TYPE_CHECKING:
    from pantheon_obs.cli.report.queries import Answers

ReportRow = dict[str, Any]


def error_rows(answers: Answers) -> list[ReportRow]:
    """List the errors of a window by service, type, route and frame."""
    groups: dict[tuple[Any, ...], ReportRow] = {}
    for service, error_type, route, outline, count, first, last, example in answers.ask(
        queries.ERRORS
    ):
        raised = tracebacks.read(outline or "")
        trace_id, exception = example
        row = {
            "service": service,
            "type": raised.type if error_type is None else error_type,
            "route": route,
            "frame": raised.frame,
            "count": count,
            "first": int(first),
            "last": int(last),
            "example": {
                "trace_id": trace_id,
                "timestamp": format_us(int(first)),
                "message": tracebacks.read(exception).message if exception else None,
            },
            "new": None,
        }
        key = identity(row)
        groups[key] = _merged(groups[key], row) if key in groups else row
    for row in groups.values():
        row["count"] = round(row["count"])
    ordered = sorted(groups.values(), key=_order)
    for row in ordered:
        row["first"], row["last"] = format_us(row["first"]), format_us(row["last"])
    return ordered


def identity(row: ReportRow) -> tuple[Any, ...]:
    """Return the values by which groups of errors differ."""
    return (row["service"], row["type"], row["route"], *(row["frame"] or {}).values())


def last_if_null(value: object) -> tuple[bool, str]:
    """Order texts, and other values as JSON, with null at the end."""
    return (value is None, text_of(value))


def _merged(one: ReportRow, other: ReportRow) -> ReportRow:
    """Add up two groups that differ only in values that the report does not show."""
    earlier = one if one["first"] <= other["first"] else other
    return {
        **earlier,
        "count": one["count"] + other["count"],
        "last": max(one["last"], other["last"]),
    }


def _order(row: ReportRow) -> tuple[Any, ...]:
    return (
        -row["count"],
        -row["last"],
        *(last_if_null(row[key]) for key in ("service", "type", "route")),
        str(row["frame"]),
    )
