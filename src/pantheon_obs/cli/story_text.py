"""Write the story of a trace as text: errors, the waterfall, the lines."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, NamedTuple

from pantheon_obs.cli.inputs import show_time
from pantheon_obs.cli.stories.items import Item, name_of
from pantheon_obs.cli.terminal import paint, printable
from pantheon_obs.cli.wording import (
    count,
    cut,
    dollars,
    milliseconds,
    other_fields,
    outcome,
    tokens,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pantheon_obs.cli.reading.lines import Line
    from pantheon_obs.cli.stories.document import Story

_LEVELS = {"error": "red", "critical": "red", "warning": "yellow", "debug": "dim"}
_DEEPEST = 12  # levels of the tree that are indented
_NARROWEST, _WIDEST = 60, 200  # columns


class Style(NamedTuple):
    """How the text looks.

    Attributes:
        colors: Whether there are colors.
        local: Whether times are shown in the machine's zone.
        columns: The width, which the bars fill.
    """

    colors: bool
    local: bool
    columns: int


def style(*, colors: bool, local: bool) -> Style:
    """Choose the style for the terminal, or for a pipe, which has 100 columns."""
    columns = get_terminal_size((100, 0)).columns
    return Style(colors, local, min(max(columns, _NARROWEST), _WIDEST))


def as_text(story: Story, look: Style) -> Iterator[str]:
    """Give the lines of the text."""
    yield from _head(story, look)
    for entry in story.document["errors"]:
        item = None if entry["item"] is None else story.items[entry["item"]]
        yield from _error(entry, item, look)
    yield ""
    yield from _waterfall(story, look)
    yield ""
    yield from _lines(story.lines, look)


def _head(story: Story, look: Style) -> Iterator[str]:
    document = story.document
    state = paint("failed", "red", wanted=look.colors) if document["failed"] else "ended well"
    if not story.items:
        state = "no request, task or call has ended"
    yield f"{paint('trace', 'bold', wanted=look.colors)} {printable(document['trace_id'])}: {state}"
    shown = show_time(story.start, local=look.local)
    parts = [
        f"{shown.replace(tzinfo=None).isoformat(' ', 'microseconds')} {shown.tzname()}",
        milliseconds(document["duration_ms"]),
        ", ".join(map(printable, document["services"])),
    ]
    if document["llm_calls"]:
        parts.append(count(document["llm_calls"], "LLM call"))
        parts.append(tokens(document["input_tokens"], document["output_tokens"]))
    if document["cost_usd"] is not None:
        parts.append(dollars(document["cost_usd"]))
    yield " · ".join(filter(None, parts))


def _error(entry: dict[str, Any], item: Item | None, look: Style) -> Iterator[str]:
    kind = printable(cut(entry["type"] or entry["event"]))
    if entry["type"] is None and item and item.line.fields["event"] == entry["event"]:
        fields = item.line.fields
        kind = f"{printable(name_of(item.kind, fields))} {outcome(item.kind, fields)}"
    yield ""
    title = paint(f"✗ {kind}", "red", wanted=look.colors)
    yield f"{title}: {printable(cut(entry['message']))}" if entry["message"] else title
    frame = entry["frame"]
    if frame:
        yield printable(f"  {frame['file']}:{frame['line']} in {frame['function']}")
    time = entry["timestamp"].partition("T")[2]
    yield printable(f"  {entry['service']} · {cut(entry['event'])} · {time}")


def _waterfall(story: Story, look: Style) -> Iterator[str]:
    """Give a row for each item, below its parent, and one for each of its times."""
    document = story.document
    children: dict[int | None, list[int]] = {}
    for entry in document["items"]:
        children.setdefault(entry["parent"], []).append(entry["id"])
    scale = Scale(story, look)
    waiting = [(place, 0) for place in reversed(children.get(None, []))]
    while waiting:
        place, depth = waiting.pop()
        waiting += [(child, depth + 1) for child in reversed(children.get(place, []))]
        item, entry = story.items[place], document["items"][place]
        yield scale.row(item, depth, _details(item, guessed=entry["guessed"]))
        for time in entry["times"]:
            yield scale.time(item, depth + 1, time)


def _details(item: Item, *, guessed: bool) -> str:
    fields = item.line.fields
    parts = [outcome(item.kind, fields), *usage(item.kind, fields)]
    if item.nested:
        parts.append("nested")
    if retries := fields.get("retries"):
        parts.append(f"retry {retries}")
    if blocked := fields.get("loop_blocked_ms"):
        parts.append(f"loop blocked {milliseconds(blocked)}")
    if "keep_rate" in fields:
        parts.append(f"keep rate {fields['keep_rate']}")
    if missing := fields.get("lines_not_recorded"):
        parts.append(f"{missing} lines not recorded")
    if guessed:
        parts.append("its place is a guess")
    return ", ".join(printable(part) for part in parts if part)


class Scale:
    """The columns of the waterfall."""

    def __init__(self, story: Story, look: Style) -> None:
        self._look = look
        self._start = story.start
        self._total = story.document["duration_ms"] or 1.0
        self._width = look.columns // 3  # of the labels, and of the bars

    def row(self, item: Item, depth: int, details: str) -> str:
        """Draw the row of a unit or call."""
        name = name_of(item.kind, item.line.fields)
        label = self._labelled(f"{name}  {item.service}", depth)
        bar = self._drawn(item, item.length, "█")
        color = "red" if item.failed else "cyan" if item.kind == "llm" else "green"
        bar = paint(bar, color, wanted=self._look.colors)
        return f"{label} ▏{bar}▕ {milliseconds(item.duration):>10}  {details}".rstrip()

    def time(self, item: Item, depth: int, time: dict[str, Any]) -> str:
        """Draw the row of a measured time, from its unit's start."""
        label = self._labelled(f"· {time['name']}", depth)
        bar = paint(self._drawn(item, time["ms"], "░"), "dim", wanted=self._look.colors)
        details = "" if time["calls"] is None else count(time["calls"], "call")
        fields = item.line.fields
        if time["name"] == "db" and "db_repeats" in fields:
            repeated = cut(str(fields.get("db_repeated", "one statement")))
            details += f", {fields['db_repeats']} times {printable(repeated)}"
        return f"{label} ▏{bar}▕ {milliseconds(time['ms']):>10}  {details}".rstrip()

    def _labelled(self, text: str, depth: int) -> str:
        text = "  " * min(depth, _DEEPEST) + printable(text)
        return f"{text[: self._width - 1]}…" if len(text) > self._width else text.ljust(self._width)

    def _drawn(self, item: Item, length: float, mark: str) -> str:
        """Draw a bar from an item's start; even the shortest has one column."""
        begin = (item.start - self._start).total_seconds() * 1000
        first = min(int(begin / self._total * self._width), self._width - 1)
        cells = min(max(round(length / self._total * self._width), 1), self._width - first)
        return (" " * first + mark * cells).ljust(self._width)


def _lines(lines: Sequence[Line], look: Style) -> Iterator[str]:
    several = len({line.service for line in lines}) > 1
    wide = max(len(line.service) for line in lines)
    date = None
    for line in lines:
        fields = line.fields
        shown = show_time(line.time, local=look.local)
        if date not in (None, shown.date()):
            yield str(shown.date())
        date = shown.date()
        level = fields["level"]
        parts = [
            f"{shown:%H:%M:%S.%f}",
            *([printable(line.service[:30]).ljust(min(wide, 30))] if several else []),
            paint(f"{printable(level):<8}", _LEVELS.get(level, "green"), wanted=look.colors),
            paint(printable(fields["logger"]), "dim", wanted=look.colors),
            printable(cut(fields["event"])),
            *other_fields(fields),
        ]
        yield " ".join(parts)
        for row in fields.get("exception", "").splitlines():
            yield f"    {printable(cut(row))}"
