"""Patterns of the characters at which a secret may be recognised.

There are two kinds of such signs.

- A *sign of a name* stands behind the name of a secret: `token=`, `"token": `. The name is
  recognised by the end of its last word, and a few marks may stand between it and the sign.
- *Another sign* is the last character of a provider's beginning (`sk-`), or the first one of a
  shape such as `Bearer …` or `://user:…@`.

A match only says that it is worth to look there. Each pattern begins with its sign, because the
engine passes over all other characters quickly, and then looks at the characters before it. In such
a look-behind the last dot is the sign itself: `(?<=token.)` is "token" before the sign.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.keys import LAST_WORDS
from pantheon_obs.sinks.redact.patterns import Pattern
from pantheon_obs.sinks.redact.providers import OTHERS, PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Finder = Callable[..., Iterator[re.Match[str]]]

# The signs of names, and what must stand around each of them besides the name.
_AROUND = {
    "=:>": "",  # `>` of an element of XML, and of an arrow
    ",": r"(?<=[\"'`].)",  # between the strings of a pair: `('token', 'S')`
    "'": r"(?<=[ (].)",  # of SQL: `PASSWORD 'S'`
    "%": "(?=3[AaDd])",  # a percent-encoded sign
}
_OPTION = r"-(?<![\w.-].)(?=-?[A-Za-z])"  # its name follows: `--token S`

# Between a name and its sign may stand its number, and quotes, brackets and blanks.
_MARKS = r"\"'`\[\]\\ (%"
_BETWEEN = rf"[\d_{_MARKS}]"
_ENCODED_OR_ARROW = "(?<=%(?:22|5[Dd]).|.[^=]=>)"  # behind any name
# Behind more than two of them, any name may be one of a secret: `\\\"`, `[0]`, `_12`, `2_1`.
_FAR = rf"(?<=(?! \d){_BETWEEN}{{2}}[{_MARKS}].)|(?<=_\d\d.)|(?<=\d_\d.)"

_TAIL = 4  # characters of a word; to look for all takes long to compile
_BEGINNING = 4  # characters of a beginning, likewise
_WORD = 2  # the beginnings up to this length may be the end of many a word


@lru_cache(maxsize=16)
def name_signs(extra: frozenset[str]) -> Finder:
    """Make the pattern of all signs of names, `extra` ones among them; for short texts."""
    around = "|".join(f"(?<=[{signs}]){around}" for signs, around in _AROUND.items())
    signs = "".join(_AROUND)
    return re.compile(f"[{signs}-](?:(?>{around}){_name(extra)}|(?<=-){_OPTION[1:]})").finditer


@lru_cache(maxsize=16)
def name_signs_apart(extra: frozenset[str]) -> list[tuple[str, Finder]]:
    """Make a pattern of each sign: longer texts are searched faster for one after the other."""
    name = _name(extra)
    apart = {sign: sign + around + name for signs, around in _AROUND.items() for sign in signs}
    return [(sign, Pattern(each).finditer) for sign, each in {**apart, "-": _OPTION}.items()]


def _name(extra: Iterable[str]) -> str:
    """Make the pattern of a name before a sign."""
    nearest, nearer, near = (_name_before(between, extra) for between in (0, 1, 2))
    behind = rf"(?<={_BETWEEN}.)(?:{nearer}|(?<={_BETWEEN}..)(?:{near}|{_FAR}))"
    return f"(?:{nearest}|{_ENCODED_OR_ARROW}|{behind})"


def _name_before(between: int, extra: Iterable[str]) -> str:
    """Make the pattern of a name, with so many characters between its end and the sign.

    Most names fail at a set of letters for each place, which is faster than all the words. Of
    `extra` names the last character only is looked for, as separators do not count.
    """
    tails = {word[-_TAIL:] for word in LAST_WORDS}
    third, second, last = (_one_of(tail[-place] for tail in tails) for place in (3, 2, 1))
    rest = "." * between + "."
    words = "|".join(f"(?<=(?ai:{_any_of(same)}){rest})" for same in _by_size(tails))
    ways = [
        f"(?<={third}{second}{last}{rest})(?:{words})",
        # `dbpw`, `?t`, `token_v2` and `tokenB64`
        rf"(?<=[wWtvVbB]{rest})(?<=(?:[pP][wW]|[?&#]t|\w[vVbB]){rest})",
    ]
    if extra:
        ways.append(f"(?<=(?i:{_one_of(word[-1:] for word in extra)}){rest})")
    return "|".join(ways)


@lru_cache(maxsize=1)
def other_signs() -> Finder:
    """Make the pattern of all other signs."""
    around: dict[str, list[str]] = {}
    for sign, near, _ in OTHERS:
        around.setdefault(sign, []).append(near)
    names: dict[str, set[str]] = {}
    for beginning, _ in PROVIDERS:
        names.setdefault(beginning[-1], set()).add(beginning[:-1][-_BEGINNING:])
    for sign, ends in names.items():
        for same in map(list, _by_size(ends)):
            way = f"(?<={_any_of(same)}.){_begins(len(same[0]), sign)}"
            around.setdefault(sign, []).append(way)
    return re.compile(
        "|".join(f"{re.escape(sign)}(?:{'|'.join(ways)})" for sign, ways in around.items())
    ).finditer


def _begins(size: int, sign: str) -> str:
    """Make the pattern of what stands before a beginning: no word, unless an escape ends there.

    It is left out where words with that end are rare.
    """
    if size > (_WORD if sign in "-_." else 1):
        return ""
    name = "." * (size + 1)
    return rf"(?as:(?<!\w{name})|(?<=\\[nrt]{name})|(?<=%..{name}))"


def _by_size(words: Iterable[str]) -> Iterator[Iterable[str]]:
    """Divide words by their length: a look-behind has one length."""
    return (same for _, same in groupby(sorted(words, key=len), len))


def _any_of(words: Iterable[str]) -> str:
    """Make a pattern of words of the same length."""
    ways: dict[str, list[str]] = {}
    for word in sorted(words):
        ways.setdefault(word[0], []).append(re.escape(word[1:]))
    found = [
        f"{re.escape(first)}(?:{'|'.join(rests)})" if rests[1:] else re.escape(first) + rests[0]
        for first, rests in ways.items()
    ]
    return f"(?:{'|'.join(found)})" if found[1:] else found[0]


def _one_of(characters: Iterable[str]) -> str:
    """Make a pattern of characters; one of small letters matches capital ones too."""
    return (
        f"[{re.escape(''.join(sorted({way for one in characters for way in (one, one.upper())})))}]"
    )
