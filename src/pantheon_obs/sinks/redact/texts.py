"""Find the secrets inside a text.

Patterns find the signs at which a secret may be recognised: the mark in `sk-`, the colon of
`"token": "…"`. At each of them a reader looks at the text around it. The readers see the text as it
was given, and report the place of a secret; all places are replaced at the end, once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from itertools import accumulate, islice
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.bounds import OVERLAP, PLACES
from pantheon_obs.sinks.redact.formats import spans_of_formats
from pantheon_obs.sinks.redact.named import named_secret
from pantheon_obs.sinks.redact.patterns import compiled
from pantheon_obs.sinks.redact.providers import OTHERS, PROVIDERS
from pantheon_obs.sinks.redact.signs import name_signs, name_signs_apart, other_signs
from pantheon_obs.sinks.redact.spans import CUT, REDACTED, united
from pantheon_obs.sinks.redact.spelling import with_usual_signs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.sinks.redact.bounds import Walk
    from pantheon_obs.sinks.redact.keys import Keys, RuleOf
    from pantheon_obs.sinks.redact.spans import Span

_SHORT = 256
_LONG = 8192
_PIECE = 2048
# Encoded bytes have none of these, and no secret is recognised without one of them around it.
_BREAKS = " \n\"'=:,;&.~<\\\t\r"

_start = re.Match.start


def find_spans(
    text: str, keys: Keys, walk: Walk | None = None, *, keep_end: bool = False
) -> list[Span]:
    """Find the secrets in a text, in their order; none overlaps another one.

    Args:
        text: The text. The middle of base64, rules and the like in it is not searched.
        keys: The names of secrets.
        walk: That through the value which the text is a part of, if it is bounded.
        keep_end: Whether the beginning is cut, instead of the end, of a text with too many signs.
    """
    if len(text) > _LONG and len(kept := _without_middles(text)) > 1:
        return _spans_of_pieces(text, kept, keys, walk, keep_end=keep_end)
    text = shown = with_usual_signs(text)
    most, spans = PLACES, []
    if len(text) <= _SHORT:
        named = [*map(_start, name_signs(keys.extra)(text))]
        others = [*map(_start, other_signs()(text))]
    else:
        if len(text) > PLACES and walk is not None:
            most = walk.places_in_text()
        named, others, start, end = _first_places(text, keys, most, keep_end=keep_end)
        beyond = (0, start), (end, len(text))
        spans = [(first, last, CUT) for first, last in beyond if first < last]
        hidden = max(start - OVERLAP, 0)
        shown = " " * hidden + text[hidden : end + OVERLAP]
    if named:
        spans += _spans_at(named, named_secret, text, keys.rule)
    if others:
        spans += _spans_at(others, _other_secret, text, keys.rule)
    looked = len(named) + len(others)
    # These are cut at their end.
    for span in spans_of_formats(shown, keys.rule, PLACES if keep_end else most):
        looked += 1
        if span is not None:
            spans.append(span)
    if looked and walk is not None:
        walk.look(looked)
    return united(spans) if len(spans) > 1 else spans


def _spans_at(
    places: list[int],
    secret_at: Callable[[str, int, RuleOf], Span | None],
    text: str,
    rule_of: RuleOf,
) -> Iterator[Span]:
    """Find the secrets at these places of a text, but for those inside of another one."""
    reached = 0
    for at in places:
        if at >= reached and (span := secret_at(text, at, rule_of)):
            yield span
            reached = span[1]


def _spans_of_pieces(
    text: str, kept: list[tuple[int, int]], keys: Keys, walk: Walk | None, *, keep_end: bool
) -> list[Span]:
    """Find the secrets in these pieces of a text, as if nothing was between them."""
    starts = [start for start, _ in kept]
    places = [0, *accumulate(end - start for start, end in kept)]

    def original(place: int) -> int:
        piece = bisect_right(places, place) - 1
        return starts[piece] + place - places[piece]

    joined = "".join(text[start:end] for start, end in kept)
    found = find_spans(joined, keys, walk, keep_end=keep_end)
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


def _first_places(
    text: str, keys: Keys, most: int, *, keep_end: bool
) -> tuple[list[int], list[int], int, int]:
    """Return the first places to look at, of both kinds, and from where to where is shown.

    With `keep_end` they are the last places.
    """
    names = [find for sign, find in name_signs_apart(keys.extra) if sign in text]
    kinds, start, end = [], 0, len(text)
    for finders in (names, [other_signs()]):
        places: list[int] = []
        for find in finders:
            found = find(text, start, end)
            places += map(_start, deque(found, most + 1) if keep_end else islice(found, most + 1))
        places.sort()
        if len(places) > most and keep_end:
            # The first half is looked at because a secret may reach into the part that is shown.
            start = places[-(most // 2)]
        elif len(places) > most:
            end = places[most]
        kinds.append(places[-most:] if keep_end else places[:most])
    return kinds[0], kinds[1], start, end


def _other_secret(text: str, at: int, _rule_of: RuleOf) -> Span | None:
    """Find the secret of a provider, or one of another shape, whose sign stands here."""
    for beginning, pattern in _BY_ENDING.get(text[at - 1 : at + 1], ()):
        start = at + 1 - len(beginning)
        if text.startswith(beginning, max(start, 0)) and _begins(text, start):
            found = compiled(pattern).match(text, at + 1)
            if found is not None:
                first = found.start(1) if found.lastindex else start
                return first, found.end(found.lastindex or 0), REDACTED
    for pattern in _BY_SIGN.get(text[at], ()):
        found = compiled(pattern).match(text, at)
        if found is not None and (text[at] not in "bB" or _begins(text, at)):
            return found.start(1), found.end(1), REDACTED
    return None


def _begins(text: str, start: int) -> bool:
    """Whether a word may begin here: not within another one, unless an escape ends there."""
    before = text[start - 1 : start] if start else ""
    if not (before.isascii() and (before.isalnum() or before == "_")):
        return True
    return text[max(start - 2, 0) : start] in _ESCAPES or text[max(start - 3, 0) : start - 2] == "%"


_ESCAPES = ("\\n", "\\r", "\\t")
_BY_ENDING: dict[str, list[tuple[str, str]]] = {}
for _shape in PROVIDERS:
    _BY_ENDING.setdefault(_shape[0][-2:], []).append(_shape)
_BY_SIGN: dict[str, list[str]] = {}
for _sign, _, _pattern in OTHERS:
    _BY_SIGN.setdefault(_sign, []).append(_pattern)
