"""The pieces of work, their contenders, the targets and the results."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class MisbehavedError(Exception):
    """A contender does not do the job that it is timed for."""


@dataclass(frozen=True, slots=True)
class Effort:
    """The length of a measurement.

    Args:
        rounds: Rounds per case; every contender runs one slice per round.
        slice_seconds: CPU time of one slice of the hand-written contender.
        stream_chunks: Chunks that the memory case reads.
        import_rounds: Rounds of the import case, whose slices are whole processes.
        log_bytes: Length of the log in which the command line searches.
        is_large: Whether it searches in a gigabyte, too.
        counts: Whether instructions are counted in place of time; see `bench.counting`.
    """

    rounds: int
    slice_seconds: float
    stream_chunks: int
    import_rounds: int
    log_bytes: int
    is_large: bool = False
    counts: bool = False


FULL = Effort(
    rounds=300,
    slice_seconds=0.001,
    stream_chunks=1_000_000,
    import_rounds=30,
    log_bytes=60_000_000,
)
QUICK = Effort(
    rounds=3, slice_seconds=0.0001, stream_chunks=2_000, import_rounds=1, log_bytes=1_000_000
)
COUNTED = replace(QUICK, counts=True)


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of doing a piece of work.

    Args:
        run: Does the work the given number of times.
        line: Keys of the one JSON line of each piece of work; empty if it writes none.
        check: Raises MisbehavedError if the work is wrong; called once, untimed.
        clock: Returns the CPU time in nanoseconds of the process that works, if it is another one.
    """

    run: Callable[[int], object]
    line: frozenset[str] = frozenset()
    check: Callable[[], None] = lambda: None
    clock: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """The limits for this library; it must meet each limit that is given.

    Args:
        hand: At most this many times the hand-written contender.
        peer: At most this many times the peer.
        micros: At most this many microseconds added.
    """

    hand: float | None = None
    peer: float | None = None
    micros: float | None = None

    def __str__(self) -> str:
        parts = (
            (self.hand, "≤ {:g} × hand"),
            (self.peer, "≤ {:g} × peer"),
            (self.micros, "≤ {:g} µs"),
        )
        return ", ".join(text.format(limit) for limit, text in parts if limit is not None)


@dataclass(frozen=True, slots=True)
class Case:
    """One piece of work and its contenders.

    Args:
        work: Its name in the table.
        hand: The tightest plain code for it: the limit.
        ours: This library.
        target: The limits for this library.
        peer: The library that the target compares with.
        bare: The bare work that all contenders do; its time is subtracted.
        parts: How many equal parts one piece of work has; the table shows one.
        others: Further libraries by name, each with a row of its own and without a target.
    """

    work: str
    hand: Contender
    ours: Contender
    target: Target
    peer: Contender | None = None
    bare: Contender | None = None
    parts: int = 1
    others: Mapping[str, Contender] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Our time divided by another's: the median over the rounds, and the quartiles around it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ±{(self.high - self.low) / 2 / self.median:.0%}"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: microseconds, or a text of another unit; None where nobody does it.

    `met` is None without a target.
    """

    work: str
    hand: float | str | None = None
    peer: float | str | None = None
    ours: float | str | None = None
    hand_ratio: Ratio | None = None
    peer_ratio: Ratio | None = None
    target: str = ""
    met: bool | None = None
