"""Secrets with a name inside a text: `token=…`, `"token": "…"`, `X-API-Key: …`, `--token …`.

The name is judged as the key of a mapping is. A value is left as it is where it is none: a
placeholder, a masked value, a number of tokens, an expression in source code, a word of prose.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.beside import rule_in_text
from pantheon_obs.sinks.redact.commands import option_span
from pantheon_obs.sinks.redact.innocent import LONGEST, is_placeholder, is_words
from pantheon_obs.sinks.redact.patterns import Pattern
from pantheon_obs.sinks.redact.rules import is_beside
from pantheon_obs.sinks.redact.spans import REDACTED
from pantheon_obs.sinks.redact.values import (
    Place,
    is_header,
    may_be_secret,
    opens_pair,
    string_end,
    value_after,
    value_span,
)

if TYPE_CHECKING:
    from pantheon_obs.sinks.redact.keys import RuleOf
    from pantheon_obs.sinks.redact.spans import Span

_LONGEST_NAME = 100
_LONGEST_START = 256
_FAR = 4096
_FARTHEST = 65536

# Before a sign, read backwards: the quote or bracket, the name, perhaps a word before it.
_name_before = re.compile(
    r"[ \t]{0,16}(?:\]\d{0,4}+\[)?(?P<close>\]?[\"'`]\\*|\]|[dD]5%|22%)?"
    r"(?P<name>[\w.-]+(?: [\w-]+){0,2})"
).match
_in_two_words = Pattern(
    r"(?i)\b(?:access|api|auth|client|deploy|encryption|private|secret|session|signing) keys?\Z"
).search
_named_in_prose = Pattern(r"(?i)(?:pass(?:word|wd|phrase|code)|pwd|key)\Z").search
# Read backwards from the name: an element, perhaps with a prefix, or an attribute.
_closes = Pattern(r"(?::[\w-]{1,64}+)?/<").match
_opens = Pattern(r"(?::[\w-]{1,64}+)?<|[\"']\\*+=(?:eman|yek|di)").match
_line = Pattern(r"[^\\\r\n]*+(?:\\(?![rn])[^\\\r\n]*+)*+").match
_cookie = Pattern(r"[ \t]*+(?=[^\s=\"'\[{(])(?=[^=\r\n]{1,256}+=)").match
_cookies = Pattern(r"[^\s=\"'\[{(;]+=[^\s;]*(?:;[ ]?[^\s=;]+=[^\s;]*)*").match  # a field of logfmt
# A scheme is a word, or the name of a digest: `AWS4-HMAC-SHA256`.
_scheme = Pattern(
    r"[ \t]*+(?:[A-Za-z][A-Za-z_-]{1,30}|[A-Z][\w-]{1,20}SHA-?\d+):?[ \t]+(?=[^\s\"'`])"
).match
_parameter = Pattern(r"[\w-]+=(?=[^=\s,])").match


def named_secret(text: str, at: int, rule_of: RuleOf) -> Span | None:
    """Find the value of the name that stands before a sign, if both are a secret's.

    A dash begins the name of an option. A quote is a sign in SQL only: `PASSWORD '…'`.
    """
    if text[at] == "-":
        return option_span(text, at, rule_of)
    place = _name_at(text, at, rule_of)
    if place is None:
        return None
    if place.sign == ">":
        return _tag_span(place)
    header = place.name.lower() if place.sign in "=:" else ""
    if header.endswith(("cookie", "cookies")):
        return _cookie_span(place)
    return _credential_span(place) if header.endswith("authorization") else value_span(place)


def _name_at(text: str, at: int, rule_of: RuleOf) -> Place | None:
    sign = text[at]
    around = _around(text, at)
    if around is None:
        return None
    end, start = around
    found = _name_before(text[end - _LONGEST_NAME if end > _LONGEST_NAME else 0 : end][::-1])
    if found is None:
        return None
    first = end - found.end()
    close, name = found.groups("")
    quote = "" if close.endswith("%") else close[::-1].rstrip("]")
    name = name[::-1]
    before = text[first - 1 : first]
    if before == "%":  # as in `%22token%22`
        name = name[2:]
    elif before == "\\" and name[0] in "nrt":
        name = name[1:]
    name = name.removesuffix(" string")  # Go's `var token string = "…"`
    if " " in name and sign in "=>" and not quote:
        of_two = _in_two_words(name)
        begin = of_two.start() if of_two else name.rfind(" ") + 1
        first, name = first + begin, name[begin:]
    if not _is_apart(text, sign, first, name):
        return None
    rule = rule_of(name)
    if rule is is_beside:
        rule = rule_in_text(text, first, start, rule_of)
    if rule is None:
        return None
    if sign == ">" and end < at:
        sign = ":"  # =>
    is_loose = (
        sign == ","
        or (sign == ":" and not quote)
        or (sign == "'" and not name.isupper())
        or (sign == "=" and " " in name)  # `signing key = HMAC chain`
    )
    return Place(text, start, sign, name, rule, quote, first, is_loose)


def _around(text: str, at: int) -> tuple[int, int] | None:
    """Find where the name before a sign ends, and where the value behind it begins."""
    sign, start = text[at], at + 1
    if sign == "=":
        if not text.startswith("=", start):
            return at, start
        # A comparison may be one with a secret in quotes.
        return (at, start + 1) if text[start + 1 : start + 3].lstrip()[:1] in "'\"" else None
    if sign == "'":
        return at - text.startswith("(", at - 1), at
    if sign == "%":
        start = at + 3
        while text.startswith(("%22", "%20"), start):
            start += 3
    elif sign == ">" and text.endswith("=", 0, at):
        at -= 1
    elif sign == ":" and text.startswith("=", start):
        start += 1
    elif sign == ":" and text.startswith("//", start):  # a URL
        return None
    return at, start


def _is_apart(text: str, sign: str, first: int, name: str) -> bool:
    """Whether a name may be one that has its value behind a comma, or as SQL has it.

    `PASSWORD 'S'` is SQL. In prose a quoted word may be any word: `unexpected token 'x'`.
    """
    if sign == ",":
        return opens_pair(text, first) or is_header(name)
    return sign != "'" or name.isupper() or _named_in_prose(name) is not None


def _cookie_span(place: Place) -> Span | None:
    """Find all cookies of a header, or of a field of logfmt."""
    found = (_cookies if place.sign == "=" else _cookie)(place.text, place.start)
    if found is None:
        return value_span(place)
    if place.sign == "=":
        return *found.span(), REDACTED
    return found.end(), _end_of_line(place, found.end()), REDACTED


def _credential_span(place: Place) -> Span | None:
    """Find the credential behind a scheme, which may have several parameters."""
    text = place.text
    scheme = _scheme(text, place.start)
    if scheme is None:
        return value_span(place)
    found = value_after(text, scheme.end())
    value = found and found["bare"]
    if found is None or value is None or is_placeholder(value):
        return None
    if is_words(value):
        return value_span(place)
    start, end = found.span("bare")
    if _parameter(text, start) is None:
        return start, end, REDACTED
    # `authorization=S left=2` has no scheme.
    return place.start if place.sign == "=" else start, _end_of_line(place, start), REDACTED


def _tag_span(place: Place) -> Span | None:
    """Find the text of an XML element, at its beginning or its end."""
    text, start, first = place.text, place.start, place.first
    before = text[max(first - LONGEST, 0) : first][::-1]
    if _closes(before):
        end = text.rfind("<", 0, first)
        start = text.rfind(">", max(end - _FAR, 0), end) + 1
        if start == end and text.endswith("]]>", 0, end):  # <![CDATA[…]]>
            end -= 3
            start = text.rfind("[", max(end - _FAR, 0), end) + 1
        if not start:
            return None
    else:
        end = text.find("<", start, start + _FARTHEST) if _opens(before) else -1
        if not text.startswith("</", end):
            return None
    if end - start <= LONGEST:
        value = text[start:end]
        start, end = end - len(value.lstrip()), start + len(value.rstrip())
    return (start, end, REDACTED) if may_be_secret(place, start, end, in_prose=False) else None


def _end_of_line(place: Place, start: int) -> int:
    """Find the end of a header: of its line, or of the string that it stands in."""
    text = place.text
    line = _line(text, start)
    end = line.end() if line is not None else start
    before = text[max(place.first - _LONGEST_START, 0) : place.first].rpartition("\n")[2]
    for mark in ("'", '"', "`"):
        if before.count(mark) % 2:
            escapes = before[: before.rfind(mark)]
            quote = "\\" * (len(escapes) - len(escapes.rstrip("\\"))) + mark
            end = min(end, string_end(text, start, quote))
    return end
