"""Secrets that only the format of the text shows: prose, files, forms, keys and SQL.

Most texts have none of these formats. To look for a word of each takes much less time than to
search for its pattern.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.keys import PRIVATE
from pantheon_obs.sinks.redact.patterns import Pattern
from pantheon_obs.sinks.redact.providers import RANDOM
from pantheon_obs.sinks.redact.spans import first_values
from pantheon_obs.sinks.redact.sql import (
    is_named,
    is_quoted_or_no_word,
    spans_of_given,
    spans_of_sql,
)

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from pantheon_obs.sinks.redact.keys import RuleOf
    from pantheon_obs.sinks.redact.spans import Span

_LINE = 1000
_FAR = 4096

# `token S`: with no sign between them, only a random value is one. The pattern begins with the
# rarest character of each word, as the engine passes over all others quickly.
_WAYS = {
    "Cc": "(?<=(?i:sec))(?i:rets?)|(?<=(?i:passc))(?i:ode)",
    "H": r"(?<=AUTH)(?: [A-Za-z]\w{0,30})?",
    "Kk": "(?<=(?i:tok))(?i:ens?)"
    "|(?:(?<=(?i:(?:api|ess|loy)[ _-]k))|(?<=(?i:(?:apik|essk))))(?i:eys?)",
    "Pp": "(?<=(?i:passp))(?i:hrase)|(?<=requirep)ass|(?<=P)ASS",
    "Ww": "(?<=(?i:passw))(?i:(?:or)?ds?)",
}
_in_prose = Pattern(
    "(?:"
    + "|".join(f"{one}(?:{ways})" for letters, ways in _WAYS.items() for one in letters)
    + r")(?:[:*|(<>/\s-]|\\t){1,4}(?:(?:is|was) )?(?:\\*[\"'`])?(?=[\w+/=.~-]{16})"
    rf"{RANDOM}(?P<value>[\w+/=.~-]+)"
).finditer

# The security code of a card.
_cvv = Pattern(
    r"(?i)\bcv[vc]2?(?: (?:code|number))?(?: is| was)?[ #:]{1,3}(?P<value>\d{3,4})(?!\.?\w)"
).finditer

_line = r"(?:\r?\n|(?:\\r)?\\n)"
_multipart = Pattern(
    rf"form-data; ?name=\\*\"(?P<name>[^\"\\\r\n]{{1,64}})\\*\""
    rf"(?:{_line}[\w-]{{1,64}}: [^\r\n\\]{{0,99}}){{0,4}}{_line}{{2}}(?P<value>[^\r\n\\]+)"
).finditer
_jwk = Pattern(
    rf"(?P<quote>\\*[\"'`])(?:{'|'.join(sorted(PRIVATE))})(?P=quote) ?: ?"
    r"(?P=quote)(?P<value>[\w-]{16,}+)"
)
# ~/.netrc: https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html
_netrc = Pattern(r"(?i)\blogin\s{1,8}[^\s]{1,64}\s{1,8}password\s{1,8}(?P<value>[^\s]+)").finditer
# OpenLDAP's and Kickstart's: a line is a name and its value.
_configured = Pattern(
    r"[ \t](?<=(?i:bind|root)(?i:pw).)[ \t]{0,16}(?:--plaintext[ \t]{1,16})?(?!--)"
    r"(?P<quote>\"?)(?P<value>[^\s\\\"]{3,})"
).finditer
# The credentials of RFC 7616 without the name of their header.
_response = Pattern(r"response=\\*[\"']?(?P<value>[\w-]{16,}+)").finditer
_digest = Pattern(r"(?i)\bdigest (?=\w+=)").search


def spans_of_formats(text: str, rule_of: RuleOf, most: int) -> Iterator[Span | None]:
    """Find the secrets of these formats; a text with more values than `most` is cut."""
    small = text.lower()
    if "'" in text or ")=(" in text:
        yield from spans_of_sql(text, small, rule_of, most)
    if (
        "token" in small
        or "pass" in small
        or "secret" in small
        or "AUTH" in text
        or ("key" in small and ("api" in small or "ess" in small or "loy" in small))
    ):
        yield from first_values(_in_prose(text), text, most)
    if "cvv" in small or "cvc" in small:
        yield from first_values(_cvv(text), text, most)
    if "form-data" in text:
        yield from first_values(_multipart(text), text, most, partial(is_named, rule_of))
    if "dentified " in small or "set password " in small:
        yield from spans_of_given(text, small, most)
    if "pw " in small:
        yield from first_values(_configured(text), text, most, is_quoted_or_no_word)
    if "digest " in small and "response=" in text:
        yield from first_values(_response(text), text, most, _is_of_digest)
    if "kty" in text:
        yield from first_values(_members(text), text, most, _is_of_key)
    if "login" in text:
        yield from first_values(_netrc(text), text, most)


def _is_of_digest(found: re.Match[str]) -> bool:
    line = found.string[max(found.start() - _LINE, 0) : found.start()].rpartition("\n")[2]
    return _digest(line) is not None


def _is_of_key(found: re.Match[str]) -> bool:
    """Whether a member stands in a JSON web key: in the same braces there is its type."""
    text, at = found.string, found.start()
    start = text.rfind("{", max(at - _FAR, 0), at)
    end = text.find("}", at, at + _FAR)
    return "kty" in text[max(start, 0) : end if end > 0 else at + _FAR]


def _members(text: str) -> Iterator[re.Match[str]]:
    """Find possible private members of a JSON web key, near the types of keys."""
    at = end = 0
    while (at := text.find("kty", at)) >= 0:
        start, end = max(at - _FAR, end), at + 2 * _FAR
        for found in _jwk.finditer(text, start, end):
            whole = _jwk.match(text, found.start()) if found.end() == end else None
            yield whole or found
        at += _FAR  # members near the types up to there were in this part
