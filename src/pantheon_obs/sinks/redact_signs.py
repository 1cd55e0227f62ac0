"""Patterns of the characters at which there may be a secret.

They look for the end of a secret's name before a sign, or of a provider's beginning: most of an
ordinary text is passed over without a step of Python. Each begins with literals, as the engine then
passes over all other characters quickly, and most of those fail at the characters before them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from pantheon_obs.sinks.redact_keys import LAST_WORDS, NOT_ALONE
from pantheon_obs.sinks.redact_providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_TAIL = 3
_MOST = 4  # characters of a beginning; to look for all takes long to compile
_WORD = 2  # the beginnings up to this length may be the end of many a word
_BETWEEN = r"\"'`\] ("


class Signs(NamedTuple):
    """The patterns of the signs behind names, and of the others."""

    names: re.Pattern[str]
    others: re.Pattern[str]


@lru_cache(maxsize=16)
def signs_with(extra: frozenset[str]) -> Signs:
    """Make the patterns; `extra` has further names of secrets."""
    return Signs(_name_signs(extra), _other_signs())


def _name_signs(extra: frozenset[str]) -> re.Pattern[str]:
    """Make the pattern of the signs between a secret's name and its value.

    Of further names the last character only is looked for, as separators do not count.
    """
    ends = _folded(_any_of({word[-_TAIL:] for word in LAST_WORDS}))
    # Most names fail at a set of letters for each place, which is faster than all the words. Some
    # words are secret only behind another one.
    in_place = "".join(
        _one_of({word[-place] for word in LAST_WORDS}, fold=True) for place in range(_TAIL, 0, -1)
    )
    alone = [
        rf"(?<![,;&?({{\[\"'`](?:{'|'.join(word for word in NOT_ALONE if len(word) == size)})"
        for size in sorted({len(word) for word in NOT_ALONE})
    ]

    # Of the less frequent ways less is asked, as each condition takes its time to compile.
    not_alone = "".join(f"{word}.)" for word in alone)
    last, last_but_one = (
        _one_of({word[-place] for word in LAST_WORDS} | {"d"}, fold=True)[1:-1] for place in (1, 2)
    )
    # SQLAlchemy numbers its parameters: `password_1`, `password__12`.
    numbered = ["(?<=[_vV][0-9]{0}|64{0})", "(?<=_[0-9]{{2}}{0})"]
    one, two = ("|".join(numbered).format(behind) for behind in (".", ".."))
    # Of OAuth; `status_code` and many others are none.
    code = r"(?<=[?&#]code.)|(?<=auth_code.)|(?<=ization_code.)|(?<=code_verifier.)|(?<=[?&]t.)"
    behind = [
        f"(?<={in_place}..)(?<={ends}..)",
        rf"(?<=[0-9].)(?:{one})|(?<=[0-9]..)(?:(?<={in_place}[0-9]..)|{two})",
        r"(?<!')(?<=[\"'`][ \]].|[\] ] .|\\[\"'`].|[\d\[]\].)|(?<=[\"']code[\"'].)",
    ]
    ways = [
        f"(?<={in_place}.)(?<={ends}.){not_alone}",
        rf"(?<=[0-9{_BETWEEN}].)(?:{'|'.join(behind)})",
        f"(?<=[ert].)(?:{code})|(?<=5[Dd].)",
    ]
    second, first = rf"{last}{last_but_one}0-9_vV\[?&{_BETWEEN}\\", f"{last}0-9{_BETWEEN}"
    before = dict.fromkeys("=:>", f"(?<=[{second}][{first}].)")
    before["'"] = f"(?<=[{last}0-9][ (].)"
    before[","] = f"(?<=[{second}][\"'`].)"
    after = f"(?:{'|'.join(ways)})"
    if extra:
        final = f"(?i:[{re.escape(''.join(sorted({word[-1:] for word in extra})))}])"
        after = rf"(?:{after}|(?<!')(?:(?<={final}.)|(?<={final}[\"'`\] ].)))"
        before |= dict.fromkeys("=:>,", "")
    return re.compile(f"(?:{'|'.join(map(''.join, before.items()))}){after}")


@lru_cache(maxsize=1)
def _other_signs() -> re.Pattern[str]:
    """Make the pattern of the other characters: of providers' beginnings, URLs and options."""
    around = {
        ":": [r"(?<=[\d*/].)(?:(?<=\d{8}.)|(?<=:\d{4}.)|(?<=\*:\*.))"],
        "%": ["(?=3[AaDd])"],
        ">": ["(?<==.)"],
        "~": [r"(?<=\dQ.)"],
        "b": ["(?=earer|asic)"],
        "B": ["(?=earer|asic|EARER|ASIC)"],
        "-": [r"(?<![\w.-].)(?=-?[A-Za-z])"],
    }
    names: dict[str, dict[int, set[str]]] = {}
    for beginning, _ in PROVIDERS:
        name = beginning[:-1][-_MOST:]
        names.setdefault(beginning[-1], {}).setdefault(len(name), set()).add(name)
    for sign, by_size in sorted(names.items()):
        ways = [
            f"(?<={_any_of(each)}.){_begins(size, sign)}" for size, each in sorted(by_size.items())
        ]
        if len(ways) > 1:  # else it fails as fast itself
            last = _one_of({name[-1] for each in by_size.values() for name in each}, fold=False)
            ways = [f"(?<={last}.)(?:{'|'.join(ways)})"]
        around.setdefault(sign, []).extend(ways)
    found = "|".join(f"{re.escape(sign)}(?:{'|'.join(ways)})" for sign, ways in around.items())
    return re.compile(rf":/(?=/[^/?#\s'\"]*@)|{found}")


def _begins(size: int, sign: str) -> str:
    """Make the pattern of a beginning before which no word goes on, unless an escape ends there.

    It is left out where words with that end are rare.
    """
    if size > (_WORD if sign in "-_." else 1):
        return ""
    name = "." * (size + 1)
    return rf"(?:(?<![A-Za-z0-9_]{name})|(?<=\\[nrt]{name})|(?<=%[\s\S][\s\S]{name}))"


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


def _folded(pattern: str) -> str:
    """Have a pattern of small letters match capital ones too."""
    return "".join(f"[{one.upper()}{one}]" if one.isalpha() else one for one in pattern)


def _one_of(characters: Iterable[str], *, fold: bool) -> str:
    both = {way for one in characters for way in ((one, one.upper()) if fold else (one,))}
    escaped = re.escape("".join(sorted(both)))
    return escaped if len(both) == 1 else f"[{escaped}]"
