"""One list of secrets for log lines and Sentry: by key at any depth, and by shape in strings."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, MappingView
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.redact_plain import PLAIN, described, plain_scalar, unreadable, utf8
from pantheon_obs.sinks.redact_shapes import REDACTED, SECRETS, any_needle, compiled

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["REDACTED", "Redactor", "make_room"]

_WORDS = frozenset({
    "apikey", "authorization", "cookie", "cookies", "credential", "credentials", "csrf", "jwt",
    "passphrase", "passwd", "password", "passwords", "pwd", "secret", "secrets", "token", "xsrf",
})  # fmt: skip
_PAIRS = frozenset({("api", "key"), ("access", "key"), ("private", "key"), ("signing", "key")})
# "token" is a secret, but a number of tokens is not.
_COUNTS = frozenset({"budget", "count", "counts", "length", "limit", "type", "usage"})
_SPLIT = re.compile(r"[^a-zA-Z0-9]+|(?<=[a-z0-9])(?=[A-Z])").split

_SHORT = 64
_SHORTEST = 14  # "basic" and eight characters; shorter secrets contain one of the signs asked for
_CACHED = 4096
_DEEP = 32
_MANY = 30_000


class Redactor:
    """Replaces secrets, and returns plain values that any encoder accepts.

    Args:
        keys: Names of keys to redact besides the built-in list; case and separators are ignored.

    Attributes:
        knows_more: Whether there are such keys: one may be a field of ours.
        harmless: Short strings that were examined and hold no secret. The same words come again
            and again; it is bounded, as words may come from outside.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._extra = frozenset("".join(_SPLIT(key)).lower() for key in keys)
        self.knows_more = bool(self._extra)
        self._judged: dict[str, bool] = {}
        self.harmless: set[str] = set()

    def is_secret(self, key: str) -> bool:
        """Whether the value of this key is a secret."""
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
        """Replace the recognisable secrets in a text."""
        if len(text) <= _SHORT:
            if text in self.harmless:
                return text
            short = len(text) < _SHORTEST and "=" not in text and ":" not in text
            if (short and "%" not in text) or any_needle(text) is None:
                make_room(self.harmless)
                self.harmless.add(text)
                return text
        for needles, pattern, into in SECRETS:
            for needle in needles:
                if needle in text:
                    text = compiled(pattern).sub(into, text)
                    break
        return text

    def clean(self, value: object) -> Any:  # noqa: ANN401 - any plain value
        """Copy any value as a plain and redacted one: dict, list, str, int, float, bool or None.

        Never raises: a value that cannot be read is described instead.
        """
        return self._clean(value, _Walk())

    def under(self, key: str, value: object) -> Any:  # noqa: ANN401 - any plain value
        """Like `clean`, by key. None and booleans stay: whether a secret is set is no secret."""
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
            return unreadable(value, error)

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
        for kind, plain in PLAIN:
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
    """The state of a walk through a value.

    Attributes:
        above: Ids of the containers around the value.
        left: How many more values are read.
    """

    __slots__ = ("above", "left")

    def __init__(self) -> None:
        self.above: list[int] = []
        self.left = _MANY


def make_room(cache: dict[Any, Any] | set[str]) -> None:
    """Empty a cache that is full."""
    if len(cache) >= _CACHED:
        cache.clear()


_SCALARS = frozenset({bool, int, float})
_CONTAINERS = (Mapping, list, tuple, set, frozenset, deque, MappingView)
