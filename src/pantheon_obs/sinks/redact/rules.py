"""Rules for the values of a key that may be a secret's: each decides whether a value is one."""

from __future__ import annotations

import re
from itertools import islice
from numbers import Number
from typing import TYPE_CHECKING

from pantheon_obs.sinks.redact.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Callable

    Rule = Callable[[object], bool]

_DEEP = 3
_CODES = 1000  # if none of so many is a secret, the rest are none
_LONG = 1000
_NEAR = 200
_CARDS = range(10**12, 10**19)

_parts = re.compile(r"[,;\s]+").split


def is_beside(_value: object) -> bool:
    """Take no value for a secret, unless there is the name of one beside it."""
    return False


def whatever(_value: object) -> bool:
    """Take every value for a secret, also one that says nothing: the application asks for it."""
    return True


def any_value(_value: object) -> bool:
    """Take every value for a secret."""
    return True


def not_a_number(value: object) -> bool:
    """Take every value for a secret but numbers: those under "token" count tokens."""
    return not isinstance(value, Number)


def _like(pattern: str) -> Rule:
    """Take a text for a secret that is like a pattern."""
    match = Pattern(pattern).fullmatch

    def rule(value: object) -> bool:
        text = _text_of(value)
        return text is not None and match(text) is not None

    return rule


def _text_of(value: object) -> str | None:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return str.__str__(text) if isinstance(text, str) else None


_like_a_header = _like(r"[A-Z][a-z]*(?:-[A-Za-z]+)*")
# The number of a card, divided or not; not its last digits.
_like_a_card = _like(r"(?:\d[ -]?){12,18}\d")
# Where a database is, with a user and a password before it, or with a list of such values. The
# password of a URL has a shape, and a pair's password has a name. A masked password is not there.
_like_a_login = _like(
    r"(?![A-Za-z][\w+.-]*:(?://|\w+:))[^\s/:@=]+[:/](?![*\[<{$%]|x{3,}@)[^@]+@[\s\S]*"
    r"|(?:[^\s,;|:=/()]+[,;|:]){2,}(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])(?=[A-Za-z]*\d)[^\s,;|:=]{6,}"
)
# The host of a URL, if a user and a password stand before it.
has_userinfo = _like(r"[^@]*:[^@]+@.*")
like_a_signature = _like(
    r"(?=\D*\d)[A-Za-z0-9+/=_%.-]{20,}|t=\d+(?:,v\d=[A-Za-z0-9+/=_-]+)+"  # Stripe's, several
)
_like_hex = _like(r"[0-9a-fA-F-]+")
# Not an identifier of a licence, as `LGPL-2.1-or-later` is one.
like_a_license = _like(r"(?=\D*\d\D*\d)[A-Za-z0-9+/=_#-]{12,}|\S{40,}")
# OAuth's: sixteen letters and digits in a row, of both kinds. `ERR_NOT_FOUND` and `404` are others.
like_a_code = _like(
    r"(?=(?:[A-Za-z0-9]{0,15}+[^A-Za-z0-9]){0,12}+(?=[A-Za-z]{0,40}\d)(?=\d{0,40}[A-Za-z])"
    r"[A-Za-z0-9]{16})[A-Za-z0-9+/=_%.~#-]+"
)


# A code that is too short to be known for one outside of a list of tokens.
_like_a_short_code = _like(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{8,15}")


def no_header_name(value: object) -> bool:
    """Take every value for a secret but the name of a header: `API_KEY_HEADER=X-API-Key`."""
    return not _like_a_header(value)


def has_code(value: object, depth: int = _DEEP) -> bool:
    """Take random values for secrets, and lists and mappings of them, also as a text."""
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        items = dict.values(value) if isinstance(value, dict) else value
        is_list = not isinstance(value, dict)
        return depth > 0 and any(
            has_code(item, depth - 1) or (is_list and _like_a_short_code(item))
            for item in islice(items, _CODES)
        )
    if like_a_code(value):
        return True
    parts = _parts((_text_of(value) or "")[:_LONG])
    return len(parts) > 1 and not any(map(str.isalpha, parts)) and any(map(like_a_code, parts))


def is_card(value: object) -> bool:
    """Take the number of a card for a secret, also as a number."""
    return value in _CARDS if type(value) is int else _like_a_card(value)


def has_login(value: object) -> bool:
    """Take the address of a database for a secret if a password may be in it."""
    return like_a_code(value) or _like_a_login((_text_of(value) or "")[:_NEAR])


def like_a_session(value: object) -> bool:
    """Distinguish the cookie of a session from an id, by which LLM services correlate."""
    return like_a_code(value) and not _like_hex(value)
