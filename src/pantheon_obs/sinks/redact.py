"""One list of secrets, for log lines and for Sentry: by key at any depth, and by shape in strings."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED = "[redacted]"

_WORDS = frozenset(
    "apikey auth authorization cookie cookies credential credentials csrf jwt passphrase passwd "
    "password passwords pwd secret secrets token xsrf".split()
)
_PAIRS = frozenset({("api", "key"), ("access", "key"), ("private", "key"), ("signing", "key")})
# "token" is a secret, a number of tokens is what this library is for.
_COUNTS = frozenset("budget count counts length limit type usage".split())
_SPLIT = re.compile(r"[^a-zA-Z0-9]+|(?<=[a-z0-9])(?=[A-Z])").split

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), into)
    for pattern, into in (
        (r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{8,}", rf"\1\2{REDACTED}"),
        (r"://[^/\s@'\"]*@", f"://{REDACTED}@"),
        (
            r"(?i)\b([\w-]*(?:password|passwd|secret|api[_-]?key|(?:access|refresh|auth)[_-]?token))"
            r"(=|%3D)[^\s&'\"]+",
            rf"\1\2{REDACTED}",
        ),
        # Keys of providers: OpenAI, Anthropic, OpenRouter, Stripe; AWS; Google; GitHub; GitLab;
        # Slack; Hugging Face; Groq. Then JSON web tokens and PEM blocks.
        (r"\b[sr]k[-_][A-Za-z0-9_-]{16,}", REDACTED),
        (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", REDACTED),
        (r"\bAIza[0-9A-Za-z_-]{35}", REDACTED),
        (r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}", REDACTED),
        (r"\bglpat-[A-Za-z0-9_-]{20,}", REDACTED),
        (r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", REDACTED),
        (r"\b(?:hf|gsk)_[A-Za-z0-9]{20,}", REDACTED),
        (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", REDACTED),
        (
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            REDACTED,
        ),
    )
)
# One of these stands in every string that a pattern above matches: finding none is fast.
_NEEDLES = (
    "earer", "EARER", "asic", "ASIC", "://", "=", "%3", "sk-", "sk_", "rk-", "rk_", "AKIA", "ASIA",
    "AIza", "gh", "glpat", "xox", "hf_", "gsk_", "eyJ", "PRIVATE",
)  # fmt: skip
_NEEDLE = re.compile("|".join(map(re.escape, _NEEDLES)))

_DEPTH = 32
_CACHED = 4096
_CACHED_LENGTH = 64
_INT64 = 2**63
_SCALARS = frozenset({bool, int, float})


class Redactor:
    """Finds secrets and takes them out; gives back plain values that any encoder accepts.

    Args:
        keys: Names of keys to redact besides the built-in list; case and separators are ignored.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._extra = frozenset("".join(_SPLIT(key)).lower() for key in keys)
        # Lines say the same words again and again; both caches are bounded, as words may come
        # from outside.
        self._known: dict[str, bool] = {}
        self._harmless: set[str] = set()

    def is_secret(self, key: str) -> bool:
        """Whether what stands under this key is a secret."""
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            known = self._known[key] = self._judge(key)
        return known

    def _judge(self, key: str) -> bool:
        words = [word.lower() for word in _SPLIT(key) if word]
        if "".join(words) in self._extra:
            return True
        for index, word in enumerate(words):
            following = words[index + 1] if index + 1 < len(words) else ""
            if word in _WORDS and not (word == "token" and following in _COUNTS):
                return True
            if (word, following) in _PAIRS:
                return True
        return False

    def text(self, text: str) -> str:
        """The text with recognisable secrets replaced."""
        if text in self._harmless:
            return text
        if _NEEDLE.search(text) is None:
            if len(text) <= _CACHED_LENGTH:
                if len(self._harmless) >= _CACHED:
                    self._harmless.clear()
                self._harmless.add(text)
            return text
        for pattern, into in _SECRETS:
            text = pattern.sub(into, text)
        return text

    def clean(self, value: object, _above: tuple[int, ...] = ()) -> Any:  # noqa: ANN401 - any plain value
        """A plain and redacted copy of any value: dict, list, str, int, float, bool or None.

        Never raises: what cannot be read is described instead.
        """
        kind = type(value)
        if kind is str:
            return self.text(utf8(value))  # type: ignore[arg-type]
        if value is None or kind in _SCALARS:
            return plain_scalar(value)
        try:
            return self._clean_object(value, _above)
        except Exception as error:  # noqa: BLE001 - whatever a hostile value does, the line goes out
            return f"<{kind.__name__}: {type(error).__name__} while it was read>"

    def _clean_object(self, value: object, above: tuple[int, ...]) -> object:
        if isinstance(value, (Mapping, list, tuple, set, frozenset)):
            if id(value) in above:
                return "<circular>"
            if len(above) >= _DEPTH:
                return f"<{type(value).__name__}: too deep>"
            above = (*above, id(value))
            if isinstance(value, Mapping):
                return {
                    (name := utf8(key if type(key) is str else str(key))): REDACTED
                    if self.is_secret(name)
                    else self.clean(item, above)
                    for key, item in list(value.items())
                }
            return [self.clean(item, above) for item in list(value)]
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self.text(bytes(value).decode("utf-8", "backslashreplace"))
        plain = _PLAIN.get(type(value))
        if plain is not None:
            return plain(value)
        return self.text(utf8(str(value) if isinstance(value, str) else repr(value)))


def utf8(text: str) -> str:
    """The text, with what UTF-8 cannot say (lone surrogates) escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def plain_scalar(value: Any) -> Any:  # noqa: ANN401 - a scalar in, a scalar out
    """A scalar that JSON and UTF-8 can say; any other value as it is."""
    kind = type(value)
    if kind is str:
        return utf8(value)
    if kind is int:
        return value if -_INT64 <= value < _INT64 else _digits(value)
    if kind is float:
        return value if math.isfinite(value) else str(value)
    return value


def _digits(number: int) -> str:
    """A number beyond 64 bits; past the interpreter's limit on digits, in hexadecimal."""
    try:
        return str(number)
    except ValueError:
        return hex(number)


def _plain_types() -> dict[type, Callable[[Any], str]]:
    from datetime import date, datetime, time  # noqa: PLC0415 - only here
    from decimal import Decimal  # noqa: PLC0415
    from uuid import UUID  # noqa: PLC0415

    return {
        datetime: datetime.isoformat,
        date: date.isoformat,
        time: time.isoformat,
        Decimal: str,
        UUID: str,
    }


_PLAIN = _plain_types()
