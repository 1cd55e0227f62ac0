"""Values that stand under the name of a secret and say nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.keys import NAMES, words_of
from pantheon_obs.sinks.redact.patterns import Pattern
from pantheon_obs.sinks.redact.plain import described
from pantheon_obs.sinks.redact.rules import whatever

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.sinks.redact.rules import Rule

    Fields = Iterable[tuple[object, object]]

_DEEP = 4
_MANY = 20
_SHORT = 24
_LONG = 1000

# How it stands with a secret, how somebody is authenticated, and what a browser does with cookies.
_STATE = (
    r"(?i:enabled|disabled|required|optional|missing|present|absent|invalid|valid|expired|revoked"
    r"|empty|provided|ok|passed|failed|denied|unknown|unchanged|changed|rotated|exempt|on|off|yes|no"
    r"|basic|bearer|digest|oauth2?|oidc|saml|ldap|kerberos|ntlm|jwt|mtls|anonymous|api_?key"
    r"|none|null|nil|true|false|unset|undefined|default|n/a"
    r"|include|omit|same-origin|lax|strict)"
)
# What a form says of a field: `This field is required.`
_SENTENCE = r"[A-Z][a-z']{0,20}(?: \(?[A-Za-z0-9'_-]{1,20}[,;:)]{0,2}){1,40}[.!]"
_statement = Pattern(rf"{_STATE}|{_SENTENCE}(?: {_SENTENCE}){{0,4}}").fullmatch
_code = Pattern(r"[a-z]+(?:_[a-z]+)*").fullmatch
# A list or mapping of such values, in JSON or as a repr; Django REST framework's errors too.
_statements = Pattern(
    rf"(?:[\[\](){{}}:,\s]|None|null|[Tt]rue|[Ff]alse|ErrorDetail\(string=|code=(['\"])[a-z_]+\1"
    rf"|(['\"])code\2: ?(['\"])[a-z_]+\3|(['\"])[a-z_]{{1,20}}\4(?=:)"
    rf"|(['\"])(?:{_STATE}|{_SENTENCE}(?: {_SENTENCE}){{0,4}})\5)*+"
).fullmatch
_path = Pattern(r"(?:~|\.{0,2})(?:/[a-z_.-]{1,40}|(?:/[A-Za-z._]?[a-z0-9_@.-]{1,40}){2,20})/?")
_any_path = Pattern(r"(?:[A-Za-z]:|~|\.{0,2})(?:[/\\][\w@. -]{0,64})+")
_of_directories = ("pwd", "cwd")
_of_words = Pattern(r"(?i)pass(?:wd|word|phrase|code)?\d?$").search
_PIECES = frozenset({
    "bytes", "end", "logprob", "logprobs", "offset", "prob", "score", "start", "top_logprobs",
})  # fmt: skip
_beside_a_piece = Pattern(rf"['\"]?[,\s]{{1,3}}['\"]?(?:{'|'.join(sorted(_PIECES))})\b").match


def is_innocent(key: str, value: object, rule: Rule, beside: Fields) -> bool:
    """Whether a value is no secret although its key is the name of one."""
    if value is None or type(value) is bool:  # whether a secret is set is no secret
        return True
    if rule is whatever:
        return False
    if isinstance(value, str) and is_path(key, str.__str__(value)):
        return True
    return is_statement(value, rule) or is_piece(key, value, (name for name, _ in beside))


def is_statement(value: object, rule: Rule, depth: int = _DEEP) -> bool:
    """Whether a value tells how it stands with a secret, in words or sentences of a form."""
    if isinstance(value, str):
        text = str.__str__(value)
        return not text or (len(text) <= _LONG and _statement(text) is not None)
    if isinstance(value, (list, tuple)) and depth and len(value) <= _MANY:
        items = tuple.__iter__(value) if isinstance(value, tuple) else list.__iter__(value)
        return all(is_statement(item, rule, depth - 1) for item in items)
    if isinstance(value, dict) and depth and len(value) <= _MANY:
        return all(
            is_statement(item, rule, depth - 1) or (key == "code" and _is_code(item))
            for key, item in dict.items(value)
        )
    return value is None or type(value) is bool or not rule(value)


def _is_code(value: object) -> bool:
    return isinstance(value, str) and _code(value) is not None


def are_statements(text: str) -> bool:
    """Whether a list or mapping inside a text has such values only."""
    return len(text) <= _LONG and _statements(text) is not None


def is_path(name: str, value: str) -> bool:
    """Whether a value is the place of a secret, or a directory; a password may look like one."""
    if len(value) > _LONG or not ("/" in value[:3] or "\\" in value[:3]):
        return False
    if name.lower().endswith(_of_directories):
        return _any_path.fullmatch(value) is not None
    return _of_words(name) is None and _path.fullmatch(value) is not None


def is_piece(name: object, value: object, beside: Iterable[object]) -> bool:
    """Whether a token is a piece of a model's text: its probability or place stands beside it."""
    is_short = not isinstance(value, str) or len(value) <= _SHORT
    return name == "token" and is_short and not _PIECES.isdisjoint(map(str, beside))


def is_piece_in(text: str, name: str, first: int, start: int, end: int) -> bool:
    """Like `is_piece`, of a name and value inside a text, from one place to another."""
    if name.lower() != "token" or end - start > _SHORT:
        return False
    return _beside_a_piece(text, end) is not None or "logprob" in text[max(first - 40, 0) : first]


def names_beside(pairs: Fields) -> Iterable[str]:
    """Return the values of the fields that may name what stands beside them."""
    for key, value in pairs:
        last = words_of(key)[-1].lower() if isinstance(key, str) else ""
        if last not in NAMES:
            continue
        named = value
        if last == "loc" and isinstance(value, (list, tuple)) and value:  # pydantic's
            named = value[-1]
        if isinstance(named, (str, bytes)):
            yield described(named)
