"""Write the story of a trace as text: errors, the waterfall, the lines."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, NamedTuple

from pantheon_obs.cli.inputs import show_time
from pantheon_obs.cli.reading.schema import number
from pantheon_obs.cli.stories.items import name_of
from pantheon_obs.cli.terminal import paint, printable
from pantheon_obs.cli.wording import (
    counted,
    dollars,
    duration,
    other_fields,
    outcome,
    shown,
    tokens,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from pantheon_obs.cli.reading.lines import Line
    from pantheon_obs.cli.stories.document import Story
    from pantheon_obs.cli.stories.items import Item

_LEVELS = {"error": "red", "critical": "red", "warning": "yellow", "debug": "dim"}
_DEEPEST = 12  # levels of the tree that are indented
_NARROWEST, _WIDEST = 60, 200  # columns


def as_text(story: Story, *, local: bool) -> Iterator[str]:
    """Give the lines of the text, as wide as the terminal; a pipe has 100 columns."""
    columns = get_terminal_size((100, 0)).columns
    yield from _head(story, local=local)
    for entry in story.document["errors"]:
        item = None if entry["item"] is None else story.items[entry["item"]]
        yield from _error(entry, item)
    yield ""
    yield from _waterfall(story, min(max(columns, _NARROWEST), _WIDEST) // 3)
    ended = {item.service for item in story.items}
    for service in story.document["services"]:
        if service not in ended:  # it works still, or was killed
            yield f"{printable(service)}: no request, task or call has ended"
    yield ""
    yield from _lines(story.lines, local=local)


def _head(story: Story, *, local: bool) -> Iterator[str]:
    document = story.document
    state = paint("failed", "red") if document["failed"] else "ended well"
    if not story.items:
        state = "has not ended"
    elif document["errors"] and not document["failed"]:
        state = "ended well, after errors"
    yield f"{paint('trace', 'bold')} {printable(document['trace_id'])}: {state}"
    start = show_time(story.start, local=local)
    parts = [
        f"{start.replace(tzinfo=None).isoformat(' ', 'microseconds')} {start.tzname()}",
        duration(document["duration_ms"]),
        ", ".join(map(printable, document["services"])),
    ]
    if document["llm_calls"]:
        parts.append(counted(document["llm_calls"], "LLM call"))
        parts.append(tokens(document["input_tokens"], document["output_tokens"]))
    if document["cost_usd"] is not None:
        parts.append(dollars(document["cost_usd"]))
    yield " · ".join(filter(None, parts))


def _error(entry: dict[str, Any], item: Item | None) -> Iterator[str]:
    kind = shown(entry["type"] or entry["event"])
    if entry["type"] is None and item and item.line.fields["event"] == entry["event"]:
        fields = item.line.fields
        kind = f"{shown(name_of(item.kind, fields))} {outcome(item.kind, fields)}"
    title = paint(f"✗ {kind}", "red")
    yield ""
    yield f"{title}: {shown(entry['message'])}" if entry["message"] else title
    if frame := entry["frame"]:
        yield printable(f"  {frame['file']}:{frame['line']} in {frame['function']}")
    time = entry["timestamp"].partition("T")[2]
    yield f"  {printable(entry['service'])} · {shown(entry['event'])} · {time}"


class _Row(NamedTuple):
    """A row of the waterfall: a unit or call, or one of the measured times of a unit."""

    label: str
    start: datetime
    ms: float | None
    details: str
    mark: str
    color: str


def _waterfall(story: Story, width: int) -> Iterator[str]:
    """Draw the rows; labels and bars have the same width."""
    total = story.document["duration_ms"] or 1.0
    for row in _rows(story):
        label = row.label if len(row.label) <= width else f"{row.label[: width - 1]}…"
        begin = (row.start - story.start).total_seconds() * 1000
        first = min(int(begin / total * width), width - 1)
        cells = round(min((row.ms or 0) / total, 1) * width)
        bar = " " * first + row.mark * min(max(cells, 1), width - first)
        bar = paint(bar.ljust(width), row.color)
        yield f"{label:<{width}} ▏{bar}▕ {duration(row.ms):>10}  {row.details}".rstrip()


def _rows(story: Story) -> Iterator[_Row]:
    """Give a row for each item, below its parent, and one for each of its times."""
    children: dict[int | None, list[int]] = {}
    for entry in story.document["items"]:
        children.setdefault(entry["parent"], []).append(entry["id"])
    waiting = [(place, 0) for place in reversed(children.get(None, []))]
    while waiting:
        place, depth = waiting.pop()
        waiting += [(child, depth + 1) for child in reversed(children.get(place, []))]
        item, entry = story.items[place], story.document["items"][place]
        label = _indented(f"{entry['name']}  {item.service}", depth)
        details = _details(item, guessed=entry["guessed"])
        color = "red" if item.failed else "cyan" if item.kind == "llm" else "green"
        yield _Row(label, item.start, item.duration, details, "█", color)
        for time in entry["times"]:
            label = _indented(f"· {time['name']}", depth + 1)
            details = _details_of_time(time, item.line.fields)
            yield _Row(label, item.start, time["ms"], details, "░", "dim")


def _indented(text: str, depth: int) -> str:
    return "  " * min(depth, _DEEPEST) + printable(text)


def _details(item: Item, *, guessed: bool) -> str:
    fields = item.line.fields
    parts = [outcome(item.kind, fields), *usage(item.kind, fields)]
    if item.nested:
        parts.append("nested")
    if retries := fields.get("retries"):
        parts.append(f"retry {shown(retries)}")
    if blocked := number(fields, "loop_blocked_ms"):
        parts.append(f"loop blocked {duration(blocked)}")
    if "keep_rate" in fields:
        parts.append(f"keep rate {shown(fields['keep_rate'])}")
    if missing := fields.get("lines_not_recorded"):
        parts.append(f"{shown(missing)} lines not recorded")
    if guessed:
        parts.append("its place is a guess")
    return ", ".join(filter(None, parts))


def _details_of_time(time: dict[str, Any], fields: dict[str, Any]) -> str:
    details = "" if time["calls"] is None else counted(time["calls"], "call")
    if time["name"] == "db" and "db_repeats" in fields:
        repeated = shown(fields.get("db_repeated", "one statement"))
        details += f", {shown(fields['db_repeats'])} times {repeated}"
    return details


def _lines(lines: Sequence[Line], *, local: bool) -> Iterator[str]:
    several = len({line.service for line in lines}) > 1
    wide = min(max(len(line.service) for line in lines), 30)
    date = None
    for line in lines:
        fields = line.fields
        time = show_time(line.time, local=local)
        if date not in (None, time.date()):
            yield str(time.date())
        date = time.date()
        level = fields["level"]
        parts = [
            f"{time:%H:%M:%S.%f}",
            *([printable(line.service[:30]).ljust(wide)] if several else []),
            paint(f"{printable(level):<8}", _LEVELS.get(level, "green")),
            paint(printable(fields["logger"]), "dim"),
            shown(fields["event"]),
            *other_fields(fields),
        ]
        yield " ".join(parts)
        for row in fields.get("exception", "").splitlines():
            yield f"    {shown(row)}"
