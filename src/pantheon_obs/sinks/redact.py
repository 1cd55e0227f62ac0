"""One list of secrets, for log lines and for Sentry: by key at any depth, and by shape in strings."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, MappingView
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from numbers import Integral, Real
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REDACTED = "[redacted]"

_WORDS = frozenset(
    "apikey authorization cookie cookies credential credentials csrf jwt passphrase passwd "
    "password passwords pwd secret secrets token xsrf".split()
)
_PAIRS = frozenset({("api", "key"), ("access", "key"), ("private", "key"), ("signing", "key")})
# "token" is a secret, a number of tokens is what this library is for.
_COUNTS = frozenset("budget count counts length limit type usage".split())
_SPLIT = re.compile(r"[^a-zA-Z0-9]+|(?<=[a-z0-9])(?=[A-Z])").split

_KEY = (
    r"(?i:pass(?:word|wd|phrase)|pwd|secret|(?:api|access|private|signing)[_-]?key"
    r"|(?:access|refresh|auth|id|session|csrf|xsrf)[_-]?token)"
)


class _Shape(NamedTuple):
    """A secret that can be recognised inside a string.

    No pattern may take more than linear time, as strings come from outside: none begins with, or
    repeats, what it could also match somewhat later.
    """

    needles: tuple[str, ...]
    """One of these stands in every string that the pattern matches: finding none is fast."""
    pattern: re.Pattern[str]
    into: str


_SHAPES = tuple(
    _Shape(tuple(needles.split()), re.compile(pattern), into)
    for needles, pattern, into in (
        (  # Not every word after "basic": a credential has more than small letters in it.
            "earer EARER asic ASIC",
            r"\b((?i:bearer|basic)\s+)(?=.[a-z]*[A-Z0-9+/=_~-]|[a-z]{20})[A-Za-z0-9._~+/=-]{8,}",
            rf"\1{REDACTED}",
        ),
        ("://", r"://[^/?#\s'\"]*@", f"://{REDACTED}@"),
        (
            "= %3",
            rf"({_KEY}(?:=|%3[Dd]))(?:\"[^\"]*\"?|'[^']*'?|[^\s&'\",;)\]}}]+)",
            rf"\1{REDACTED}",
        ),
        (  # JSON, or a dict's repr, in a message.
            "\": ':",
            rf"({_KEY}[\"']:\s*)"
            r"(?:\"[^\"\\]*(?:\\.[^\"\\]*)*\"?|'[^'\\]*(?:\\.[^'\\]*)*'?|[^\s,}\]\"']+)",
            rf'\1"{REDACTED}"',
        ),
        # Keys of providers: OpenAI, Anthropic, OpenRouter, Stripe; AWS; Google; GitHub; GitLab;
        # Slack; Hugging Face; Groq. Then JSON web tokens and PEM blocks.
        ("sk- sk_ rk- rk_", r"\b[sr]k[-_][A-Za-z0-9_-]{16,}", REDACTED),
        ("AKIA ASIA", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", REDACTED),
        ("AIza", r"\bAIza[0-9A-Za-z_-]{35}", REDACTED),
        ("gh", r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}", REDACTED),
        ("glpat", r"\bglpat-[A-Za-z0-9_-]{20,}", REDACTED),
        ("xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", REDACTED),
        ("hf_ gsk_", r"\b(?:hf|gsk)_[A-Za-z0-9]{20,}", REDACTED),
        (
            "eyJ",
            r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
            REDACTED,
        ),
        (
            "PRIVATE",
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            REDACTED,
        ),
    )
)
_ANY_NEEDLE = re.compile(
    "|".join(re.escape(needle) for shape in _SHAPES for needle in shape.needles)
)

_SHORT = 64
_CACHED = 4096
_DEEP = 32
_MANY = 100_000
_INT64 = 2**63


class Redactor:
    """Finds secrets and takes them out; gives back plain values that any encoder accepts.

    Args:
        keys: Names of keys to redact besides the built-in list; case and separators are ignored.

    Attributes:
        harmless: Short strings that were looked at and hold no secret. Lines say the same words
            again and again; it is bounded, as words may come from outside.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._extra = frozenset("".join(_SPLIT(key)).lower() for key in keys)
        self._judged: dict[str, bool] = {}
        self.harmless: set[str] = set()

    def is_secret(self, key: str) -> bool:
        """Whether what stands under this key is a secret."""
        judged = self._judged.get(key)
        if judged is None:
            make_room(self._judged)
            judged = self._judged[key] = self._judge(key)
        return judged

    def _judge(self, key: str) -> bool:
        words = [word.lower() for word in _SPLIT(key) if word]
        if "".join(words) in self._extra or words[-1:] == ["auth"]:
            return True
        for word, following in zip(words, [*words[1:], ""], strict=False):
            if word in _WORDS and not (word == "token" and following in _COUNTS):
                return True
            if (word, following) in _PAIRS:
                return True
        return False

    def text(self, text: str) -> str:
        """The text with recognisable secrets replaced."""
        if len(text) <= _SHORT:
            if text in self.harmless:
                return text
            if _ANY_NEEDLE.search(text) is None:
                make_room(self.harmless)
                self.harmless.add(text)
                return text
        for needles, pattern, into in _SHAPES:
            for needle in needles:
                if needle in text:
                    text = pattern.sub(into, text)
                    break
        return text

    def clean(self, value: object) -> Any:  # noqa: ANN401 - any plain value
        """A plain and redacted copy of any value: dict, list, str, int, float, bool or None.

        Never raises: what cannot be read is described instead.
        """
        return self._clean(value, _Walk())

    def under(self, key: str, value: object) -> Any:  # noqa: ANN401 - any plain value
        """The same of a value that stands under a key; whether a secret is set is none."""
        return self._under(key, value, _Walk())

    def _under(self, key: str, value: object, walk: _Walk) -> object:
        if self.is_secret(key) and value is not None and type(value) is not bool:
            return REDACTED
        return self._clean(value, walk)

    def _clean(self, value: object, walk: _Walk) -> object:
        if type(value) is str:
            return self.text(utf8(value))
        if value is None or type(value) in _SCALARS:
            return plain_scalar(value)
        try:
            return self._clean_object(value, walk)
        except Exception as error:  # noqa: BLE001 - whatever a hostile value does, the line goes out
            return _unreadable(value, error)

    def _clean_object(self, value: object, walk: _Walk) -> object:
        if isinstance(value, _CONTAINERS):
            if id(value) in walk.above:
                return "<circular>"
            if len(walk.above) >= _DEEP or walk.left <= 0:
                return f"<{type(value).__name__}: too large>"
            walk.above.append(id(value))
            try:
                return self._clean_container(value, walk)
            finally:
                walk.above.pop()
        for kind, plain in _PLAIN:
            if isinstance(value, kind):
                return self._clean(plain(value), walk)
        return self.text(utf8(str.__str__(repr(value))))

    def _clean_container(self, value: Any, walk: _Walk) -> object:  # noqa: ANN401 - a container
        walk.left -= len(value)
        if isinstance(value, Mapping):
            pairs = [(described(key), item) for key, item in list(value.items())]
            return {key: self._under(key, item, walk) for key, item in pairs}
        items = list(value)
        # A header as ASGI and HTTP clients have it: a name and a value.
        if len(items) == 2 and isinstance(items[0], (str, bytes)):  # noqa: PLR2004 - a pair
            key = described(items[0])
            return [self._clean(key, walk), self._under(key, items[1], walk)]
        return [self._clean(item, walk) for item in items]


