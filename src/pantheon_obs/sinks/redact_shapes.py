"""Find the secrets inside a text, and replace them.

One pattern finds the characters at which a secret may be recognised: the mark in `sk-`, the colon
of `"token": "…"`. For each of them a reader looks at the text around it. The readers see the text
as it was given, and report the place of a secret; all places are replaced at the end, once.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact_beside import is_seldom, seldom_spans
from pantheon_obs.sinks.redact_keys import LAST_WORDS, NOT_ALONE
from pantheon_obs.sinks.redact_long import cut_marker, size_of
from pantheon_obs.sinks.redact_named import SIGNS, named_secret
from pantheon_obs.sinks.redact_providers import OTHERS, PROVIDERS
from pantheon_obs.sinks.redact_spelt import with_usual_signs
from pantheon_obs.sinks.redact_values import REDACTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pantheon_obs.sinks.redact_plain import Walk
    from pantheon_obs.sinks.redact_values import RuleOf, Span

    _Sorted = dict[str, list[tuple[str, str]]]

_TAIL = 3
_CUT = ""  # `replaced` says how much it was
_NAMED_ONLY = "=,>'"

compiled = lru_cache(maxsize=256)(re.compile)
"""Compiles a pattern at its first use: compiling all of them takes longer than an import."""


def find_spans(
    text: str, rule_of: RuleOf, signs: re.Pattern[str], walk: Walk | None = None
) -> list[Span]:
    """Find the secrets in a text, in their order; none overlaps another one.

    Args:
        text: The text.
        rule_of: Finds the rule for the values of a key.
        signs: The pattern of `sign_pattern`.
        walk: Limits how many signs are looked at. The text behind them is one span.
    """
    text = with_usual_signs(text)
    spans: list[Span] = []
    if is_seldom(text):
        spans += seldom_spans(text, rule_of)
    named_end = shape_end = 0
    all_found, beyond = signs.finditer(text), None
    if walk is not None:
        all_found, beyond = walk.signs(all_found)
    for found in all_found:
        at = found.start()
        sign = text[at]
        if sign in SIGNS and at >= named_end:
            span = named_secret(text, at, rule_of)
            if span is not None:
                named_end = span[1]
                spans.append(span)
        if at >= shape_end and sign not in _NAMED_ONLY and (sign != ":" or _shaped(text, at)):
            span = _shaped_secret(text, at)
            if span is not None:
                shape_end = span[1]
                spans.append(span)
    if beyond is not None:
        spans.append((max(beyond, named_end, shape_end), len(text), _CUT))
    return _united(spans) if len(spans) > 1 else spans


def replaced(text: str, spans: Iterable[Span]) -> str:
    """Replace the spans of a text, which come in their order."""
    parts: list[str] = []
    done = 0
    for start, end, into in spans:
        parts += (text[done:start], into or cut_marker(size_of(text[start:end])))
        done = end
    return "".join((*parts, text[done:]))


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


# What a colon of a URL, of Telegram's keys or of ~/.pgpass has around it.
_shaped = re.compile(r":(?://|(?<=\d.)|(?<=\*.))").match


def _shaped_secret(text: str, at: int) -> Span | None:
    """Find the secret of a provider, or one of another shape, whose sign stands here."""
    for beginning, pattern in _BY_ENDING.get(text[at - 1 : at + 1], ()):
        start = at + 1 - len(beginning)
        if text.startswith(beginning, max(start, 0)) and _begins(text, start):
            found = compiled(pattern).match(text, at + 1)
            if found is not None:
                first = found.start(1) if found.lastindex else start
                return first, found.end(found.lastindex or 0), REDACTED
    for _, pattern in _BY_SIGN.get(text[at], ()):
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


@lru_cache(maxsize=16)
def sign_pattern(extra: frozenset[str]) -> re.Pattern[str]:
    """Make the pattern that finds the characters at which there may be a secret.

    It looks for the end of a secret's name before a sign, or of a provider's beginning: most of an
    ordinary text is passed over without a step of Python. `extra` has further names.
    """
    name = _any_of({word[-_TAIL:] for word in LAST_WORDS}, fold=True)
    # Most names fail at a set of letters for each place, which is faster than all the words. Some
    # words are secret only behind another one.
    in_place = "".join(
        _one_of({word[-place] for word in LAST_WORDS}, fold=True) for place in range(_TAIL, 0, -1)
    )
    alone = [
        rf"(?<![,;&?({{\[\"'`](?:{'|'.join(word for word in NOT_ALONE if len(word) == size)})"
        for size in sorted({len(word) for word in NOT_ALONE})
    ]

    def named(behind: str) -> str:
        not_alone = "".join(f"{word}{behind})" for word in alone)
        return f"(?<={in_place}{behind})(?<={name}{behind}){not_alone}"

    last, last_but_one = (
        _one_of({word[-place] for word in LAST_WORDS} | {"d"}, fold=True)[1:-1] for place in (1, 2)
    )
    odd = r"(?<=[\"'`][ \]].|\] .|  .|\\[\"'`].)"
    # SQLAlchemy numbers its parameters: `password_1`, `password__12`.
    numbered = "(?:(?<=_[0-9].)|(?<=_[0-9]{2}.))"
    quoted = "(?:(?<=_[0-9][\"'`].)|(?<=_[0-9]{2}[\"'`].))"
    before = [
        named("."),
        rf"(?<=[0-9].)(?:{named('[0-9].')}|{numbered}|(?<=64.|[vV][0-9].))",
        rf"(?<=[\"'`\] ].)(?:{named('[^a-z].')}|{named('[0-9][^a-z].')}|{quoted}|{odd})",
        "(?<=5[Dd].)",
    ]
    before.append(r"(?<=[\d\[]\].)")
    named_before = [
        # Nothing else is asked of most signs.
        rf"(?<=[{last}{last_but_one}0-9_\"'`\] \\][{last}0-9\"'`\] ].)(?:{'|'.join(before)})"
    ]
    final = "".join(sorted({word[-1:] for word in extra}))
    if final:  # of these the last character only, as separators do not count
        final = f"(?i:[{re.escape(final)}])"
        named_before += [f"(?<={final}.)", rf"(?<={final}[\"'`\] ].)"]
    in_pair = [named("[\"'`]."), named("[0-9][\"'`]."), r"(?<=\\[\"'`].)", quoted]
    in_sql = [rf"(?<=[{last} ][ (].)(?:{named('[ (].')})"]
    # Of OAuth; `status_code` and many others are none.
    codes = r"(?<=[?&#]code.)|(?<=auth_code.)|(?<=ization_code.)|(?<=[\"']code[\"'].)"
    codes = rf"(?<=[r\"'e].)(?:{codes}|(?<=code_verifier.))"
    around = {
        "=": [*named_before, codes],
        ":": [
            *named_before,
            codes,
            r"(?=//[^/?#\s'\"]*@)",
            r"(?<=[\d*].)(?:(?<=\d{8}.)|(?<=:\d{4}.)|(?<=\*:\*.))",
        ],
        ",": [rf"(?<=[\"'`].)(?:{'' if extra else '|'.join(in_pair)})"],
        ">": [""] if extra else [named("."), named("[0-9]."), "(?<==.)", named("[\"'].")],
        "'": in_sql,
        "%": ["(?=3[AaDd])"],
        "~": [r"(?<=\dQ.)"],
        "b": ["(?=earer|asic)"],
        "B": ["(?=earer|asic|EARER|ASIC)"],
        "-": [r"(?<![\w.-].)(?=-?[A-Za-z])"],
    }
    for sign in sorted({beginning[-1] for beginning, _ in PROVIDERS}):
        names = {beginning[:-1] for beginning, _ in PROVIDERS if beginning[-1] == sign}
        for width in sorted({len(name[1 - _TAIL :]) for name in names}):
            wide = {name for name in names if len(name[1 - _TAIL :]) == width}
            ends = _any_of({name[1 - _TAIL :] for name in wide})
            # Only few words with such an end are the whole name, and none of them goes on before.
            whole = "|".join(
                rf"(?<={_any_of({name for name in wide if len(name) == size})}.)"
                rf"(?:(?<![A-Za-z0-9_].{{{size}}}.)|(?<=\\[nrt].{{{size}}}.)"
                rf"|(?<=%[\s\S]{{2}}.{{{size}}}.))"
                for size in sorted({len(name) for name in wide})
            )
            around.setdefault(sign, []).append(f"(?<={ends}.)(?:{whole})")
    # Each way begins with a literal: the engine then passes over all other characters quickly.
    return re.compile("|".join(f"{re.escape(sign)}(?:{'|'.join(x)})" for sign, x in around.items()))


def _any_of(words: Iterable[str], *, fold: bool = False) -> str:
    """Make a pattern of words of the same length; with `fold`, in capital letters too."""
    ways: dict[str, set[str]] = {}
    for word in words:
        ways.setdefault(word[0], set()).add(word[1:])
    if not any(rests - {""} for rests in ways.values()):
        return _one_of(ways, fold=fold)
    by_rest: dict[str, list[str]] = {}
    for first, rests in sorted(ways.items()):
        by_rest.setdefault(_any_of(rests, fold=fold), []).append(first)
    return f"(?:{'|'.join(_one_of(firsts, fold=fold) + rest for rest, firsts in by_rest.items())})"


def _one_of(characters: Iterable[str], *, fold: bool) -> str:
    both = {way for one in characters for way in ((one, one.upper()) if fold else (one,))}
    return f"[{re.escape(''.join(sorted(both)))}]"


def _sorted_by(key: Callable[[str], Iterable[str]], shapes: Iterable[tuple[str, str]]) -> _Sorted:
    found: _Sorted = {}
    for beginning, pattern in shapes:
        for one in key(beginning):
            found.setdefault(one, []).append((beginning, pattern))
    return found


_BY_ENDING = _sorted_by(lambda beginning: [beginning[-2:]], PROVIDERS)
_BY_SIGN = _sorted_by(list, OTHERS)
