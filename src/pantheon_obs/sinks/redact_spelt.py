"""Quotes and signs in the spelling of HTML, of escapes, and of percent-encoding twice."""

from __future__ import annotations

import re

_spelt = re.compile(
    "[\u201c\u201d]"
    r"|&(?:quot|apos|lt|gt|amp|#34|#39|#61|#[xX]2[27]);"
    r"|\\{1,16}+(?:u00(?:2[267]|3[c-eC-E])|x2[27])"
    r"|%25[0-9A-Fa-f]{2}"
).sub
_MARKS = {
    mark: spellings.split()
    for mark, spellings in {
        '"': "\u201c \u201d &quot; &#34; &#x22; u0022 x22 %2522",
        "'": "&apos; &#39; &#x27; u0027 x27 %2527",
        "<": "&lt; u003c",
        ">": "&gt; u003e",
        "=": "&#61; u003d",
        "&": "&amp; u0026",
    }.items()
}
_USUAL = {spelling: mark for mark, spellings in _MARKS.items() for spelling in spellings}


def with_usual_signs(text: str) -> str:
    """Return a text of the same length with these signs as they are usual.

    A quote gets backslashes before it, as many as its spelling was longer; other signs get blanks,
    on the side where a name or value may have some.
    """
    if "&" in text or "\\" in text or "%25" in text or "\u201c" in text:
        return _spelt(_usual, text)
    return text


def _usual(found: re.Match[str]) -> str:
    text = found[0]
    mark = _USUAL.get(text.lstrip("\\").lower())
    if mark is None:
        return f"  %{text[3:]}"
    if mark in "'\"":
        return mark.rjust(len(text), "\\")
    return mark.ljust(len(text)) if mark in ">&" else mark.rjust(len(text))
