"""Secrets in the arguments of commands, as `--password S` and `curl -u ada:S`, and in headers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.innocent import is_no_word, is_placeholder, is_secret
from pantheon_obs.sinks.redact.patterns import Pattern
from pantheon_obs.sinks.redact.plain import described
from pantheon_obs.sinks.redact.providers import RANDOM
from pantheon_obs.sinks.redact.spans import REDACTED
from pantheon_obs.sinks.redact.values import (
    Place,
    is_header,
    string_end,
    value_span,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pantheon_obs.sinks.redact.keys import RuleOf
    from pantheon_obs.sinks.redact.spans import Span

_LINE = 200

# Between an option and its value: a quote that closes it in a list, the blanks, an opening quote.
_QUOTE = r"(?P<quote>\\*[\"'`]?)"
_APART = rf"(?:[\"'],)?[ \t]{{1,16}}+(?!-){_QUOTE}"
_USER = r"[^\s:\"'`|;&<>()]{0,200}+:"
# The commands that have a secret behind an option which says nothing by its name.
_OPTIONS = (
    (("sshpass", "docker login", "podman login", "mongo"), Pattern(rf"-p{_APART}")),
    (("redis-cli",), Pattern(rf"-a{_APART}")),
    (("ldap",), Pattern(rf"-w{_APART}")),
    (("mysql", "mariadb"), Pattern(rf"-p{_QUOTE}(?=[^\s\"'-])")),
    (
        ("curl", "wget"),
        Pattern(rf"-(?:[uU]|-(?:proxy-)?user)(?:=|{_APART[: -len(_QUOTE)]})?{_QUOTE}{_USER}"),
    ),
    (("http ", "https "), Pattern(rf"-a{_APART}{_USER}")),
)
_LETTERS = "pawuU-"  # of these options; `-` begins `--user`
_named = Pattern(rf"--?([A-Za-z][\w.-]{{0,64}}+){_APART}").match
_mark = re.compile(r"[\s\"'`|;&<>()]").sub  # none of these ends an item of a list
_bare = Pattern(r"[^\s\"'`|;&<>()]+").match
_number = Pattern(r"[\d:.]+").fullmatch
# Of any command; a group may follow the user instead: `docker run --user node:node`.
_user = Pattern(
    r"-(?:u|-(?:proxy-)?user)(?:[\"'],)?[= \t]{1,16}\\*[\"'`]?[\w.@+-]{1,64}+:"
    r"(?P<value>[^\s\"'`|;&<>()\\]{3,200}+)"
).match
_group = Pattern(r"[a-z_][a-z0-9_.-]*\$?|\d+").fullmatch
_header = Pattern(r"[A-Za-z][\w-]{1,40}").fullmatch
_random = Pattern(RANDOM).match
_no_header = Pattern(r"[a-z]+(?:_[a-z0-9]+)+|\W*").fullmatch  # a column, a masked value


def option_span(text: str, at: int, rule_of: RuleOf) -> Span | None:
    """Find the secret of an option inside a text."""
    named = _named(text, at)
    rule = rule_of(named[1]) if named else None
    if named and rule:
        place = Place(text, named.start("quote"), "-", named[1], rule, "", at, is_loose=True)
        return value_span(place)
    if text[at + 1] not in _LETTERS:
        return None
    # The command stands before its options, in the same line and pipe.
    line = text[max(at - _LINE, 0) : at].rpartition("\n")[2].rpartition("|")[2].rpartition(";")[2]
    for commands, option in _OPTIONS if line else ():
        if any(map(line.__contains__, commands)) and (found := option.match(text, at)):
            start, quote = found.end(), found["quote"]
            bare = None if quote else _bare(text, start)
            end = string_end(text, start, quote) if quote else bare.end() if bare else start
            value = text[start:end]
            if not is_placeholder(value) and not _number(value):
                return start, end, REDACTED
    found = _user(text, at)
    if found is None:
        return None
    value = found["value"]
    is_file = text[at + 1] == "u" and "/" in value  # `rsync -u host:a/b`
    is_of_user = not is_file and (_random(value) or not _group(value))
    return (*found.span("value"), REDACTED) if is_of_user and not is_placeholder(value) else None


def secret_items(items: Sequence[object], rule_of: RuleOf) -> dict[int, str]:
    """Find the secrets in arguments or a flat list of headers; return the replacement of each."""
    hidden = _secret_headers(items, rule_of) if len(items) % 2 == 0 else {}
    before = ""
    for at, item in enumerate(items):
        if type(item) is not str or len(item) > _LINE:
            continue
        if item[:1] == "-":
            after = items[at + 1] if at + 1 < len(items) else None
            value = after if type(after) is str and after[:1] != "-" else ""
            rule = rule_of(item.lstrip("-")) if value else None
            if rule is not None:
                if rule(value) and not is_placeholder(value):
                    hidden[at + 1] = REDACTED
            elif span := option_span(f"{before}{item} {_mark('_', value)}", len(before), rule_of):
                start = span[0] - len(before)
                behind = start - len(item) - 1
                if behind < 0:
                    hidden[at] = item[:start] + REDACTED
                else:
                    hidden[at + 1] = value[:behind] + REDACTED
        before += f"{item} "
    return hidden


def _secret_headers(items: Sequence[object], rule_of: RuleOf) -> dict[int, str]:
    """Find the secrets in `["Accept", "*/*", "Cookie", "…"]`; a list of columns may look so."""
    hidden: dict[int, str] = {}
    for at in range(0, len(items), 2):
        name, value = items[at], items[at + 1]
        key = described(name) if isinstance(name, (str, bytes)) else ""
        if not _header(key):
            return {}
        text = described(value) if isinstance(value, (str, bytes)) else ""
        is_known = is_header(key) or _random(text)  # `token` may be any word of a list
        if is_known and is_no_word(text) and not _no_header(text):
            rule = rule_of(key)
            if rule is not None and is_secret(key, value, rule):
                hidden[at + 1] = REDACTED
    return hidden
