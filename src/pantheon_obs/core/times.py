"""Where the time of one request, websocket or task went: the sums that its line shows."""

from __future__ import annotations

from threading import Lock, RLock
from typing import Any

from pantheon_obs.core.statements import readable

Block = tuple[float, float, float]
"""A stretch of time: from, to, and how much of it was measured; the rest are gaps."""

KINDS = ("db", "http", "cache")
_MOST_NAMES = 20  # of the application's own
_FEWEST_REPEATS = 10
_MOST_STATEMENTS = 256  # texts that are kept at a time
_LONG = 4096  # characters of a statement; of a longer one its ends stand for the text
_WAITING = 128  # stretches that are added up in one go
_MOST_BLOCKS = 1024
_EXACT = 64  # the latest blocks, which are never joined


class Part:
    """The calls of one kind, and the seconds that they took."""

    __slots__ = ("calls", "seconds")

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 0.0


class Times:
    """The measured times of one trace; safe in several threads and in finalizers."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self._statements: dict[object, int] = {}
        self._repeats = 0
        self._repeated = ("", "")
        self._waiting: list[Block] = []
        self._blocks: list[Block] = []
        self._lock = RLock()
        self._joining = Lock()

    def add(self, name: str, start: float, end: float, calls: int = 1) -> None:
        """Count a call that has ended, or a step of one."""
        with self._lock:
            part = self.parts.get(name)
            if part is None:
                if name not in KINDS and len(self.parts.keys() - KINDS) >= _MOST_NAMES:
                    return
                part = self.parts[name] = Part()
            part.calls += calls
            part.seconds += end - start
        self.cover(start, end)

    def count(self, statement: str, system: str = "") -> None:
        """Count a statement's text; of very many texts only those that come again are kept."""
        key: object = statement
        if len(statement) > _LONG:
            half = _LONG // 2
            key = len(statement), statement[:half], statement[-half:]
        with self._lock:
            statements = self._statements
            times = statements.get(key, 0) + 1
            if times == 1 and len(statements) >= _MOST_STATEMENTS:
                for other in [other for other, number in statements.items() if number == 1]:
                    del statements[other]
                if len(statements) >= _MOST_STATEMENTS:
                    return
            statements[key] = times
            if times > self._repeats:
                self._repeats, self._repeated = times, (statement[:_LONG], system)

    def cover(self, start: float, end: float) -> None:
        """Note a stretch of time as measured."""
        # One step, without a lock: a finalizer may do this in the middle of anything.
        self._waiting.append((start, end, end - start))
        if len(self._waiting) >= _WAITING and self._joining.acquire(blocking=False):
            try:
                waiting = self._waiting[:]
                self._blocks = _coarse(_joined(self._blocks + waiting))
                # In this order: a stretch that is there twice changes no union.
                del self._waiting[: len(waiting)]
            finally:
                self._joining.release()

    def union(self, start: float, end: float) -> float:
        """The measured seconds between two moments, overlaps counted once."""
        waiting = self._waiting[:]  # before the blocks, for the same reason
        return sum(
            (min(until, end) - max(since, start)) * covered / (until - since)
            for since, until, covered in _joined(self._blocks + waiting)
            if since < end and until > start
        )

    def fields(self, latency_ms: float | None, start: float, end: float) -> dict[str, Any]:
        """The fields on the line of a request, websocket or task, in the order of the schema."""
        fields: dict[str, Any] = {}
        with self._lock:
            for name in (*KINDS, *(name for name in self.parts if name not in KINDS)):
                part = self.parts.get(name)
                if part is not None:
                    fields[f"{name}_calls"] = part.calls
                    fields[f"{name}_ms"] = round(part.seconds * 1000, 3)
                if name == "db" and self._repeats >= _FEWEST_REPEATS:
                    fields["db_repeats"] = self._repeats
                    fields["db_repeated"] = readable(*self._repeated)
        if latency_ms is not None:
            own = latency_ms - self.union(start, end) * 1000
            fields["own_ms"] = max(0.0, round(own, 3))
        return fields


def _joined(blocks: list[Block]) -> list[Block]:
    """Join the blocks that overlap."""
    joined: list[Block] = []
    for block in sorted(blocks):
        if block[1] <= block[0]:
            continue
        overlaps = joined and block[0] < joined[-1][1]
        joined.append(_over(joined.pop(), block) if overlaps else block)
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
    """Join neighbours if there are very many blocks, with the gaps between them."""
    if len(blocks) <= _MOST_BLOCKS:
        return blocks
    older, latest = blocks[:-_EXACT], blocks[-_EXACT:]
    pairs = zip(older[::2], older[1::2], strict=False)
    joined = [(one[0], other[1], one[2] + other[2]) for one, other in pairs]
    return joined + older[len(joined) * 2 :] + latest
