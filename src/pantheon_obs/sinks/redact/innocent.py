"""Values that are no secrets although they stand under the name of one.

They are empty or masked, words of prose, the state of a secret (`expired`) or its path, or pieces
of a model's text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.patterns import Pattern
from pantheon_obs.sinks.redact.plain import described
from pantheon_obs.sinks.redact.rules import whatever

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.sinks.redact.rules import Rule

    Fields = Iterable[tuple[object, object]]

LONGEST = 200
"""So many characters has a value at most that is a placeholder or consists of words."""

_DEEP = 4
_MANY = 20
_LONG = 1000
_PIECE = 24

_no_secret = Pattern(
    r"(?i:[^a-z0-9]*|none|null|nil|true|false|undefined|unset|nan"
    r"|(?:[a-z]+ )?[\[<({*]*(?:redacted|filtered|masked|hidden|removed|scrubbed|sanitized)[\]>)}*]*"
    r"|x{3,}|[\w-]{0,8}(?:\*{3,}|\.{3,}|…|•{3,})[\w-]{0,8})"
    r"|(?:[A-Za-z]{1,20} )?(?:%[sr]|%\(\w+\)[sdr]|\$[A-Z_]+|\$?\{{1,2}\s*[\w.!:]+\s*\}{0,2})"
    r"|\$\d+|:[a-z_]+"
    r"|<[A-Za-z _-]+>|\{%[^%]*%\}"
).fullmatch
_words = Pattern(r"(?:[A-Za-z]{1,19}+(?![A-Za-z])[._/'-]?+)++[!?:]?").fullmatch
_several_words = Pattern(
    r"(?:[A-Za-z]{1,19}|v?\d{1,3})(?: (?:[A-Za-z]{1,19}|v?\d{1,3}))+"
).fullmatch
# The state of a secret, the kind of an authentication, and settings of cookies.
_STATE = (
    r"(?i:enabled|disabled|required|optional|missing|present|absent|invalid|valid|expired|revoked"
    r"|empty|provided|ok|passed|failed|denied|unknown|unchanged|changed|rotated|exempt|on|off|yes|no"
    r"|basic|bearer|digest|oauth2?|oidc|saml|ldap|kerberos|ntlm|jwt|mtls|anonymous|api_?key"
    r"|none|null|nil|true|false|unset|undefined|default|n/a"
    r"|include|omit|same-origin|lax|strict)"
)
# A form's message about a field: `This field is required.`
_SENTENCE = r"[A-Z][a-z']{0,20}(?: \(?[A-Za-z0-9'_-]{1,20}[,;:)]{0,2}){1,40}[.!]"
_statement = Pattern(rf"{_STATE}|{_SENTENCE}(?: {_SENTENCE}){{0,4}}").fullmatch
_code = Pattern(r"[a-z]+(?:_[a-z]+)*").fullmatch
# A list or mapping of such values, in JSON or as a repr; Django REST framework's errors too.
_statements = Pattern(
    rf"(?:[\[\](){{}}:,\s]|None|null|[Tt]rue|[Ff]alse|ErrorDetail\(string=|code=(['\"])[a-z_]+\1"
    rf"|(['\"])code\2: ?(['\"])[a-z_]+\3|(['\"])[a-z_]{{1,20}}\4(?=:)"
    rf"|(['\"])(?:{_STATE}|{_SENTENCE}(?: {_SENTENCE}){{0,4}})\5)*+"
).fullmatch
_path = Pattern(
    r"(?:~|\.{0,2})(?:/[a-z_.-]{1,40}|(?:/[A-Za-z._]?[a-z0-9_@.-]{1,40}){2,20})/?"
).fullmatch
_any_path = Pattern(r"(?:[A-Za-z]:|~|\.{0,2})(?:[/\\][\w@. -]{0,64})+").fullmatch
_of_directories = ("pwd", "cwd")
_of_words = Pattern(r"(?i)pass(?:wd|word|phrase|code)?\d?$").search
_PIECES = frozenset({
    "bytes", "end", "logprob", "logprobs", "offset", "prob", "score", "start", "top_logprobs",
})  # fmt: skip
_beside_a_piece = Pattern(rf"['\"]?[,\s]{{1,3}}['\"]?(?:{'|'.join(sorted(_PIECES))})\b").match


def is_secret(key: str, value: object, rule: Rule, beside: Fields = ()) -> bool:
    """Whether the value of a key is a secret by the rule of the key, and is not excused.

    Args:
        key: The key.
        value: The value.
        rule: The rule.
        beside: The fields around it, itself included.
    """
    if value is None or type(value) is bool or not rule(value):  # whether one is set is no secret
        return False
    if rule is whatever:
        return True
    if isinstance(value, str) and is_path(key, str.__str__(value)):
        return False
    return not (is_statement(value, rule) or _is_piece(key, value, beside))


def is_statement(value: object, rule: Rule, depth: int = _DEEP) -> bool:
    """Whether a value is the state of a secret, or consists of sentences that a form shows."""
    if isinstance(value, str):
        text = str.__str__(value)
        return not text or (len(text) <= _LONG and _statement(text) is not None)
    if isinstance(value, (list, tuple)) and depth and len(value) <= _MANY:
        items = tuple.__iter__(value) if isinstance(value, tuple) else list.__iter__(value)
        return all(is_statement(item, rule, depth - 1) for item in items)
    if isinstance(value, dict) and depth and len(value) <= _MANY:
        return all(
            is_statement(item, rule, depth - 1)
            or (key == "code" and isinstance(item, str) and _code(item) is not None)
            for key, item in dict.items(value)
        )
    return value is None or type(value) is bool or not rule(value)


def are_statements(text: str) -> bool:
    """Whether a list or mapping inside a text has such values only."""
    return len(text) <= _LONG and _statements(text) is not None


def is_path(name: str, value: str) -> bool:
    """Whether a value is the place of a secret, or a directory; a password may look like one."""
    if len(value) > _LONG or not ("/" in value[:3] or "\\" in value[:3]):
        return False
    if name.lower().endswith(_of_directories):
        return _any_path(value) is not None
    return _of_words(name) is None and _path(value) is not None


def _is_piece(name: str, value: object, beside: Fields) -> bool:
    """Whether a token is a piece of a model's text: its probability or place stands beside it."""
    is_short = not isinstance(value, str) or len(value) <= _PIECE
    return name == "token" and is_short and not _PIECES.isdisjoint(str(key) for key, _ in beside)


def is_piece_in(text: str, name: str, first: int, start: int, end: int) -> bool:
    """Whether a name and value in a text, from one place to another, are such a piece."""
    if name.lower() != "token" or end - start > _PIECE:
        return False
    return _beside_a_piece(text, end) is not None or "logprob" in text[max(first - 40, 0) : first]


def is_words(value: str) -> bool:
    """Whether a short value consists of words, and of the marks that join them."""
    return len(value) <= LONGEST and _words(value) is not None


def is_no_word(value: object) -> bool:
    """Whether a value is a text that does not consist of words: `v2 usage` does."""
    if not isinstance(value, (str, bytes)):
        return False
    text = described(value)
    return not is_words(text) and _several_words(text) is None


def is_placeholder(value: str) -> bool:
    """Whether a value is empty, masked already, a template's, or says that there is none."""
    return len(value) <= LONGEST and _no_secret(value) is not None
