"""Time contenders in short interleaved slices of CPU time; compare medians of the ratios."""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from itertools import repeat
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from bench.cases import MisbehavedError, Ratio, Row
from bench.counting import LIMITS, count

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from bench.cases import Case, Contender, Effort

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")

STDOUT = 1
"""The descriptor that every contender writes its lines to; `/dev/null` during a measurement."""


def compare(
    case: Case, effort: Effort, *, clock: Callable[[], int] = time.process_time_ns, pieces: int = 0
) -> Row:
    """Compare the contenders of a case without further peers, in one row."""
    (row,) = compare_all(case, effort, clock=clock, pieces=pieces)
    return row


def compare_all(
    case: Case, effort: Effort, *, clock: Callable[[], int] = time.process_time_ns, pieces: int = 0
) -> list[Row]:
    """Check every contender of a case, then time them in turn.

    Args:
        case: The work and its contenders.
        effort: The number of rounds and the length of a slice.
        clock: Returns the CPU time used so far, in nanoseconds.
        pieces: Pieces of work per slice; 0 finds the number that fills a slice.

    Returns:
        The row of hand, peer and ours, then one row for each of the others.

    Raises:
        MisbehavedError: A contender's header or line is wrong.
    """
    named = {
        "bare": case.bare,
        "hand": case.hand,
        "peer": case.peer,
        "ours": case.ours,
        **case.others,
    }
    contenders = {name: contender for name, contender in named.items() if contender is not None}
    if effort.counts and case.work not in LIMITS:
        return [Row(case.work)]
    for name, contender in contenders.items():
        _verify(f"{case.work}: {name}", contender)
    if effort.counts:
        count(case)
        return [Row(case.work)]
    pieces = pieces or _fill(case.hand, effort.slice_seconds)
    counts = dict.fromkeys(contenders, pieces)
    for name, other in case.others.items():  # some are a hundred times slower: fewer pieces
        counts[name] = pieces if other.clock else _fill(other, effort.slice_seconds)
    added = _added(_interleave(contenders, effort.rounds, counts, clock), case.parts)
    return [_row(case, added), *(_other_row(name, added) for name in case.others)]


def _verify(who: str, contender: Contender) -> None:
    contender.check()
    lines = lines_written(lambda: contender.run(1))
    if len(lines) != bool(contender.line):
        msg = f"{who}: {len(lines)} lines for one piece of work: {lines[:3]}"
        raise MisbehavedError(msg)
    for line in lines:
        try:
            keys = json.loads(line).keys()
        except ValueError as error:
            msg = f"{who}: not a line of JSON: {line!r}"
            raise MisbehavedError(msg) from error
        if missing := contender.line - keys:
            msg = f"{who}: no {sorted(missing)} in {line!r}"
            raise MisbehavedError(msg)


def lines_written(work: Callable[[], object]) -> list[bytes]:
    """Do the work and return the lines that it wrote to descriptor 1."""
    sys.stdout.flush()
    kept = os.dup(STDOUT)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), STDOUT)
        try:
            work()
        finally:
            sys.stdout.flush()
            os.dup2(kept, STDOUT)
            os.close(kept)
        file.seek(0)
        return file.read().splitlines()


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, so that no event loop is in the figures."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    msg = f"{coroutine} waits"
    raise MisbehavedError(msg)


def own(function: F) -> F:
    """Copy a function, with a code object of its own.

    The interpreter specialises code for the values that it sees. Code that all contenders share
    would be specialised for none of them, while a process in production has only one of them.
    """
    original = cast("FunctionType", function)
    copy = FunctionType(
        original.__code__.replace(),
        original.__globals__,
        original.__name__,
        original.__defaults__,
        original.__closure__,
    )
    return cast("F", copy)


class Stream:
    """A stream of the peers' own: the library takes over handlers that print to `sys.stdout`."""

    def write(self, text: str | bytes) -> None:
        """Write a text."""
        os.write(STDOUT, text.encode() if isinstance(text, str) else text)

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""


def silence_stdout() -> None:
    """Point descriptor 1 at `/dev/null`, the cheapest destination, for the strictest ratio."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, STDOUT)
    os.close(null)


@contextmanager
def piped_stdout() -> Iterator[None]:
    """Point descriptor 1 at a pipe whose reader is another process, as in a container."""
    reading, writing = os.pipe()
    with subprocess.Popen(("/bin/cat",), stdin=reading, stdout=subprocess.DEVNULL) as reader:
        os.close(reading)
        kept = os.dup(STDOUT)
        os.dup2(writing, STDOUT)
        os.close(writing)
        try:
            yield
        finally:
            os.dup2(kept, STDOUT)
            os.close(kept)
            reader.terminate()


def _fill(contender: Contender, slice_seconds: float) -> int:
    pieces = 1
    while True:
        started = time.process_time()
        contender.run(pieces)
        if time.process_time() - started >= slice_seconds:
            return pieces
        pieces *= 2


def _interleave(
    contenders: dict[str, Contender], rounds: int, counts: dict[str, int], clock: Callable[[], int]
) -> dict[str, list[float]]:
    """Return microseconds per piece of work, by contender and round; the order rotates."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for name, contender in contenders.items():
        contender.run(
            counts[name]
        )  # warm up: the interpreter specialises code that has run a few times
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for name in order:
            gc.collect()  # each contender pays for its own garbage only
            contender = contenders[name]
            read = contender.clock or clock
            started = read()
            contender.run(counts[name])
            times[name].append((read() - started) / counts[name] / 1000)
        order.append(order.pop(0))
    gc.unfreeze()
    return times


def _added(times: dict[str, list[float]], parts: int) -> dict[str, list[float]]:
    """Subtract the time of the bare work in the same round, and divide by the parts."""
    bare = times.pop("bare", None) or repeat(0.0)
    return {
        name: [(mine - base) / parts for mine, base in zip(series, bare, strict=False)]
        for name, series in times.items()
    }


def _row(case: Case, added: dict[str, list[float]]) -> Row:
    hand, peer = _ratio(added, "hand"), _ratio(added, "peer")
    target = case.target
    limits = (
        (statistics.median(added["ours"]), target.micros),
        (hand and hand.median, target.hand),
        (peer and peer.median, target.peer),
    )
    judged = [
        figure <= limit for figure, limit in limits if limit is not None and figure is not None
    ]
    return Row(
        work=case.work,
        hand=_micros(added, "hand"),
        peer=_micros(added, "peer"),
        ours=_micros(added, "ours"),
        hand_ratio=hand,
        peer_ratio=peer,
        target=str(case.target),
        met=all(judged),
    )


def _other_row(name: str, added: dict[str, list[float]]) -> Row:
    return Row(work=f"  beside {name}", peer=_micros(added, name), peer_ratio=_ratio(added, name))


def _micros(added: dict[str, list[float]], name: str) -> float | None:
    return statistics.median(added[name]) if name in added else None


def _ratio(added: dict[str, list[float]], to: str) -> Ratio | None:
    """Divide our time by another's, round by round."""
    pairs = zip(added["ours"], added.get(to, ()), strict=to in added)
    ratios = sorted(ours / other for ours, other in pairs if other > 0)
    if not ratios:
        return None
    quarter = len(ratios) // 4
    return Ratio(statistics.median(ratios), ratios[quarter], ratios[-1 - quarter])
