"""Secrets in statements of SQL and errors of databases, by the names of the columns.

The values stand in the order of the columns: in a statement, in the parameters that SQLAlchemy
shows behind it, and in PostgreSQL's error of a row that is there already.
"""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.innocent import is_words
from pantheon_obs.sinks.redact.patterns import Pattern
from pantheon_obs.sinks.redact.spans import CUT, REDACTED, first_values
from pantheon_obs.sinks.redact.values import is_secret_of

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from pantheon_obs.sinks.redact.keys import RuleOf
    from pantheon_obs.sinks.redact.spans import Span

_STATEMENTS = 64
_LONG = 8192
_NAME = 80

_insert = Pattern(
    r"[Ii](?i:nto)\s{1,8}[\w.\"`\[\]]{1,200}\s{0,8}"
    r"\((?P<columns>[\w\s,\"`\[\]]{1,8000}+)\)\s{0,8}(?i:values?)\s{0,8}(?=\()"
).finditer
_compared = Pattern(
    r"(?<!\w)(\w++)[\"`\]]?\s{0,4}(?:[=<>!]{1,2}|(?i:i?like))\s{0,4}(?:\?|%s|\$\d+)"
).finditer
_parameters = Pattern(r"\[parameters: \[?(?=\()").finditer
_name = Pattern(r"\w+").finditer
# A string, in which two quotes stand for one; another value; a bracket or comma.
_value = Pattern(
    r"\s*+(?:(?P<quote>['\"])(?P<text>(?:(?!(?P=quote))[^\\]|\\.|(?P=quote){2})*+)(?P=quote)"
    r"|(?P<bare>[^\s'\"(),\[\]]++)|(?P<mark>[(),]))"
).match
_key = Pattern(r"Key \((?P<names>[\w, \"]{1,200})\)=\((?P<values>[^)\n]+)\)").finditer

# Passwords that are given to users, by words of their statements; values that a column is compared
# with; MySQL's error of a row that is there already.
_GIVEN = {
    "dentified ": Pattern(
        r"[iI](?i:dentified(?: with \w{1,64})? by (?:password )?)"
        r"(?P<quote>['\"]?)(?P<value>[^\s'\"]{3,})"
    ).finditer,
    "set password ": Pattern(
        r"(?:[sS](?i:et password (?:for [^\s=]{1,99}(?:\s?=\s?| to )(?:password\()?|to ))"
        r"|SET PASSWORD (?!FOR |TO |=))(?P<quote>['\"]?)(?P<value>[^\s'\"]{3,})"
    ).finditer,
    " replace ": Pattern(r"['\"] (?i:replace) (?P<quote>['\"])(?P<value>[^'\"]{3,})").finditer,
}
_within = Pattern(
    r"[IiLl](?i:(?<=\sl)ike|(?<=\si)(?:like|n))\s{1,4}\(?'(?P<value>[^']++)'"
).finditer
_name_before = Pattern(r"\s{1,4}(?i:ton\s{1,4})?[\"`\]]?(\w+)").match  # read backwards
_entry = Pattern(r"Duplicate entry '(?P<value>[^'\n]+)' for key '(?:\w+\.)?(?P<name>\w+)'").finditer


def spans_of_sql(text: str, small: str, rule_of: RuleOf, most: int) -> Iterator[Span | None]:
    """Find the secrets in rows and comparisons; `small` is the text in small letters.

    A text with more statements and values than `most` is cut.
    """
    rows = _Rows(text, rule_of, most)
    for found in _insert(text) if "into " in small else ():
        if found.end() >= rows.at:
            yield from rows.spans(found.end(), [name[0] for name in _name(found["columns"])])
        if rows.is_cut:
            break
    if "[parameters: " in text:
        yield from _spans_of_parameters(text, rule_of, most)
    if "duplicate entry " in small:
        yield from first_values(_entry(text), text, most, partial(is_named, rule_of))
    if " like " in small or " in (" in small:
        yield from first_values(_within(text), text, most, partial(_is_of_column, rule_of))
    if " already exists" in text:
        yield from _spans_of_keys(text, rule_of, most)


