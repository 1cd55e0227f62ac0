"""Secrets whose name stands beside them: `"name": "DB_PASSWORD", "value": "…"`.

Forms of browsers and XML have them in attributes, pydantic's errors on the line before.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.keys import NAMES, PARTS, words_of
from pantheon_obs.sinks.redact.patterns import Pattern
from pantheon_obs.sinks.redact.plain import described
from pantheon_obs.sinks.redact.rules import any_value, is_beside

if TYPE_CHECKING:
    from pantheon_obs.sinks.redact.innocent import Fields
    from pantheon_obs.sinks.redact.keys import RuleOf
    from pantheon_obs.sinks.redact.rules import Rule

_FIELDS = 32  # a mapping with a name and its value has few
_NEAR = 160
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


def rule_of_fields(fields: Fields, rule_of: RuleOf) -> Rule | None:
    """Find the rule for a value that one of the fields around it may name."""
    for key, value in islice(fields, _FIELDS):
        last = _last_word(key) if isinstance(key, str) else ""
        if last not in NAMES:
            continue
        name = value
        if last == "loc" and isinstance(value, (list, tuple)) and value:  # pydantic's
            name = value[-1]
        if isinstance(name, (str, bytes)) and (rule := _named(described(name), rule_of)):
            return rule
    return None


def rule_in_text(text: str, first: int, start: int, rule_of: RuleOf) -> Rule | None:
    """Find the rule for the value of a field in a text that another field beside it names.

    Args:
        text: The text.
        first: Where the name of the field begins.
        start: Where its value begins.
        rule_of: Finds the rule for the values of a key.
    """
    near = _parts(text[max(first - _NEAR, 0) : first])[-1]
    validated = _validated(near) if "[type=" in near else None
    if validated is not None:
        return _named(validated[1], rule_of)
    found: list[re.Match[str]] = []
    if any(map(near.lower().__contains__, PARTS)):
        found = [*_before(near)][::-1]
    behind = _behind(text, start)
    if behind is not None:
        found.append(behind)
    for each in found:
        rule = _named(each["name"], rule_of)
        last = _last_word(each["key"]) if rule else ""
        # `"type": "token"` marks a piece of a model's stream.
        if last in NAMES or (last == "type" and rule is any_value):
            return rule
    return None


@lru_cache(4096)
def _last_word(key: str) -> str:
    return words_of(key)[-1].lower()


def _named(name: str, rule_of: RuleOf) -> Rule | None:
    rule = rule_of(name)
    return None if rule is is_beside else rule
