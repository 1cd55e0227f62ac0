"""Units and calls: the requests, websockets, tasks and LLM calls of a trace."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pantheon_obs.cli.reading.schema import ERROR_LEVELS, kind_of, ms_key, number

if TYPE_CHECKING:
    from pantheon_obs.cli.reading.lines import Line


def format_time(time: datetime) -> str:
    """Write a time as the lines have it."""
    return time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class Item:
    """A unit or a call, which was written when it ended.

    Attributes:
        line: Its line.
        order: The line's place among the lines of the trace.
        kind: `request`, `websocket`, `task` or `llm`.
        start: Its end less its duration.
        end: The time of its line.
        duration: In milliseconds; None if it is not known.
        failed: Whether a unit has the level of an error; whether a call's outcome is `error`.
        span: Its `span_id`; for a call it is its unit's `span_id`.
        parent_span: Its `parent_span_id`.
    """

    __slots__ = (
        "duration", "end", "failed", "kind", "line", "nested", "order", "parent_span", "service",
        "span", "start",
    )  # fmt: skip

    def __init__(self, line: Line, order: int, kind: str) -> None:
        fields = line.fields
        self.line = line
        self.order = order
        self.kind = kind
        self.service = line.service
        self.end = line.time
        self.start, self.duration = _start(line.time, number(fields, "latency_ms"))
        self.nested = kind == "llm" and fields.get("nested") is True
        if kind == "llm":
            self.failed = fields.get("outcome") == "error"
        else:
            self.failed = fields["level"] in ERROR_LEVELS
        self.span = _hex(fields.get("span_id"))
        self.parent_span = _hex(fields.get("parent_span_id"))

    @property
    def length(self) -> float:
        """Return the duration; 0 if it is not known."""
        return self.duration or 0


def item_of(line: Line, order: int) -> Item | None:
    """Return the unit or call of a line; None for any other line."""
    kind = kind_of(line.fields)
    return Item(line, order, kind) if kind else None


def name_of(kind: str, fields: dict[str, Any]) -> str:
    """Name a unit or call: `POST /chat/{id}`, a websocket's route, a task's name, `llm.chat`."""
    if kind == "llm":
        return str(fields["event"])
    if kind == "task":
        return str(fields.get("task", "task"))
    place = fields.get("route", fields.get("path", ""))
    return f"{fields.get('method', '')} {place}".strip() if kind == "request" else str(place)


def times_of(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Return where a unit's time went, the longest first."""
    times: list[dict[str, Any]] = []
    for key, calls in fields.items():
        if not key.endswith("_calls"):
            continue
        name = key.removesuffix("_calls")
        milliseconds = number(fields, ms_key(name))
        if name and milliseconds is not None and type(calls) is int:
            times.append({"name": name, "calls": calls, "ms": milliseconds})
    own = number(fields, "own_ms")
    if own is not None:
        times.append({"name": "own", "calls": None, "ms": own})
    return sorted(times, key=lambda time: -time["ms"])


def _start(end: datetime, milliseconds: float | None) -> tuple[datetime, float | None]:
    """Return the start and the duration; a duration that cannot be is not known."""
    if milliseconds is None or milliseconds < 0:
        return end, None
    try:
        return end - timedelta(milliseconds=milliseconds), milliseconds
    except OverflowError:
        return end, None


def _hex(span: object) -> str | None:
    return span.lower() if isinstance(span, str) and span else None
