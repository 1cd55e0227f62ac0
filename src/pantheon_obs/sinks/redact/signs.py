"""Patterns of the characters at which there may be a secret.

They look for the end of a secret's name before a sign, or of a provider's beginning: most of an
ordinary text is passed over without a step of Python. Each begins with literals, as the engine then
passes over all other characters quickly, and most of those fail at the characters before them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.keys import LAST_WORDS
from pantheon_obs.sinks.redact.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_TAIL = 3
_MOST = 4  # characters of a beginning; to look for all takes long to compile
_WORD = 2  # the beginnings up to this length may be the end of many a word
# Of `card_number`, `credit_card` and the like; a `number` alone is a frequent field.
_CARD = "(?i:ardnumber|(?:rd|cc)[_ -]number)"
_BETWEEN = r"\"'`\] ("


@lru_cache(maxsize=16)
def name_signs(extra: frozenset[str]) -> re.Pattern[str]:
    """Make the pattern of the signs behind names, `extra` ones among them."""
    before, names = _name_signs(extra)
    near = "|".join(f"(?<={look}[{signs}])" for signs, look in before.items())
    return re.compile(f"[{''.join(before)}](?:{near}){names}")


@lru_cache(maxsize=16)
def name_signs_apart(extra: frozenset[str]) -> list[re.Pattern[str]]:
    """Make a pattern for each of these signs: a long text is searched faster for one at a time."""
    before, names = _name_signs(extra)
    return [
        re.compile(f"{sign}(?<={look}.){names}") for signs, look in before.items() for sign in signs
    ]


def _name_signs(extra: frozenset[str]) -> tuple[dict[str, str], str]:
    """Make a short look-behind for each sign, and the pattern of a name's end.

    Of further names the last character only is looked for, as separators do not count.
    """
    tails = {word[-_TAIL:] for word in LAST_WORDS}
    ends = f"(?ai:{_any_of(tails)})"
    # Most names fail at a set of letters for each place, which is faster than all the words.
    in_place = "".join(_one_of(tail[-place] for tail in tails) for place in range(_TAIL, 0, -1))
    last, last_but_one = (_one_of(tail[-at] for tail in (*tails, "dd"))[1:-1] for at in (1, 2))
    # SQLAlchemy numbers its parameters: `password_1`, `password__12`.
    numbered = (
        "(?s:(?<=.[_vV][0-9].|.64.|.56.|_[0-9][0-9].|[_vV][0-9]..|64..|56..)|(?<=_[0-9][0-9]..))"
        f"|(?<={in_place}[0-9]..)"
    )
    # Of OAuth; `status_code` and many others are none.
    code = r"(?<=[?&#]code.)|(?<=auth_code.)|(?<=ization_code.)|(?<=code_verifier.)"
    behind = [
        f"(?<=[0-9]..|.[0-9].)(?:{numbered}|(?<=[pP][wW][0-9]..))",
        r"(?<!')(?<=[\"'`][ \]].|[\] ] .|\\[\"'`].|[\d\[]\].)|(?<=[\"']code[\"'].)",
        r"(?<=_verifier[\"' \]].)",
    ]
    # Most texts have none of `behind`, and fail at these characters before the sign.
    near = r"(?<=[0-9r\"'`\[\] \\e]..|.[0-9\]].)"
    # Few texts have these letters before a sign: they end `dbpw` and `card_number`.
    few, few_behind = (
        f"(?<=[wWrRdD]{at})(?:(?<=[pP][wW]{at})|(?<={_CARD}{at}))" for at in (".", "..")
    )
    ways = [
        f"(?<={in_place}.)(?<={ends}.)|{few}",
        rf"(?<=[0-9{_BETWEEN}].)(?:(?<={in_place}..)(?<={ends}..)|{few_behind}|{near}(?:{'|'.join(behind)}))",
        rf"(?<=[ertdD].)(?:(?<=[?&]t.|5[Dd].)|{code})",
    ]
    names = f"(?:{'|'.join(ways)})"
    # A list may have very many strings, as `'a0', 'a1'`.
    in_list = rf"(?:..[{last}\\]|.[{last}_vV56][0-9]|[_vV][0-9][0-9])[\"'`]"
    bare = rf"[{last}{last_but_one}0-9_vV\[?&{_BETWEEN}\\][{last}0-9{_BETWEEN}]"
    before = {"=:>": bare, ",": in_list, "'": f"[{last}0-9][ (]"}
    if extra:
        final = f"(?i:[{re.escape(''.join(sorted({word[-1:] for word in extra})))}])"
        names = rf"(?:{names}|(?<!')(?:(?<={final}.)|(?<={final}[\"'`\] ].)))"
        before = {"=:>,": "", "'": before["'"]}
    return before, names


@lru_cache(maxsize=1)
def other_signs() -> re.Pattern[str]:
    """Make the pattern of the other characters: of providers' beginnings, URLs and options."""
    around: dict[str, list[str]] = {
        "-": [r"(?<![\w.-].)(?=-?[A-Za-z])", r"(?=us\d)"],
        ":": [
            r"(?<=[\d*][\d:][\d*].)(?:(?<=\d{8}.)|(?<=:\d{4}.)|(?<=\*:\*.))",
            "(?<=:thin.)",
            r"/(?=/[^/?#\s'\"]*@)",
        ],
        "%": ["(?=3[AaDd])"],
        ">": ["(?<==.)"],
        "~": [r"(?<=\dQ.)"],
        "b": ["(?=earer|asic)"],
        "B": ["(?=earer|asic|EARER|ASIC)"],
        ".": [r"(?=[\w-]{6}\.[\w-]{27})", "(?=[a-f0-9]{64})"],
    }
    names: dict[str, dict[int, set[str]]] = {}
    for beginning, _ in PROVIDERS:
        name = beginning[:-1][-_MOST:]
        names.setdefault(beginning[-1], {}).setdefault(len(name), set()).add(name)
    for sign, by_size in names.items():
        for size, same_size in by_size.items():
            way = f"(?<={_any_of(same_size)}.){_begins(size, sign)}"
            around.setdefault(sign, []).append(way)
    return re.compile(
        "|".join(f"{re.escape(sign)}(?:{'|'.join(ways)})" for sign, ways in around.items())
    )


def _begins(size: int, sign: str) -> str:
    """Make the pattern of a beginning before which no word goes on, unless an escape ends there.

    It is left out where words with that end are rare.
    """
    if size > (_WORD if sign in "-_." else 1):
        return ""
    name = "." * (size + 1)
    return rf"(?as:(?<!\w{name})|(?<=\\[nrt]{name})|(?<=%..{name}))"


def _any_of(words: Collection[str]) -> str:
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
