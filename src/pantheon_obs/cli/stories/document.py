"""The story of one trace: a dict with the keys of `pantheon-obs story --json`."""

from __future__ import annotations

from math import fsum, inf
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from pantheon_obs.cli.reading.schema import number
from pantheon_obs.cli.stories.errors import errors
from pantheon_obs.cli.stories.items import format_time, item_of, name_of, times_of
from pantheon_obs.cli.stories.parents import Units, find_parents, is_guess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from pantheon_obs.cli.reading.lines import Line
    from pantheon_obs.cli.stories.items import Item

_MILLISECOND = 1000  # microseconds


class Story(NamedTuple):
    """The story of one trace.

    Attributes:
        document: The dict that `--json` prints. Each `line` in it is an `orjson.Fragment` of the
            line as it was written, so that no number changes.
        lines: The lines by time, with their parsed fields, at the places of `document["lines"]`.
        items: The units and calls, at the places of `document["items"]`.
        start: The time at which it begins.
    """

    document: dict[str, Any]
    lines: list[Line]
    items: list[Item]
    start: datetime


def story(lines: Iterable[Line], read: dict[str, int]) -> Story:
    """Compute the story of one trace.

    Args:
        lines: All lines of the trace, at least one, in the order of the files.
        read: The counts of the reader, which are passed on.
    """
    ordered = sorted(lines, key=lambda line: line.time)
    found = filter(None, (item_of(line, order) for order, line in enumerate(ordered)))
    items = sorted(found, key=lambda item: (item.start, -item.length))  # of equal starts the longer
    units = Units(items)
    parents = find_parents(items, units)
    ids = {item: place for place, item in enumerate(items)}
    start = min([ordered[0].time, *(item.start for item in items)])
    end = ordered[-1].time
    document = {
        "trace_id": ordered[0].fields["trace_id"],
        "start": format_time(start),
        "end": format_time(end),
        "duration_ms": (end - start).total_seconds() * _MILLISECOND,
        "services": list(dict.fromkeys(line.service for line in ordered)),
        "failed": any(item.failed for item in items if item.kind != "llm"),
        **_totals(items),
        "errors": errors(ordered, ids, units),
        "items": [_entry(item, ids, parents) for item in items],
        "lines": [
            {"service": line.service, "source": line.source, "line": orjson.Fragment(line.raw)}
            for line in ordered
        ],
        "read": dict(read),
    }
    return Story(document, ordered, items, start)


def _totals(items: Iterable[Item]) -> dict[str, Any]:
    """Add up the calls that are not nested."""
    calls = [item.line.fields for item in items if item.kind == "llm" and not item.nested]

    def total(name: str, add: Callable[[list[float]], float]) -> float | None:
        known = [value for fields in calls if (value := number(fields, name)) is not None]
        return add(known) if known else None

    return {
        "llm_calls": len(calls),
        "input_tokens": total("input_tokens", sum),
        "output_tokens": total("output_tokens", sum),
        "cost_usd": total("cost_usd", _sum_of_costs),
    }


def _entry(item: Item, ids: dict[Item, int], parents: dict[Item, Item]) -> dict[str, Any]:
    fields = item.line.fields
    return {
        "id": ids[item],
        "parent": ids[parents[item]] if item in parents else None,
        "kind": item.kind,
        "name": name_of(item.kind, fields),
        "service": item.service,
        "start": format_time(item.start),
        "end": format_time(item.end),
        "duration_ms": item.duration,
        "failed": item.failed,
        "guessed": is_guess(item, parents.get(item)),
        "times": [] if item.kind == "llm" else times_of(fields),
        "line": orjson.Fragment(item.line.raw),
    }


def _sum_of_costs(costs: Iterable[float]) -> float:
    try:
        return fsum(costs)
    except OverflowError:
        return inf
