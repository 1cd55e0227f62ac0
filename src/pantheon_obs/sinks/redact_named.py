"""Secrets with a name inside a text: `token=…`, `"token": "…"`, `X-API-Key: …`, `--token …`.

The name is judged as the key of a mapping is. A value is left as it is where it is none: a
placeholder, a masked value, a number of tokens, an expression in source code, a word of prose.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.sinks.redact_keys import Rule

    RuleOf = Callable[[str], Rule | None]
    Span = tuple[int, int, str]

REDACTED = "[redacted]"
SIGNS = "=:,>%-"
"""The characters between a name and its value; a dash begins the name of an option."""

_LONGEST_NAME = 100
_LONGEST_PLACEHOLDER = 100
_SHORT = 6

# Before a sign, read backwards: the quote or bracket, the name, perhaps a word before it.
_name_before = re.compile(
    r"[ \t]{0,16}(?P<close>\]?[\"'`]\\*|\]|[dD]5%|22%)?(?P<name>[\w.-]+(?: [\w-]+)?)"
).match
_value_after = re.compile(
    r"[ \t]*+(?:[bBuUrRfF]{1,2}(?=\\*[\"'`]))?(?:(?P<quote>\\*[\"'`])|(?P<open>[\[{(])"
    r"|(?P<bare>(?:(?!%2[26]|\\[\"'nrt])[^\s&\"'`<>,;)\]}|])+))"
).match
_option = re.compile(r"([A-Za-z][\w-]*)(?:[\"'],)?[ \t]+(?![ \t-])").match
_bracket = re.compile(r"\\*[\"'`]|[\[\](){}]").search
_no_secret = re.compile(
    r"(?i:[^a-z0-9]*|none|null|nil|true|false|undefined|unset|nan"
    r"|(?:[a-z]+ )?[\[<({*]*(?:redacted|filtered|masked|hidden|removed|scrubbed|sanitized)[\]>)}*]*"
    r"|x{3,}|\w{0,8}(?:\*{3,}|\.{3,}|…|•{3,})\w{0,8})"
    r"|%[sr]|%\(\w+\)[sdr]|\$\d+|:[a-z_]+|\$[A-Z_]+|\$?\{{1,2}\s*[\w.!:]+\s*\}{0,2}"
    r"|<[A-Za-z _-]+>"
).fullmatch
_number = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?%?").fullmatch
_words = re.compile(r"(?:[A-Za-z]{1,19}[._/'-]?)+[!?:]?").fullmatch
_more_words = re.compile(r"[ \t]+[A-Za-z]").match
_made = re.compile(r"(?:[A-Za-z_]+\.)*+(?:[A-Z]\w*|bytearray|memoryview)\(").match
_expression = re.compile(r"[A-Za-z_][A-Za-z_.]{2,}[(\[].*|[a-z_]+(?:\.[A-Za-z_]+)+").fullmatch
_line = re.compile(r"(?:(?!\\[rn])[^\r\n])*").match
_line_in_quotes = re.compile(r"(?:(?!\\[rn])[^\r\n\"'`])*").match
_cookie = re.compile(r"[ \t]*+(?=[^\s=\"'\[{(])(?=[^=\r\n]{1,256}=)").match
_scheme = re.compile(r"[ \t]*+[A-Za-z][\w-]{1,30}[ \t]+(?=[^\s\"'`])").match
_parameter = re.compile(r"[\w-]+=(?=[^=\s,])").match


class _Place(NamedTuple):
    """A name in a text, and where its value begins.

    Attributes:
        start: Where the value begins, or the blanks before it.
        quote: The quote behind the name, if it stands in quotes.
        before: The character before the name.
        is_loose: Whether a word may follow in prose: "password: must be longer".
    """

    text: str
    start: int
    sign: str
    name: str
    rule: Rule
    quote: str
    before: str
    is_loose: bool


def named_secret(text: str, at: int, rule_of: RuleOf) -> Span | None:
    """Find the value of the name that stands before a sign, if both are a secret's."""
    place = _option_at(text, at, rule_of) if text[at] == "-" else _name_at(text, at, rule_of)
    if place is None:
        return None
    if place.sign == ">":
        return _in_tag(place)
    if place.sign in "=:" and place.name.lower().endswith(_HEADERS):
        return _of_authorization(place) or _of_cookies(place) or _value(place)
    return _value(place)


def _option_at(text: str, at: int, rule_of: RuleOf) -> _Place | None:
    found = _option(text, at + 1)
    rule = rule_of(found[1]) if found is not None else None
    if found is None or rule is None:
        return None
    return _Place(text, found.end(), "-", found[1], rule, "", "-", is_loose=True)


def _name_at(text: str, at: int, rule_of: RuleOf) -> _Place | None:
    sign, start = text[at], at + 1
    if sign == "%":
        start = at + 3
        while text.startswith(("%22", "%20"), start):
            start += 3
    elif sign == ">" and text.endswith("=", 0, at):
        sign, at = ":", at - 1
    elif text.startswith(_NO_VALUE.get(sign, "\0"), start):
        return None
    found = _name_before(text[max(at - _LONGEST_NAME, 0) : at][::-1])
    if found is None:
        return None
    name, close = found["name"][::-1], (found["close"] or "")[::-1].rstrip("]")
    if close[:1] == "%":
        close = ""
    if sign == "=" and not close:
        name = name.rpartition(" ")[2]
    rule = rule_of(name)
    if rule is None:
        return None
    first = at - found.end() - len(close)
    before = text[first - 1 : first] if first > 0 else ""
    if sign == "," and before not in ("(", "["):
        return None
    return _Place(
        text,
        start,
        sign,
        name,
        rule,
        close,
        before,
        is_loose=sign == "," or (sign == ":" and not close),
    )