class _Walk:
    """Where a walk through a value is: what it stands within, and how much more it will read."""

    __slots__ = ("above", "left")

    def __init__(self) -> None:
        self.above: list[int] = []
        self.left = _MANY


def utf8(text: str) -> str:
    """The text, with what UTF-8 cannot say (lone surrogates) escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def described(value: object, read: Callable[[object], str] = str) -> str:
    """The text of any value, in UTF-8's reach; never raises.

    Args:
        value: The value.
        read: `str` or `repr`.
    """
    try:
        if isinstance(value, (bytes, bytearray)):
            return value.decode("utf-8", "backslashreplace")
        # A subclass of str may do anything when it is asked for its own text.
        return utf8(str.__str__(value if isinstance(value, str) else read(value)))
    except Exception as error:  # noqa: BLE001 - a broken __str__
        return _unreadable(value, error)


def _unreadable(value: object, error: Exception) -> str:
    return f"<{type(value).__name__}: {type(error).__name__} while it was read>"


def plain_scalar(value: Any) -> Any:  # noqa: ANN401 - a scalar in, a scalar out
    """A scalar that JSON and UTF-8 can say; any other value as it is."""
    kind = type(value)
    if kind is str:
        return utf8(value)
    if kind is int:
        return value if -_INT64 <= value < _INT64 else _digits(value)
    if kind is float:
        return value if isfinite(value) else str(value)
    return value


def _digits(number: int) -> str:
    """A number beyond 64 bits; past the interpreter's limit on digits, in hexadecimal."""
    try:
        return str(number)
    except ValueError:
        return hex(number)


def make_room(cache: dict[str, Any] | set[str]) -> None:
    """Empty a cache that is full."""
    if len(cache) >= _CACHED:
        cache.clear()


_SCALARS = frozenset({bool, int, float})
_CONTAINERS = (Mapping, list, tuple, set, frozenset, deque, MappingView)
# What else has a plain form; the first that fits counts.
_PLAIN: tuple[tuple[type | tuple[type, ...], Callable[[Any], object]], ...] = (
    (Enum, lambda value: value.value),
    (str, str.__str__),
    ((bytes, bytearray, memoryview), lambda value: bytes(value).decode("utf-8", "backslashreplace")),
    (Integral, int),
    (Real, float),
    ((Decimal, UUID), str),
    ((datetime, date, time), lambda value: value.isoformat()),
    (PathLike, fspath),
)
