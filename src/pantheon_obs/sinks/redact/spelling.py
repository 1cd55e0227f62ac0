"""Quotes and signs in the spelling of HTML, of escapes, and of percent-encoding twice."""

from __future__ import annotations

import re
from functools import lru_cache

_escape = re.compile(r"\\(?<!\\\\)\\*+(?:u00(?:2[267]|3[c-eC-E])|x2[27])").sub
_percent = re.compile(r"%25(?=[0-9A-Fa-f]{2})").sub
_colour = re.compile(r"(?:\x1b|\\x1b|\\u001b)\[[0-9;]{0,20}m").sub
_WIDE = ("\u201c", '"'), ("\u201d", '"'), ("\uff1a", ":"), ("\uff1d", "="), ("\u200b", " ")


def with_usual_signs(text: str) -> str:
    """Return a text of the same length with these signs as they are usual.

    A quote gets backslashes before it, as many as its spelling was longer; other signs get blanks,
    on the side where a name or value may have some. Colours of terminals and tabs become blanks.
    """
    if "\t" in text:
        text = text.replace("\t", " ")
    if "&" in text and ";" in text:
        for entity, usual in _ENTITIES if "&#" in text else _NAMED:
            text = text.replace(entity, usual)
    if not text.isascii():
        for mark, usual in _WIDE:
            text = text.replace(mark, usual)
    if "\x1b" in text or ("\\" in text and "\\x1b[" in text):
        text = _colour(lambda found: " " * len(found[0]), text)
    if "%25" in text:
        for quote, usual in _TWICE:
            text = text.replace(quote, usual)
        text = _percent("  %", text)
    if "\\" in text and ("\\u00" in text or "\\x2" in text):
        return _escape(_usual, text)
    return text


def _usual(found: re.Match[str]) -> str:
    return _usual_of(found[0])


@lru_cache
def _usual_of(text: str) -> str:
    return _padded(chr(int(text[-2:], 16)), len(text))


def _padded(mark: str, size: int) -> str:
    if mark in "'\"":
        return mark.rjust(size, "\\")
    return mark.ljust(size) if mark in ">&" else mark.rjust(size)


_ENTITIES = [
    (f"&{name};", _padded(mark, len(name) + 2))
    for mark, names in {
        '"': "quot #34 #x22 #X22",
        "'": "apos #39 #x27 #X27",
        "<": "lt",
        ">": "gt",
        "=": "#61",
        "&": "amp",
    }.items()
    for name in names.split()
]
_NAMED = [(entity, usual) for entity, usual in _ENTITIES if entity[1] != "#"]
_TWICE = [("%2522", _padded('"', 5)), ("%2527", _padded("'", 5))]
