"""Decide which item belongs to which: by span ids where there are some, else by times.

Clocks of two services may differ by up to 2 s, so calls are compared with units of their own
service only. A request that another service's unit contains is a guess.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from pantheon_obs.cli.stories.items import Item

SLACK = timedelta(milliseconds=5)  # at either end of an item that contains another


class Timeline:
    """Items by their start; answers which of them contain a time."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = list(items)
        self._starts = [item.start for item in self._items]
        # The latest end up to each place: no item before it can contain a later time.
        self._ends = list(accumulate((item.end for item in self._items), max))

    def before(self, start: datetime) -> Item | None:
        """Return the item that started last, at or before a time."""
        place = bisect_right(self._starts, start)
        return self._items[place - 1] if place else None

    def containing(self, start: datetime, end: datetime) -> Iterator[Item]:
        """Give the items that contain a time, the latest start first."""
        place = bisect_right(self._starts, _later(start))
        while place and _later(self._ends[place - 1]) >= end:
            place -= 1
            if _later(self._items[place].end) >= end:
                yield self._items[place]


def _later(time: datetime) -> datetime:
    """Add the slack, which the last moment of the calendar has not."""
    try:
        return time + SLACK
    except OverflowError:
        return time


class Units:
    """The units of a trace by service; answers which unit a call or a line belongs to."""

    def __init__(self, items: Sequence[Item]) -> None:
        units = [item for item in items if item.kind != "llm"]
        self._of = _by_service(units)
        self._by_span: dict[str | None, Item] = {}
        for unit in units:
            if unit.span is not None:
                self._by_span.setdefault(unit.span, unit)

    def around(self, service: str, start: datetime, end: datetime, length: float) -> Item | None:
        """Return the unit of a service that contains a time, else the last that started before."""
        timeline = self._of.get(service)
        if timeline is None:
            return None
        for unit in timeline.containing(start, end):
            if unit.length > length:
                return unit
        return timeline.before(start)

    def with_span(self, span: str | None) -> Item | None:
        """Return the unit with a `span_id`."""
        return self._by_span.get(span)

    def of_call(self, call: Item) -> Item | None:
        """Return the unit of a call: the unit with its span, else by the times."""
        unit = self.with_span(call.span)
        return unit or self.around(call.service, call.start, call.end, call.length)

    def elsewhere(self, unit: Item) -> Item | None:
        """Return the shortest unit of another service that contains this one."""
        around = [
            other
            for service, timeline in self._of.items()
            if service != unit.service
            for other in timeline.containing(unit.start, unit.end)
            if other.length > unit.length
        ]
        return min(around, key=lambda other: other.length, default=None)


def _by_service(items: Iterable[Item]) -> dict[str, Timeline]:
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.service, []).append(item)
    return {service: Timeline(group) for service, group in groups.items()}


def find_parents(items: Sequence[Item], units: Units) -> dict[Item, Item]:
    """Map each item to its parent item; an item without a parent is not in the mapping.

    Args:
        items: All units and calls of a trace, by their start.
        units: The same units.
    """
    family = _Family()
    calls = _by_service(item for item in items if item.kind == "llm")
    requests = [item for item in items if item.kind == "request"]
    of_service = _by_service(requests)

    def outer(call: Item) -> Item | None:
        is_inner = call.nested and units.with_span(call.span) is None
        return (_outer_call(call, calls) if is_inner else None) or units.of_call(call)

    def caller(unit: Item) -> Item | None:
        return units.with_span(unit.parent_span)

    def sender(task: Item) -> Item | None:
        own = of_service[task.service].before(task.start) if task.service in of_service else None
        return own or next(iter(requests), None)

    family.join((item for item in items if item.kind != "llm"), caller)
    family.join((item for item in items if item.kind == "llm"), outer)
    family.join((item for item in items if item.kind == "task"), sender)
    family.join((item for item in items if item.kind in ("request", "websocket")), units.elsewhere)
    return family.parents


def _outer_call(call: Item, calls: dict[str, Timeline]) -> Item | None:
    """Return the shortest call of the service that contains a nested one."""
    around = [
        other
        for other in calls[call.service].containing(call.start, call.end)
        if (other.length, other.order) > (call.length, call.order)
    ]
    return min(around, key=lambda other: other.length, default=None)


def is_guess(item: Item, parent: Item | None) -> bool:
    """Whether a parent was found by comparing the clocks of two services."""
    if parent is None or item.kind in ("llm", "task"):
        return False
    return item.parent_span is None or item.parent_span != parent.span


class _Family:
    """Parents without circles: a parent that would close one is left out."""

    def __init__(self) -> None:
        self.parents: dict[Item, Item] = {}
        self._up: dict[Item, Item] = {}  # shortcuts towards the root

    def join(self, children: Iterable[Item], parent_of: Callable[[Item], Item | None]) -> None:
        """Give a parent to each child without one."""
        for child in children:
            if child in self.parents:
                continue
            parent = parent_of(child)
            if parent is not None and self._root(parent) is not child:
                self.parents[child] = self._up[child] = parent

    def _root(self, item: Item) -> Item:
        while (above := self._up.get(item)) is not None:
            self._up[item] = self._up.get(above, above)
            item = above
        return item
