"""Secrets in statements of SQL, by the names of their columns, and in what databases say of them.

The values stand in the order of the columns: in the statement, or in the parameters that SQLAlchemy
shows behind it.
"""

from __future__ import annotations

import re
from itertools import cycle, islice
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact_keys import is_beside
from pantheon_obs.sinks.redact_values import REDACTED, is_placeholder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.sinks.redact_values import RuleOf, Span

_MOST = 8192  # values; each takes its time
_STATEMENTS = 64
_LONG = 8192
_NAME = 80

_insert = re.compile(
    r"[Ii](?i:nto)\s{1,8}[\w.\"`\[\]]{1,200}\s{0,8}"
    r"\((?P<columns>[\w\s,\"`\[\]]{1,8000}+)\)\s{0,8}(?i:values?)\s{0,8}(?=\()"
).finditer
_compared = re.compile(
    r"(?<!\w)(\w++)[\"`\]]?\s{0,4}(?:[=<>!]{1,2}|(?i:i?like))\s{0,4}(?:\?|%s|\$\d+)"
).findall
_parameters = re.compile(r"\[parameters: \[?(?=\()").finditer
_name = re.compile(r"\w+").findall
# A string, in which two quotes stand for one; another value; a bracket or comma.
_value = re.compile(
    r"\s*+(?:(?P<quote>['\"])(?P<text>(?:(?!(?P=quote))[^\\]|\\.|(?P=quote){2})*+)(?P=quote)"
    r"|(?P<bare>[^\s'\"(),\[\]]++)|(?P<mark>[(),]))"
).match
# PostgreSQL's and MySQL's, of a value that is there already.
_key = re.compile(r"Key \((?P<names>[\w, \"]{1,200})\)=\((?P<values>[^)\n]+)\)").finditer
_entry = re.compile(
    r"Duplicate entry '(?P<value>[^'\n]+)' for key '(?:\w+\.)?(?P<name>\w+)'"
).finditer
_within = re.compile(
    r"[IiLl](?i:(?<=\sl)ike|(?<=\si)(?:like|n))\s{1,4}\(?'(?P<value>[^']++)'"
).finditer
_name_before = re.compile(r"\s{1,4}(?i:ton\s{1,4})?[\"`\]]?(\w+)").match  # read backwards


def statement_spans(text: str, small: str, rule_of: RuleOf) -> Iterator[Span]:
    """Find the secrets in statements, and in errors of databases; `small` is the text in small."""
    done = 0
    for found in _insert(text) if "into " in small else ():
        if found.end() >= done:
            rows = _Rows(text, found.end())
            yield from rows.spans(_name(found["columns"]), rule_of)
            done = rows.at
    for found in islice(_parameters(text) if "[parameters: " in text else (), _STATEMENTS):
        start = text.rfind("[SQL: ", max(found.start() - _LONG, 0), found.start())
        sql = text[max(start, 0) : found.start()]
        inserted = next(_insert(sql), None)
        columns = _name(inserted["columns"]) if inserted else _compared(sql)
        yield from _Rows(text, found.end()).spans(columns, rule_of)
    for found in _entry(text) if "duplicate entry " in small else ():
        if _is_secret(found["name"], found["value"], rule_of):
            yield *found.span("value"), REDACTED
    for found in _within(text) if " like " in small or " in (" in small else ():
        before = _name_before(text[max(found.start() - _NAME, 0) : found.start()][::-1])
        if before is not None and _is_secret(before[1][::-1], found["value"], rule_of):
            yield *found.span("value"), REDACTED
    for found in _key(text) if " already exists" in text else ():
        yield from _spans_of_key(found, rule_of)


def _spans_of_key(found: re.Match[str], rule_of: RuleOf) -> Iterator[Span]:
    start = found.start("values")
    names, values = found["names"].split(", "), found["values"].split(", ")
    for name, value in zip(names, values, strict=False):
        if _is_secret(name, value, rule_of):
            yield start, start + len(value), REDACTED
        start += len(value) + 2


class _Rows:
    """Rows of values, in brackets, from a place in a text on; `at` is where they end."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self.at = at

    def spans(self, columns: list[str], rule_of: RuleOf) -> Iterator[Span]:
        """Find the secrets, by the names of the columns in their order."""
        if not any(map(rule_of, columns[:_MOST])):
            return
        names = cycle(columns)
        depth = 0
        for _ in range(_MOST):
            found = _value(self._text, self.at)
            mark = found and found["mark"]
            if found is None or (depth == 0 and mark is None):  # the statement goes on
                return
            self.at = found.end()
            depth += (mark == "(") - (mark == ")")
            if mark == "(" and depth == 1:
                names = cycle(columns)
            elif mark is None and depth == 1:
                name, value = next(names), found["text"]
                if value is not None and _is_secret(name, value, rule_of):
                    yield *found.span("text"), REDACTED
        yield self.at, len(self._text), REDACTED
        self.at = len(self._text)


def _is_secret(name: str, value: str, rule_of: RuleOf) -> bool:
    rule = rule_of(name.strip('"'))
    return rule not in (None, is_beside) and not is_placeholder(value) and rule(value)
