"""Add up where the time of one request, websocket or task went, for its line."""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from threading import RLock
from typing import Any

Interval = tuple[float, float, float]
"""A stretch of time: from, to, and how much of it was measured; the rest are gaps."""

Statement = tuple[str, str, int, str]
"""The text of a statement and the database system; of a long text its length and its two ends."""

Sums = tuple[dict[str, tuple[int, float]], dict[Statement, int]]
"""The calls and seconds by name, and how often each statement ran."""

NOTHING: Sums = ({}, {})

UNNAMED = ""
"""The name of time that is measured, but has totals of its own."""

_KINDS = ("db", "http", "cache")
_MOST_NAMES = 20  # of the application's own
_FEWEST_REPEATS = 10
_MOST_STATEMENTS = 256  # texts that are kept at a time
_LONG = 4096  # characters of a statement
MOST_WAITING = 128  # calls that are added up in one go
_MOST_BLOCKS = 1024
_EXACT = 64  # the latest blocks, which are never joined


def statement_of(text: object, system: str) -> Statement | None:
    """Return a statement as it is counted; None for an object without text."""
    if not isinstance(text, str):
        return None
    if len(text) <= _LONG:
        return text, system, 0, ""
    return text[: _LONG // 2], system, len(text), text[-_LONG // 2 :]


class Times:
    """The measured times of one trace, from all of its threads.

    A call that has ended waits in a list, and is added up with others: a list grows in one step,
    without a lock, even where a finalizer does that in the middle of anything.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[float, float, str, int, Statement | None]] = []
        self._sums: dict[str, tuple[int, float]] = {}
        self._blocks: list[Interval] = []
        self._statements: dict[Statement, int] = {}
        # Re-entrant: a garbage collection may end a call in the middle of another's end.
        self._lock = RLock()

    def add(
        self,
        name: str,
        start: float,
        end: float,
        calls: int = 1,
        statement: Statement | None = None,
    ) -> None:
        """Count a call that has ended, or a step of one; a call may execute a statement."""
        waiting = self.waiting
        waiting.append((start, end, name, calls, statement))
        if len(waiting) >= MOST_WAITING:
            self.add_up()

    def add_up(self) -> None:
        """Add up the calls that wait, unless another thread does."""
        if self._lock.acquire(blocking=False):
            try:
                self._add_up()
            finally:
                self._lock.release()

    def _add_up(self) -> None:
        batch = self.waiting[:]
        del self.waiting[: len(batch)]
        sums, blocks = self._sums, self._blocks
        latest = blocks[-1][1] if blocks else 0.0
        overlapping: list[Interval] = []
        for start, end, name, calls, statement in batch:
            seconds = end - start
            before = sums.get(name)
            if before is not None:
                sums[name] = before[0] + calls, before[1] + seconds
            elif self._has_room_for(name):
                sums[name] = calls, seconds
            else:
                continue
            if statement is not None:
                self._count(statement)
            if seconds <= 0:
                continue
            if start >= latest:
                blocks.append((start, end, seconds))
                latest = end
            else:
                overlapping.append((start, end, seconds))
        if overlapping:
            # A block before the earliest of them stays as it is.
            past = bisect_right(blocks, min(overlapping)[0], key=itemgetter(1))
            blocks[past:] = _joined(blocks[past:] + overlapping)
        if len(blocks) > _MOST_BLOCKS:
            self._blocks = _coarse(blocks)

    def _has_room_for(self, name: str) -> bool:
        own = self._sums.keys() - {*_KINDS, UNNAMED}
        return name in _KINDS or name == UNNAMED or len(own) < _MOST_NAMES

    def _count(self, statement: Statement) -> None:
        """Count a statement; of very many different ones only those that come again are kept."""
        statements = self._statements
        times = statements.get(statement, 0) + 1
        if times == 1 and len(statements) >= _MOST_STATEMENTS:
            for other in [other for other, number in statements.items() if number == 1]:
                del statements[other]
            if len(statements) >= _MOST_STATEMENTS:
                return
        statements[statement] = times

    def union(self, start: float, end: float) -> float:
        """The measured seconds between two moments, overlaps counted once."""
        with self._lock:
            self._add_up()
            return sum(
                (min(until, end) - max(since, start)) * covered / (until - since)
                for since, until, covered in self._blocks
                if since < end and until > start
            )

    def sums(self) -> Sums:
        """Copy the sums as they are now."""
        with self._lock:
            self._add_up()
            return {**self._sums}, {**self._statements}

    def fields(
        self, latency_ms: float | None, start: float, end: float, before: Sums = NOTHING
    ) -> dict[str, Any]:
        """The fields on the line of a request, websocket or task, in the order of the schema.

        `before` has the sums at the start of a task that its caller waits for. They are left out.
        """
        measured = self.union(start, end)
        sums = self._sums if before is NOTHING else _since(before, self._sums)
        fields: dict[str, Any] = {}
        for name in _KINDS:
            if name in sums:
                _put(fields, name, sums[name])
                if name == "db":
                    fields |= self._most_often(before[1])
        if sums and latency_ms is not None:
            fields["own_ms"] = max(0.0, round(latency_ms - measured * 1000, 3))
        for name in sums:
            if name not in _KINDS and name != UNNAMED:
                _put(fields, name, sums[name])
        return fields

    def _most_often(self, before: dict[Statement, int]) -> dict[str, Any]:
        """The fields of the statement that ran most often, if it did so many times."""
        statements = self._statements
        if before:
            statements = {each: n - before.get(each, 0) for each, n in statements.items()}
        text = max(statements, key=statements.__getitem__, default=None)
        if text is None or statements[text] < _FEWEST_REPEATS:
            return {}
        from pantheon_obs.core.statements import readable  # noqa: PLC0415 - few repeat any

        return {"db_repeats": statements[text], "db_repeated": readable(*text[:2])}


def _put(fields: dict[str, Any], name: str, added_up: tuple[int, float]) -> None:
    fields[f"{name}_calls"] = added_up[0]
    fields[f"{name}_ms"] = round(added_up[1] * 1000, 3)


def _since(before: Sums, sums: dict[str, tuple[int, float]]) -> dict[str, tuple[int, float]]:
    """Subtract the sums from before; leave out the names that have no further call."""
    earlier = {name: before[0].get(name, (0, 0.0)) for name in sums}
    return {
        name: (calls - earlier[name][0], seconds - earlier[name][1])
        for name, (calls, seconds) in sums.items()
        if calls > earlier[name][0]
    }


def _joined(blocks: list[Interval]) -> list[Interval]:
    """Join the blocks that overlap."""
    joined: list[Interval] = []
    latest = float("-inf")
    for block in sorted(blocks):
        if block[0] >= latest:
            joined.append(block)
        else:
            joined[-1] = _over(joined[-1], block)
        latest = joined[-1][1]
    return joined


def _over(first: Interval, second: Interval) -> Interval:
    """Join two blocks that overlap; gaps are taken to be spread evenly."""
    (start, end, covered), (since, until, also) = first, second
    one, other = covered / (end - start), also / (until - since)
    common = min(end, until) - since
    both = one + other - one * other
    rest = (other if until > end else one) * abs(until - end)
    return start, max(end, until), one * (since - start) + both * common + rest


def _coarse(blocks: list[Interval]) -> list[Interval]:
    """Join pairs of the older blocks, with the gaps between them."""
    older, latest = blocks[:-_EXACT], blocks[-_EXACT:]
    pairs = zip(older[::2], older[1::2], strict=False)
    joined = [(one[0], other[1], one[2] + other[2]) for one, other in pairs]
    return joined + older[len(joined) * 2 :] + latest
