"""The values of names inside a text: where they begin and end, and whether they are secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pantheon_obs.sinks.redact.innocent import (
    LONGEST,
    are_statements,
    is_path,
    is_piece_in,
    is_placeholder,
    is_statement,
    is_words,
)
from pantheon_obs.sinks.redact.patterns import Pattern
from pantheon_obs.sinks.redact.providers import RANDOM
from pantheon_obs.sinks.redact.rules import (
    has_login,
    is_beside,
    is_card,
    like_a_signature,
    whatever,
)
from pantheon_obs.sinks.redact.spans import REDACTED

if TYPE_CHECKING:
    from pantheon_obs.sinks.redact.keys import RuleOf
    from pantheon_obs.sinks.redact.rules import Rule
    from pantheon_obs.sinks.redact.spans import Span

_SHORT = 6
_QUOTES = ("'", '"', "`")
_HEADERS = frozenset({"authorization", "cookie"})  # the secret ones whose names are one word

value_after = re.compile(
    r"[ \t]*+(?:(?:![!\w]+|&\w+)[ \t]++)?"  # a tag and an anchor of YAML
    r"(?:(?:[|>][+-]?)?(?:\r?\n|(?:\\r)?\\n)"
    r"(?:[ \t]*+(?=[\"'])|[ \t]++(?:- )?(?![^\s\\]{1,99}:(?:[\s\\]|\Z))))?"
    r"(?:[bBeEfFnNrRuU]{1,2}(?=\\*[\"'`]))?"
    r"(?:(?P<quote>\\*(?:\"\"\"|'''|[\"'`]))|(?P<open>[\[{(])"
    r"|(?P<bare>(?:[^\s&\"'`<>,;)\]}|%\\]++|%(?!2[26])|\\(?![\"'nrt]))++))"
).match
_bracket = Pattern(
    r"(?:[^\\\"'`\[\](){}]++|\\++(?![\"'`])|\"[^\"\\]*+\"|'[^'\\]*+')*+(\\*+[\"'`]|[\[\](){}])"
).match
_mixed = re.compile(r"(?!oauth2)(?=[A-Za-z]{0,200}\d)(?=\d{0,200}[A-Za-z])[A-Za-z0-9]+").fullmatch
_number = Pattern(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?%?").fullmatch
_more_words = Pattern(r"[ \t]+[A-Za-z]").match
_closes_pair = Pattern(r" ?[)\]]").match
# The value of a header, in a list of names and values: random, or cookies.
_of_header = Pattern(rf"(?:[A-Za-z]{{1,20}} )?{RANDOM}|[\w.-]{{1,64}}=[^\s\"'=]").match
_annotated = Pattern(r"[ \t]*=[ \t]*(\\*[\"'`])").match
_made = Pattern(r"(?:[A-Za-z_]+\.)*+(?:[A-Z]\w*|bytearray|memoryview)\((?:\w+=)?[bBuU]?").fullmatch
_expression = Pattern(
    r"[A-Za-z_][A-Za-z_.]{2,}[(\[].*|[a-z_]+(?:\.[A-Za-z_]+)+|await|lambda|not"
).fullmatch
# Values that go on where most end: the groups of a card's digits, the parts of an address, Stripe's
# signatures.
_LONGER = {
    has_login: Pattern(r"(?:[^\s,;|:=/()\"']{1,64}+[,;|:]){2,8}[^\s\"'&)\]}]{1,400}+").match,
    is_card: Pattern(r"(?:\d[ -]?){13,19}(?<=\d)").match,
    like_a_signature: Pattern(r"[ \t]*+t=\d+(?:,v\d=[\w+/=-]+)+").match,
}
# The other items of lists, and the strings of a container.
_more_codes = Pattern(rf"(?:[,; ][ ]?{RANDOM}[A-Za-z0-9+/=_%.~#-]+)*").match
_items = Pattern(r"(?:(?:\r?\n|\\n)[ \t]*- [^\s:\\\"']+(?=[\s\\\"']|\Z))*").match
_strings = Pattern(r"[\"'](?P<value>[^\"'\\]{1,400})\\*[\"']").finditer
_number_of_card = Pattern(r"number\W{1,8}(?:\d[ -]?){13,19}(?!\d)").search


class Place(NamedTuple):
    """A name in a text, and where its value begins.

    Attributes:
        start: Where the value begins, or the blanks before it.
        quote: The quote behind the name, if it stands in quotes.
        first: Where the name begins.
        is_loose: Whether a word may follow in prose: "password: must be longer".
    """

    text: str
    start: int
    sign: str
    name: str
    rule: Rule
    quote: str
    first: int
    is_loose: bool


def value_span(place: Place) -> Span | None:
    """Find the value of a name, if it is a secret."""
    found = value_after(place.text, place.start)
    if found is None:
        return None
    if found["quote"] is not None:
        return _quoted(place, found.end(), found["quote"])
    if found["open"] is not None:
        return _container(place, found.start("open"))
    if place.sign == "," and not opens_pair(place.text, place.first):
        return None
    return _bare(place, *found.span("bare"))


def _quoted(place: Place, start: int, quote: str) -> Span | None:
    end = string_end(place.text, start, quote)
    # A word in quotes may be one of prose ("unexpected token: 'x'"), or of a list of names.
    in_prose = place.is_loose and (place.sign == "," or " " in place.name)
    is_apart = (
        place.sign != ","
        or _is_pair(place, end + len(quote))
        or (is_header(place.name) and _of_header(place.text, start) is not None)
    )
    is_secret = is_apart and may_be_secret(place, start, end, in_prose=in_prose)
    return (start, end, REDACTED) if is_secret else None


def _is_pair(place: Place, end: int) -> bool:
    """Whether a name and a value that ends there are alone in a list or tuple."""
    return opens_pair(place.text, place.first) and _closes_pair(place.text, end) is not None


def opens_pair(text: str, first: int) -> bool:
    """Whether a name is the first of a list or tuple."""
    before = text[max(first - 8, 0) : first]
    return before[-1:] in _QUOTES and before.rstrip("\"'`\\bBuU ").endswith(("(", "["))


def is_header(name: str) -> bool:
    """Whether a name is one of HTTP's; names of columns have no dashes."""
    letters = name.replace("-", "")
    return letters.isalpha() and (letters != name or name.lower() in _HEADERS)


