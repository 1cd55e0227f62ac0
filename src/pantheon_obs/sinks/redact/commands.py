"""Secrets in the arguments of commands, as `--password S` and `curl -u ada:S`, and in headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.innocent import is_innocent
from pantheon_obs.sinks.redact.patterns import Pattern
from pantheon_obs.sinks.redact.plain import described
from pantheon_obs.sinks.redact.providers import RANDOM
from pantheon_obs.sinks.redact.values import (
    REDACTED,
    Place,
    is_header,
    is_no_word,
    is_placeholder,
    string_end,
    value_span,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pantheon_obs.sinks.redact.values import RuleOf, Span

_LINE = 200

# The commands of which an option that says nothing by its name takes a secret, a user and a secret,
# or has the secret in the same argument.
_SECRET = {
    "p": ("sshpass", "docker login", "podman login", "mongo"),
    "a": ("redis-cli",),
    "w": ("ldap",),
}
_CURL = ("curl", "wget")
_USER = {"u": _CURL, "U": _CURL, "user": _CURL, "proxy-user": _CURL, "a": ("http ", "https ")}
_JOINED = {"p": ("mysql", "mariadb"), "u": _CURL}

# An option, a quote that closes it in a list, the blanks, the quote of its value.
_option = Pattern(
    r"--?([A-Za-z][\w.-]{0,64}+)(?:[\"'],)?[ \t]{1,16}+(?!-)(?P<quote>\\*[\"'`]?)"
).match
_joined = Pattern(r"-(?:([pu])|-(?:proxy-)?user=)(?P<quote>[\"']?)(?=[^\s\"'-])").match
_bare = Pattern(r"[^\s\"'`|;&<>()]+").match
_number = Pattern(r"[\d:.]+").fullmatch
# Of any command; a group may follow the user instead: `docker run --user node:node`.
_user = Pattern(
    r"--(?:proxy-)?user(?:[\"'],)?[= \t]{1,16}\\*[\"'`]?[\w.@+-]{1,64}+:"
    r"(?P<value>[^\s\"'`|;&<>()\\]{3,200}+)"
).match
_group = Pattern(r"[a-z_][a-z0-9_.-]*\$?|\d+").fullmatch
_header = Pattern(r"[A-Za-z][\w-]{1,40}").fullmatch
_random = Pattern(RANDOM).match
_no_header = Pattern(r"[a-z]+(?:_[a-z0-9]+)+|\W*").fullmatch  # a column, a masked value


def secret_items(items: Sequence[object], rule_of: RuleOf) -> dict[int, str]:
    """Find the secrets in arguments or a flat list of headers; return what stands for each."""
    hidden = _secret_headers(items, rule_of) if len(items) % 2 == 0 else {}
    for at, item in enumerate(items):
        if type(item) is not str or item[:1] != "-" or len(item) > _LINE:
            continue
        earlier = (each for each in items[:at] if type(each) is str and len(each) < _LINE)
        before = "".join(f"{each} " for each in earlier)
        start = _start_joined(item, before) or _start_behind_user(item)
        if start is not None:
            hidden[at] = item[:start] + REDACTED
        after = items[at + 1] if at + 1 < len(items) else None
        if type(after) is str and after[:1] != "-" and not is_placeholder(after):
            name = item.lstrip("-")
            rule = rule_of(name) if name else None
            start = 0 if rule is not None and rule(after) else _start(name, after, before)
            if start is None and (behind := _start_behind_user(f"{item} {after}")):
                start = behind - len(item) - 1
            if start is not None:
                hidden[at + 1] = after[:start] + REDACTED
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
            if rule is not None and rule(value) and not is_innocent(key, value, rule, ()):
                hidden[at + 1] = REDACTED
    return hidden


def option_span(text: str, at: int, rule_of: RuleOf) -> Span | None:
    """Find the secret of an option inside a text."""
    before = text[max(at - _LINE, 0) : at]
    found = _option(text, at)
    if found is not None:
        rule = rule_of(found[1])
        if rule is not None:
            place = Place(text, found.start("quote"), "-", found[1], rule, "", at, is_loose=True)
            return value_span(place)
        # The value is read only behind these commands: its end may be far away.
        if _is_of(before, _USER.get(found[1])) or _is_of(before, _SECRET.get(found[1])):
            end = _end(text, found.end(), found["quote"])
            start = _start(found[1], text[found.end() : end], before)
            if start is not None:
                return found.end() + start, end, REDACTED
    found = _joined(text, at)
    if found is not None and _is_of(before, _JOINED[found[1] or "u"]):
        end = _end(text, found.end(), found["quote"])
        start = _start_joined(text[at:end], before, len(found[0]))
        return None if start is None else (at + start, end, REDACTED)
    found = _user(text, at)
    is_secret = found is not None and _is_no_group(found["value"])
    return (*found.span("value"), REDACTED) if found and is_secret else None


def _end(text: str, start: int, quote: str) -> int:
    if quote:
        return string_end(text, start, quote)
    found = _bare(text, start)
    return found.end() if found is not None else start


def _start(name: str, value: str, before: str) -> int | None:
    """Find where the secret begins in the value of an option that is not named after one."""
    if _is_of(before, _USER.get(name)):
        _, sign, secret = value.partition(":")
        return len(value) - len(secret) if sign and not is_placeholder(secret) else None
    is_secret = _is_of(before, _SECRET.get(name)) and not _number(value)
    return 0 if is_secret and not is_placeholder(value) else None


def _start_joined(argument: str, before: str, start: int = 2) -> int | None:
    """Find where the secret begins in an argument such as `-pS` or `--user=ada:S`."""
    name = "u" if argument.startswith(("--user=", "--proxy-user=")) else argument[1:2]
    if is_placeholder(argument[start:]) or not _is_of(before, _JOINED.get(name)):
        return None
    return argument.find(":") + 1 or None if name == "u" else start


def _start_behind_user(argument: str) -> int | None:
    """Find where the secret begins behind the user of a command that is not known."""
    found = _user(argument)
    return found.start("value") if found is not None and _is_no_group(found["value"]) else None


def _is_no_group(value: str) -> bool:
    return (_random(value) or not _group(value)) and not is_placeholder(value)


def _is_of(before: str, commands: tuple[str, ...] | None) -> bool:
    """Whether one of these commands stands before an option, in the same line and pipe."""
    line = before.rpartition("\n")[2].rpartition("|")[2].rpartition(";")[2]
    return any(map(line.__contains__, commands or ()))
