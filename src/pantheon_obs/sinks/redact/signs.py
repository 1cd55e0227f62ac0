"""Patterns of the characters at which a secret may be recognised.

A sign of a name stands behind the name of a secret: `token=`, `"token": `. A name is recognised by
its last letters, and a few characters may stand between them and the sign. Other signs are the last
characters of providers' beginnings (`sk-`) and of schemes.

Each pattern begins with literals, because the engine then passes over all other characters quickly.
At most characters it fails at the letter before them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.keys import LAST_WORDS
from pantheon_obs.sinks.redact.patterns import Pattern
from pantheon_obs.sinks.redact.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Finder = Callable[..., Iterator[re.Match[str]]]

# The signs of names, and what stands around each.
_AROUND = {
    "=:>": "",  # `>` of an element of XML, and of an arrow
    ",": r"(?<=[\"'`].)",  # between the strings of a pair: `('token', 'S')`
    "'": r"(?<=[ (].)",  # of SQL: `PASSWORD 'S'`
    "%": "(?=3[AaDd])",  # a percent-encoded sign
}
_OPTION = r"-(?<![\w.-].)(?=-?[A-Za-z])"  # its name follows: `--token S`

_TAIL = 4
_MARKS = r"\"'`\[\]\\ (%"
_BETWEEN = f"[0-9_{_MARKS}]"  # may stand between a name and its sign
# Of a name that is farther away its letters are not looked at: `\\\"`, `[0]`, `%22`. SQLAlchemy
# numbers its parameters: `password_1`, `password_12`.
_ENCODED = "(?<=%(?:22|5[Dd]).)|(?<=[^=]=>)"
_FAR = rf"(?<=(?! \d){_BETWEEN}{{2}}[{_MARKS}].)|(?<=_[0-9][0-9].)|(?<=[0-9]_[0-9].)"

_MOST = 4  # characters of a beginning; to look for all takes long to compile
_WORD = 2  # the beginnings up to this length may be the end of many a word


@lru_cache(maxsize=16)
def name_signs(extra: frozenset[str]) -> Finder:
    """Make the pattern of all signs of names, `extra` ones among them."""
    around = "|".join(f"(?<=[{signs}]){around}" for signs, around in _AROUND.items())
    option = _OPTION.replace("-", "(?<=-)", 1)
    signs = "".join(_AROUND)
    return re.compile(f"[{signs}-](?:(?:{around}){_name(extra)}|{option})").finditer


@lru_cache(maxsize=16)
def name_signs_apart(extra: frozenset[str]) -> list[tuple[str, Finder]]:
    """Make a pattern of each sign: all but short texts are searched faster for one at a time."""
    name = _name(extra)
    apart = {sign: sign + around + name for signs, around in _AROUND.items() for sign in signs}
    return [(sign, Pattern(each).finditer) for sign, each in {**apart, "-": _OPTION}.items()]


def _name(extra: Iterable[str]) -> str:
    """Make the pattern of the end of a name before a sign."""
    near, nearer, nearest = (_name_before(between, extra) for between in (2, 1, 0))
    behind = rf"(?<={_BETWEEN}.)(?:{nearer}|(?<={_BETWEEN}..)(?:{near}|{_FAR}))"
    return f"(?:{nearest}|{_ENCODED}|{behind})"


def _name_before(between: int, extra: Iterable[str]) -> str:
    """Make the pattern of the end of a name, with so many characters between it and the sign.

    Most names fail at a set of letters for each place, which is faster than all the words. Of
    `extra` names the last character only is looked for, as separators do not count.
    """
    tails = {word[-_TAIL:] for word in LAST_WORDS}
    third, second, last = (_one_of(tail[-place] for tail in tails) for place in (3, 2, 1))
    rest = "." * between + "."
    words = "|".join(f"(?<=(?ai:{_any_of(same)}){rest})" for same in _by_size(tails))
    ways = [
        f"(?<={third}{second}{last}{rest})(?:{words})",
        f"(?<=[pP][wW]{rest})",  # `dbpw`
        f"(?<=[?&#]t{rest})",
        f"(?<=[a-z0-9_][vVbB]{rest})",  # `token_v2`, `tokenB64`
    ]
    if extra:
        ways.append(f"(?<=(?i:{_one_of(word[-1:] for word in extra)}){rest})")
    return "|".join(ways)


@lru_cache(maxsize=1)
def other_signs() -> Finder:
    """Make the pattern of the other characters: of providers' beginnings, schemes and URLs."""
    around: dict[str, list[str]] = {
        "-": [r"(?=us\d)"],
        ":": [
            r"(?<=[\d*][\d:][\d*].)(?:(?<=\d{8}.)|(?<=:\d{4}.)|(?<=\*:\*.))",
            "(?<=:thin.)",
            r"/(?=/[^/?#\s'\"]*@)",
        ],
        "%": ["(?=3[Aa]%2[Ff]%2[Ff])"],
        "~": [r"(?<=\dQ.)"],
        "b": ["(?=earer|asic)"],
        "B": ["(?=earer|asic|EARER|ASIC)"],
        ".": [r"(?=[\w-]{6}\.[\w-]{27})", "(?=[a-f0-9]{64})"],
    }
    names: dict[str, set[str]] = {}
    for beginning, _ in PROVIDERS:
        names.setdefault(beginning[-1], set()).add(beginning[:-1][-_MOST:])
    for sign, ends in names.items():
        for same in map(list, _by_size(ends)):
            way = f"(?<={_any_of(same)}.){_begins(len(same[0]), sign)}"
            around.setdefault(sign, []).append(way)
    return re.compile(
        "|".join(f"{re.escape(sign)}(?:{'|'.join(ways)})" for sign, ways in around.items())
    ).finditer


def _begins(size: int, sign: str) -> str:
    """Make the pattern of a beginning before which no word goes on, unless an escape ends there.

    It is left out where words with that end are rare.
    """
    if size > (_WORD if sign in "-_." else 1):
        return ""
    name = "." * (size + 1)
    return rf"(?as:(?<!\w{name})|(?<=\\[nrt]{name})|(?<=%..{name}))"


def _by_size(words: Iterable[str]) -> Iterator[Iterable[str]]:
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
