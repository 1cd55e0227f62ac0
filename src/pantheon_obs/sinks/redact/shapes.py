"""Find the secrets inside a text, and replace them.

Two patterns find the characters at which a secret may be recognised: the mark in `sk-`, the colon
of `"token": "…"`. For each of them a reader looks at the text around it. The readers see the text
as it was given, and report the place of a secret; all places are replaced at the end, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.beside import seldom_spans
from pantheon_obs.sinks.redact.long import CUT, WHOLE, cut_marker, size_of
from pantheon_obs.sinks.redact.named import named_secret
from pantheon_obs.sinks.redact.patterns import compiled
from pantheon_obs.sinks.redact.plain import OVERLAP, PLACES
from pantheon_obs.sinks.redact.providers import OTHERS, PROVIDERS
from pantheon_obs.sinks.redact.signs import signs_of_long, signs_with
from pantheon_obs.sinks.redact.spelt import with_usual_signs
from pantheon_obs.sinks.redact.values import REDACTED

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

    from pantheon_obs.sinks.redact.long import Bound
    from pantheon_obs.sinks.redact.plain import Walk
    from pantheon_obs.sinks.redact.values import RuleOf, Span


def find_spans(
    text: str,
    rule_of: RuleOf,
    extra: frozenset[str],
    walk: Walk | None = None,
    bound: Bound = WHOLE,
) -> list[Span]:
    """Find the secrets in a text, in their order; none overlaps another one.

    Args:
        text: The text.
        rule_of: Finds the rule for the values of a key.
        extra: Names of secrets besides those of the built-in list.
        walk: That through the value which the text is a part of.
        bound: How many signs are looked at, as each takes its time.
    """
    text = shown = with_usual_signs(text)
    spans: list[Span] = []
    end = size = len(text)
    named: Iterable[re.Match[str]]
    others: Iterable[re.Match[str]]
    if size <= PLACES:
        named, others = (signs.finditer(text) for signs in signs_with(extra))
    else:
        names, marks = signs_of_long(extra)
        named, start, end = bound.places(names, text, (0, size), walk)
        others, start, end = bound.places(marks, text, (start, end), walk)
        spans = [(first, last, CUT) for first, last in ((0, start), (end, size)) if first < last]
        hidden = max(start - OVERLAP, 0)
        shown = " " * hidden + text[hidden : end + OVERLAP]
    looked = 0
    for places, secret_at in ((named, named_secret), (others, _other_secret)):
        reached = 0
        for found in places:
            looked += 1
            at = found.start()
            if at >= reached and (span := secret_at(text, at, rule_of)):
                spans.append(span)
                reached = span[1]
    if looked and walk is not None:
        walk.look(looked)
    # These are cut at their end.
    spans += seldom_spans(shown, rule_of, PLACES if bound.keep_end else bound.most)
    return _united(spans) if len(spans) > 1 else spans


def replaced(text: str, spans: Iterable[Span]) -> str:
    """Replace the spans of a text, which come in their order."""
    parts: list[str] = []
    done = 0
    for start, end, into in spans:
        parts += (text[done:start], into or cut_marker(size_of(text[start:end])))
        done = end
    return "".join((*parts, text[done:]))


def part_of(text: str, start: int, end: int, spans: list[Span], beyond: int = 0) -> str:
    """Return a part of a text, its spans replaced, and markers of the bytes cut around it.

    Args:
        text: The text.
        start: Where the part begins.
        end: Where it ends.
        spans: Those of the part; one that is cut at its beginning or end makes it shorter.
        beyond: How many bytes were behind the text.
    """
    if spans and not spans[-1][2] and start + spans[-1][1] == end:
        end = start + spans.pop()[0]
    if spans and not spans[0][2]:
        cut = spans.pop(0)[1]
        start += cut
        spans = [(first - cut, last - cut, into) for first, last, into in spans]
    before, behind = size_of(text[:start]), size_of(text[end:]) + beyond
    around = [cut_marker(size) if size else "" for size in (before, behind)]
    return replaced(text[start:end], spans).join(around)


def _united(spans: list[Span]) -> list[Span]:
    """Make one of spans that overlap; the text that stands for it is that of the first."""
    united: list[Span] = []
    for start, end, into in sorted(spans, key=lambda span: (span[0], -span[1])):
        if united and start < united[-1][1]:
            first, reached, text = united[-1]
            united[-1] = first, max(reached, end), text
        else:
            united.append((start, end, into))
    return united


def _other_secret(text: str, at: int, rule_of: RuleOf) -> Span | None:
    """Find the secret of a provider, or one of another shape, whose sign stands here."""
    if text[at] in "%>-" and (named := named_secret(text, at, rule_of)):
        return named
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
_BY_SIGN = {sign: [pattern for each, pattern in OTHERS if each == sign] for sign, _ in OTHERS}
