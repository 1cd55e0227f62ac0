"""Where the time of one request, websocket or task went: the sums that its line shows."""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from threading import RLock
from typing import Any

from pantheon_obs.core.statements import readable

Block = tuple[float, float, float]
"""A stretch of time: from, to, and how much of it was measured; the rest are gaps."""

Statement = tuple[str, str, int, str]
"""The text of a statement and the database system; of a long text its length and its two ends."""

UNNAMED = ""
"""The name of time that is measured, but has totals of its own."""

_KINDS = ("db", "http", "cache")
_MOST_NAMES = 20  # of the application's own
_FEWEST_REPEATS = 10
_MOST_STATEMENTS = 256  # texts that are kept at a time
_LONG = 4096  # characters of a statement
_WAITING = 128  # calls that are added up in one go
_MOST_BLOCKS = 1024
_EXACT = 64  # the latest blocks, which are never joined


def statement_of(text: object, system: str) -> Statement | None:
    """Return a statement as it is counted; None for what has no text."""
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
        self._waiting: list[tuple[float, float, str, int, Statement | None]] = []
        self._calls: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._blocks: list[Block] = []
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
        """Count a call that has ended, or a step of one; a call may be that of a statement."""
        waiting = self._waiting
        waiting.append((start, end, name, calls, statement))
        if len(waiting) >= _WAITING and self._lock.acquire(blocking=False):
            try:
                self._add_up()
            finally:
                self._lock.release()

    def _add_up(self) -> None:
        batch = self._waiting[:]
        del self._waiting[: len(batch)]
        all_calls, all_seconds, blocks = self._calls, self._seconds, self._blocks
        latest = blocks[-1][1] if blocks else 0.0
        overlapping: list[Block] = []
        for start, end, name, calls, statement in batch:
            if name not in all_calls:
                if not self._has_room_for(name):
                    continue
                all_calls[name], all_seconds[name] = 0, 0.0
            all_calls[name] += calls
            all_seconds[name] += end - start
            if statement is not None:
                self._count(statement)
            if end <= start:
                continue
            if start >= latest:
                blocks.append((start, end, end - start))
                latest = end
            else:
                overlapping.append((start, end, end - start))
        if overlapping:
            # What came before the earliest of them stays as it is.
            past = bisect_right(blocks, min(overlapping)[0], key=itemgetter(1))
            blocks[past:] = _joined(blocks[past:] + overlapping)
        if len(blocks) > _MOST_BLOCKS:
            self._blocks = _coarse(blocks)

    def _has_room_for(self, name: str) -> bool:
        own = self._calls.keys() - {*_KINDS, UNNAMED}
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

    def fields(self, latency_ms: float | None, start: float, end: float) -> dict[str, Any]:
        """The fields on the line of a request, websocket or task, in the order of the schema."""
        measured = self.union(start, end)
        fields: dict[str, Any] = {}
        for name in _KINDS:
            self._put(fields, name)
            if name == "db" and self._statements:
                often = max(self._statements, key=self._statements.__getitem__)
                if self._statements[often] >= _FEWEST_REPEATS:
                    fields["db_repeats"] = self._statements[often]
                    fields["db_repeated"] = readable(*often[:2])
        if latency_ms is not None:
            fields["own_ms"] = max(0.0, round(latency_ms - measured * 1000, 3))
        for name in self._calls:
            if name not in _KINDS and name != UNNAMED:
                self._put(fields, name)
        return fields

    def _put(self, fields: dict[str, Any], name: str) -> None:
        if name in self._calls:
            fields[f"{name}_calls"] = self._calls[name]
            fields[f"{name}_ms"] = round(self._seconds[name] * 1000, 3)


def _joined(blocks: list[Block]) -> list[Block]:
    """Join the blocks that overlap."""
    joined: list[Block] = []
    latest = float("-inf")
    for block in sorted(blocks):
        if block[0] >= latest:
            joined.append(block)
        else:
            joined[-1] = _over(joined[-1], block)
        latest = joined[-1][1]
    return joined


def _over(first: Block, second: Block) -> Block:
    """Join two blocks that overlap; gaps are taken to be spread evenly."""
    (start, end, covered), (since, until, also) = first, second
    one, other = covered / (end - start), also / (until - since)
    common = min(end, until) - since
    both = one + other - one * other
    rest = (other if until > end else one) * abs(until - end)
    return start, max(end, until), one * (since - start) + both * common + rest


def _coarse(blocks: list[Block]) -> list[Block]:
    """Join pairs of the older blocks, with the gaps between them."""
    older, latest = blocks[:-_EXACT], blocks[-_EXACT:]
    pairs = zip(older[::2], older[1::2], strict=False)
    joined = [(one[0], other[1], one[2] + other[2]) for one, other in pairs]
    return joined + older[len(joined) * 2 :] + latest