_HEADERS = ("cookie", "cookies", "authorization")
_NO_VALUE = {"=": "=", ":": "//"}  # a comparison, a URL


def _value(place: _Place) -> Span | None:
    found = _value_after(place.text, place.start)
    if found is None:
        return None
    if found["quote"] is not None:
        return _quoted(place, found.end(), found["quote"])
    if found["open"] is not None:
        return _container(place, found.start("open"))
    return _bare(place, *found.span("bare"))


def _quoted(place: _Place, start: int, quote: str) -> Span | None:
    end = _string_end(place.text, start, quote)
    value = place.text[start:end]
    if _is_placeholder(value) or not place.rule(value):
        return None
    # A word in quotes may be one of prose ("unexpected token: 'x'"), or of a list of names.
    in_prose = place.is_loose and (place.sign == "," or " " in place.name)
    if in_prose and _words(value[:_LONGEST_PLACEHOLDER]):
        return None
    if place.sign == "," and place.text[end + len(quote) : end + len(quote) + 1] not in (")", "]"):
        return None
    return start, end, REDACTED


def _container(place: _Place, start: int) -> Span | None:
    """Find a list, mapping or call, whose contents are all secret."""
    text = place.text
    if place.sign == "," or not place.rule([]):
        return None
    end = _bracket_end(text, start)
    value = text[start:end]
    if _is_placeholder(value) or (place.is_loose and not any(mark in value for mark in "\"'")):
        return None
    return start, end, f"{place.quote}{REDACTED}{place.quote}"


def _bare(place: _Place, start: int, end: int) -> Span | None:
    """Find a value without quotes; it ends where most texts go on."""
    text, value = place.text, place.text[start:end]
    if _is_placeholder(value) or not place.rule(0 if _number(value) else value):
        return None
    if place.is_loose and (
        _words(value) or (len(value) < _SHORT and _more_words(text, end) is not None)
    ):
        return None
    made = _made(value)
    if made is not None:  # the repr of an object: SecretStr('…')
        start, end = start + made.end(), _bracket_end(text, start + made.end() - 1) - 1
        inside = text[start:end]
        if _is_placeholder(inside.strip("\"'")) or not any(mark in inside for mark in "\"'"):
            return None
        return start, end, REDACTED
    if value.lower() == place.name.lower() or _expression(value):  # source code
        return None
    return start, end, f"{place.quote}{REDACTED}{place.quote}" if place.sign == ":" else REDACTED


def _in_tag(place: _Place) -> Span | None:
    end = place.text.find("<", place.start)
    value = place.text[place.start : end]
    if place.before != "<" or end < 0 or not place.text.startswith("</", end):
        return None
    if _is_placeholder(value) or not place.rule(0 if _number(value) else value):
        return None
    return place.start, end, REDACTED


def _of_cookies(place: _Place) -> Span | None:
    """Find all cookies of a line."""
    found = _cookie(place.text, place.start)
    return None if found is None else (found.end(), _end_of_line(place, found.end()), REDACTED)


def _of_authorization(place: _Place) -> Span | None:
    """Find the credential behind a scheme, with all of its parameters."""
    scheme = _scheme(place.text, place.start)
    found = None if scheme is None else _value_after(place.text, scheme.end())
    if found is None or found["bare"] is None:
        return None
    start, end = found.span("bare")
    if _words(found["bare"]) or _is_placeholder(found["bare"]):
        return None
    if _parameter(place.text, start):
        end = _end_of_line(place, start)
    return start, end, REDACTED


def _end_of_line(place: _Place, start: int) -> int:
    line = _line_in_quotes if place.before in ("'", '"', "`") else _line
    found = line(place.text, start)
    return found.end() if found is not None else start


def _is_placeholder(value: str) -> bool:
    return len(value) <= _LONGEST_PLACEHOLDER and _no_secret(value) is not None


def _string_end(text: str, start: int, quote: str) -> int:
    """Find the quote that ends a string; a string that is cut ends with the text."""
    end = text.find(quote, start)
    while end >= 0 and _is_escaped(text, end, quote):
        end = text.find(quote, end + 1)
    return end if end >= 0 else len(text)


def _is_escaped(text: str, at: int, quote: str) -> bool:
    first = at
    while text.startswith("\\", first - 1) and first > 0:
        first -= 1
    return (at - first) % 2 == 1 if len(quote) == 1 else at > first


def _bracket_end(text: str, start: int) -> int:
    """Find the end of the brackets that open here; brackets in strings do not count."""
    depth, at = 0, start
    while (found := _bracket(text, at)) is not None:
        mark, at = found[0], found.end()
        if mark in "[({":
            depth += 1
        elif mark not in "])}":
            at = _string_end(text, at, mark) + len(mark)
        elif depth == 1:
            return at
        else:
            depth -= 1
    return len(text)
