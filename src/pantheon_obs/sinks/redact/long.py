"""Long texts: cut before they are searched, and searched without the middle of unbroken runs."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from heapq import merge
from itertools import accumulate, chain, islice
from typing import TYPE_CHECKING, NamedTuple

from pantheon_obs.sinks.redact.plain import PLACES
from pantheon_obs.sinks.redact.values import REDACTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pantheon_obs.sinks.redact.plain import Walk
    from pantheon_obs.sinks.redact.values import Span

CUT = ""
"""Stands for a text that is cut; `replaced` says how much it was."""

_PIECE = 2048
# Encoded bytes have none of these, and no secret is recognised without one of them around it.
_BREAKS = " \n\"'=:,;&.~<\\\t\r"

_start = re.Match.start


class Bound(NamedTuple):
    """A bound on the work of searching a text; what is beyond is cut.

    Attributes:
        most: At how many places a secret is looked for.
        keep_end: Whether they are the last ones of the text, instead of the first.
    """

    most: int = PLACES
    keep_end: bool = False

    def places(
        self,
        patterns: list[re.Pattern[str]],
        text: str,
        part: tuple[int, int],
        walk: Walk | None,
    ) -> tuple[list[re.Match[str]], int, int]:
        """Return the places to look at in a part, and from where to where it may be shown."""
        start, end = part
        most = self.most
        found = [each.finditer(text, start, end) for each in patterns]
        if self.keep_end:
            last = sorted(chain(*(deque(each, most) for each in found)), key=_start)[-most:]
            # The first half is looked at because a secret may reach into what is shown.
            return last, start if len(last) < most else _start(last[most // 2]), end
        waiting = merge(*found, key=_start)
        first = [*islice(waiting, most if walk is None else min(most, max(walk.places, 0)))]
        if walk is not None and len(first) == walk.places:
            walk.ask()
            first += islice(waiting, min(most, walk.places) - len(first))
        beyond = next(waiting, None)
        return first, start, end if beyond is None else _start(beyond)


WHOLE = Bound()
"""The bound for a text that fits its line."""


def value_spans(
    all_found: Iterable[re.Match[str]],
    text: str,
    most: int,
    is_secret: Callable[[re.Match[str]], object] = bool,
) -> Iterator[Span]:
    """Find the first values that are secrets among those found; the text behind them is cut.

    Each of these takes longer than a sign, so that half as many are looked at.
    """
    for count, found in enumerate(all_found):
        if count == most // 2:
            yield found.start(), len(text), CUT
            break
        if is_secret(found):
            yield *found.span("value"), REDACTED


def cut_marker(size: int) -> str:
    """Return the text that stands for so many bytes."""
    return f"[{size} bytes cut]"


def size_of(text: str) -> int:
    """Return the number of bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "backslashreplace"))


def clipped(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """Return the spans of a part of their text; one that lies across its borders is cut there."""
    return [
        (max(first, start) - start, min(last, end) - start, into)
        for first, last, into in spans
        if first < end and last > start
    ]


def spans_of_long(text: str, find: Callable[[str], list[Span]]) -> list[Span]:
    """Find the spans of a text, without a look at the middle of base64, rules and the like."""
    kept = _without_middles(text)
    if len(kept) == 1:
        return find(text)
    starts = [start for start, _ in kept]
    places = [0, *accumulate(end - start for start, end in kept)]

    def original(place: int) -> int:
        piece = bisect_right(places, place) - 1
        return starts[piece] + place - places[piece]

    found = find("".join(text[start:end] for start, end in kept))
    return [(original(start), original(end - 1) + 1, into) for start, end, into in found]


def _without_middles(text: str) -> list[tuple[int, int]]:
    """Return the parts of a text that are worth a search.

    Of a run the first and the last piece stay, so that a secret in it has its beginning and end.
    """
    kept, start, run = [], 0, 0
    for at in range(0, len(text) + 1, _PIECE):
        piece = text[at : at + _PIECE]
        if len(piece) == _PIECE and (
            not any(mark in piece for mark in _BREAKS) or piece == piece[0] * _PIECE
        ):
            run += 1
            continue
        if run > 2:  # noqa: PLR2004 - the first and the last
            kept.append((start, at - (run - 1) * _PIECE))
            start = at - _PIECE
        run = 0
    kept.append((start, len(text)))
    return kept