def _container(place: Place, start: int) -> Span | None:
    """Find a list or mapping, whose contents are all secret."""
    text = place.text
    near = text[start : start + LONGEST]
    if place.is_loose and "'" not in near and '"' not in near:  # prose in brackets
        return None
    if not (place.rule([]) or _has_secret(near, place.rule)):
        return None
    end = _bracket_end(text, start)
    value = text[start:end]
    if (
        (place.sign == "," and not _is_pair(place, end))
        or is_placeholder(value)
        or (place.rule is not whatever and are_statements(value))
    ):
        return None
    return start, end, f"{place.quote}{REDACTED}{place.quote}"


def _has_secret(text: str, rule: Rule) -> bool:
    """Whether one of the strings up to the first closing bracket is a secret by its value."""
    inside = text.replace("}", "]").replace(")", "]").partition("]")[0]
    if rule is is_card and _number_of_card(inside):
        return True
    strings = [found["value"] for found in _strings(inside)]
    return any(map(rule, strings)) or (text[0] == "[" and rule(strings))


def _bare(place: Place, start: int, end: int) -> Span | None:
    """Find a value without quotes; it ends where most texts go on."""
    text = place.text
    if (longer := _LONGER.get(place.rule)) and (found := longer(text, start)):
        end = found.end()
    annotated = _annotated(text, end) if place.sign == ":" else None
    if annotated is not None:  # of a variable: `api_key: str = "…"`
        return _quoted(place, annotated.end(), annotated[1])
    value = text[start:end] if end - start <= LONGEST else ""
    if "(" in value and _made(value):  # the repr of an object: SecretStr('…')
        found = value_after(text, end)
        quote = found and found["quote"]
        return _quoted(place, found.end(), quote) if found and quote else None
    in_prose = place.is_loose or (place.sign == ":" and _more_words(text, end) is not None)
    if value:
        if place.is_loose and len(value) < _SHORT and _more_words(text, end):
            return None
        variable = place.name.rpartition(".")[2]
        if value.lower() == variable.lower() or _expression(value):  # source code
            return None
    if not may_be_secret(place, start, end, in_prose=in_prose):
        return None
    is_item = text.startswith("- ", start - 2)
    if is_item or place.name.endswith(("s", "S")):  # there may be several
        more = (_items if is_item else _more_codes)(text, end)
        end = more.end() if more else end
    return start, end, f"{place.quote}{REDACTED}{place.quote}" if place.sign == ":" else REDACTED


def may_be_secret(place: Place, start: int, end: int, *, in_prose: bool) -> bool:
    """Judge a value; one that is longer than all that are judged is taken for a secret."""
    if end - start > LONGEST:
        return place.rule is not has_login or has_login(place.text[start:end])
    value = place.text[start:end]
    if place.rule is is_card:  # digits, which nothing excuses
        return is_card(value)
    is_mixed = _mixed(value) is not None  # nothing that is excused, and many secrets
    if is_mixed:
        is_secret = place.rule(value)
    elif (in_prose and is_words(value)) or is_placeholder(value):
        return False
    else:
        is_secret = place.rule(0 if _number(value) else value)
    if place.rule is whatever or not is_secret:
        return is_secret
    is_excused = not is_mixed and (is_statement(value, place.rule) or is_path(place.name, value))
    return not is_excused and not is_piece_in(place.text, place.name, place.first, start, end)


def is_secret_of(name: str, value: str, rule_of: RuleOf) -> bool:
    """Whether a value is a secret by the name of its column or field."""
    rule = rule_of(name)
    return rule not in (None, is_beside) and not is_placeholder(value) and rule(value)


def string_end(text: str, start: int, quote: str) -> int:
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
    """Find the end of the brackets that open here; strings without escapes are one step."""
    depth, at = 0, start
    while (found := _bracket(text, at)) is not None:
        mark, at = found[1], found.end()
        if mark in "[({":
            depth += 1
        elif mark not in "])}":
            at = string_end(text, at, mark) + len(mark)
        elif depth == 1:
            return at
        else:
            depth -= 1
    return len(text)