def spans_of_given(text: str, small: str, most: int) -> Iterator[Span | None]:
    """Find the passwords that statements give to users; `small` is the text in small letters."""
    for word, find in _GIVEN.items():
        if word in small:
            yield from first_values(find(text), text, most, is_quoted_or_no_word)


def is_quoted_or_no_word(found: re.Match[str]) -> bool:
    """Whether a value is no word that follows in prose."""
    return bool(found["quote"]) or not is_words(found["value"])


def is_named(rule_of: RuleOf, found: re.Match[str]) -> bool:
    """Whether the value that was found is a secret by the name that was found with it."""
    return is_secret_of(found["name"], found["value"], rule_of)


def _is_of_column(rule_of: RuleOf, found: re.Match[str]) -> bool:
    before = _name_before(found.string[max(found.start() - _NAME, 0) : found.start()][::-1])
    return before is not None and is_secret_of(before[1][::-1], found["value"], rule_of)


def _spans_of_parameters(text: str, rule_of: RuleOf, most: int) -> Iterator[Span]:
    """Find the secrets in the parameters that SQLAlchemy shows behind a statement."""
    rows = _Rows(text, rule_of, most)
    for count, found in enumerate(_parameters(text)):
        if count == _STATEMENTS or rows.is_cut:
            yield found.start(), len(text), CUT
            break
        start = text.rfind("[SQL: ", max(found.start() - _LONG, 0), found.start())
        sql = text[max(start, 0) : found.start()]
        inserted = next(_insert(sql), None)
        columns = _name(inserted["columns"]) if inserted else _compared(sql)
        yield from rows.spans(found.end(), [name[name.lastindex or 0] for name in columns])


def _spans_of_keys(text: str, rule_of: RuleOf, most: int) -> Iterator[Span]:
    """Find the secrets in PostgreSQL's errors: `Key (name, email)=(…, …) already exists`."""
    for count, found in enumerate(_key(text)):
        if count == most:
            yield found.start(), len(text), CUT
            break
        start = found.start("values")
        names, values = found["names"].split(", "), found["values"].split(", ")
        for name, value in zip(names, values, strict=False):
            if is_secret_of(name.strip('"'), value, rule_of):
                yield start, start + len(value), REDACTED
            start += len(value) + 2


class _Rows:
    """The rows of values, in brackets, of the statements in a text.

    Attributes:
        at: Where the last rows end.
        is_cut: Whether they are so many that the text is cut there.
    """

    def __init__(self, text: str, rule_of: RuleOf, most: int) -> None:
        self._text = text
        self._rule_of = rule_of
        self._left = most
        self.at = 0
        self.is_cut = False

    def spans(self, at: int, columns: list[str]) -> Iterator[Span]:
        """Find the secrets from a place on, by the names of the columns in their order."""
        self.at = at
        self._left -= 1
        if any(map(self._rule_of, columns)):
            yield from self._spans(columns)
        if self._left <= 0:
            self.is_cut = True
            yield self.at, len(self._text), CUT

    def _spans(self, columns: list[str]) -> Iterator[Span]:
        names = cycle(columns)
        depth = 0
        while self._left > 0:
            found = _value(self._text, self.at)
            mark = found and found["mark"]
            if found is None or (depth == 0 and mark is None):  # the statement goes on
                return
            self.at = found.end()
            depth += (mark == "(") - (mark == ")")
            if mark == "(" and depth == 1:
                names = cycle(columns)
            elif mark is None:
                self._left -= 1
                name, value = next(names) if depth == 1 else "", found["text"]
                if value is not None and is_secret_of(name, value, self._rule_of):
                    yield *found.span("text"), REDACTED
