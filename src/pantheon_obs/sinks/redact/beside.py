"""Secrets in a text whose name stands beside them: `"name": "DB_PASSWORD", "value": "…"`.

Forms of browsers and XML have them in attributes, multipart forms in a header, pydantic's errors on
the line before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.keys import NAMES, PRIVATE, words_of
from pantheon_obs.sinks.redact.long import value_spans
from pantheon_obs.sinks.redact.patterns import Pattern
from pantheon_obs.sinks.redact.providers import RANDOM
from pantheon_obs.sinks.redact.rules import any_value, is_beside
from pantheon_obs.sinks.redact.sql import (
    is_quoted_or_no_word,
    password_spans,
    secret_by,
    statement_spans,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.sinks.redact.rules import Rule
    from pantheon_obs.sinks.redact.values import RuleOf, Span

_NEAR = 160
_LINE = 1000
_FAR = 4096
_quote = r"\\*[\"'`]"
# A field whose value is a name: `name="DB_PASSWORD"`, `'loc': ('body', 'password')`.
_FIELD = (
    rf"(?<!\w)(?P<key>\w++)(?:{_quote})?[ \t]?(?:=>|[:=])[ \t]?"
    rf"(?:[\[(]?(?:b?{_quote}body{_quote}, )?b?{_quote})?(?P<name>[\w.-]{{3,64}}+)"
)
_before = Pattern(_FIELD).finditer
_behind = Pattern(
    rf"[ \t]?b?(?P<quote>{_quote})[^\"'`]{{0,{_NEAR}}}+(?P=quote)[ ,]{{1,3}}(?:{_quote})?{_FIELD}"
).match
_validated = Pattern(r"(?:\A|\n)([\w.]{1,64})\n[^\n]*\[type=\w+, \Z").search
_parts = re.compile("[{}<>]").split
# Each name of a secret has one of these: to look for them takes much less time.
_HINTS = (
    "pass", "pw", "psk", "cv", "bearer", "secret", "token", "key", "auth", "cred", "cooki", "jwt",
    "srf", "sess", "sid", "sig", "clearance", "assertion", "otp", "code", "saml", "conn", "card",
)  # fmt: skip

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
    + rf")(?:[:*|(<>/\s-]|\\t){{1,4}}(?:(?:is|was) )?(?:{_quote})?(?=[\w+/=.~-]{{16}})"
    rf"{RANDOM}(?P<value>[\w+/=.~-]+)"
).finditer

_line = r"(?:\r?\n|(?:\\r)?\\n)"
_multipart = Pattern(
    rf"form-data; ?name=\\*\"(?P<name>[^\"\\\r\n]{{1,64}})\\*\""
    rf"(?:{_line}[\w-]{{1,64}}: [^\r\n\\]{{0,99}}){{0,4}}{_line}{{2}}(?P<value>[^\r\n\\]+)"
).finditer
_members_of = "|".join(sorted(PRIVATE))
_jwk = Pattern(
    rf"(?P<quote>{_quote})(?:{_members_of})(?P=quote) ?: ?(?P=quote)(?P<value>[\w-]{{16,}}+)"
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


def rule_beside(text: str, first: int, start: int, rule_of: RuleOf) -> Rule | None:
    """Find the rule for the value of a field that says nothing of it: another one names it.

    Args:
        text: The text.
        first: Where the name of the field begins.
        start: Where its value begins.
        rule_of: Finds the rule for the values of a key.
    """
    near = _parts(text[max(first - _NEAR, 0) : first])[-1]
    found: list[re.Match[str]] = []
    if any(map(near.lower().__contains__, _HINTS)):
        validated = _validated(near) if "[type=" in near else None
        if validated is not None:
            return rule_of(validated[1])
        found = [*_before(near)][::-1]
    behind = _behind(text, start)
    if behind is not None:
        found.append(behind)
    for each in found:
        rule, last = rule_of(each["name"]), words_of(each["key"])[-1].lower()
        # `"type": "token"` tells of a piece of a model's stream.
        may_name = last in NAMES or (last == "type" and rule is any_value)
        if may_name and rule is not is_beside and rule is not None:
            return rule
    return None


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
    """Find what may be a private member of a JSON web key, near the types of keys."""
    at = end = 0
    while (at := text.find("kty", at)) >= 0:
        start, end = max(at - _FAR, end), at + 2 * _FAR
        for found in _jwk.finditer(text, start, end):
            whole = _jwk.match(text, found.start()) if found.end() == end else None
            yield whole or found
        at += _FAR  # what is near the types up to there was in this part


def seldom_spans(text: str, rule_of: RuleOf, most: int) -> Iterator[Span]:
    """Find the secrets of prose, files, forms and SQL, of which most texts have no sign."""
    small = text.lower()
    # To look for these words takes much less time than a pattern.
    if "'" in text or ")=(" in text:
        yield from statement_spans(text, small, rule_of, most)
    if (
        "token" in small
        or "pass" in small
        or "secret" in small
        or "AUTH" in text
        or ("key" in small and ("api" in small or "ess" in small or "loy" in small))
    ):
        yield from value_spans(_in_prose(text), text, most)
    if "form-data" in text:
        yield from value_spans(_multipart(text), text, most, secret_by(rule_of))
    if "dentified " in small or "set password " in small:
        yield from password_spans(text, small, most)
    if "pw " in small:
        yield from value_spans(_configured(text), text, most, is_quoted_or_no_word)
    if "digest " in small and "response=" in text:
        yield from value_spans(_response(text), text, most, _is_of_digest)
    if "kty" in text:
        yield from value_spans(_members(text), text, most, _is_of_key)
    if "login" in text:
        yield from value_spans(_netrc(text), text, most)
