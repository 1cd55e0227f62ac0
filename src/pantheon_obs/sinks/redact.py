"""One list of secrets for log lines and Sentry: by key at any depth, and by shape in strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.redact_keys import rule_for, words_of
from pantheon_obs.sinks.redact_plain import described, plain_scalar, unreadable, utf8
from pantheon_obs.sinks.redact_shapes import REDACTED, SECRETS, any_needle, compiled
from pantheon_obs.sinks.redact_values import Pairs, key_text, opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.sinks.redact_keys import Rule

__all__ = ["REDACTED", "Redactor", "make_room"]

_SHORT = 64
_SHORTEST = 14  # "basic" and eight characters; shorter secrets contain one of the signs asked for
_CACHED = 4096
_DEEP = 32
_MANY = 30_000


class Redactor:
    """Replaces secrets, and returns plain values that any encoder accepts.

    Attributes:
        knows_more: Whether there are keys besides the built-in list: one may be a field of ours.
        harmless: Short strings that were examined and hold no secret. The same words come again
            and again; it is bounded, as words may come from outside.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._extra = frozenset("".join(words_of(key)).lower() for key in keys)
        self.knows_more = bool(self._extra)
        self._judged: dict[str, Rule | None] = {}
        self.harmless: set[str] = set()

    def is_secret(self, key: str) -> bool:
        """Whether values of this key are secrets; numbers may be none even then."""
        return self._rule(key) is not None

    def _rule(self, key: str) -> Rule | None:
        try:
            return self._judged[key]
        except KeyError:
            make_room(self._judged)
            rule = self._judged[key] = rule_for(key, self._extra)
            return rule

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
        rule = self._rule(key)
        if rule is None or value is None or type(value) is bool or not rule(value):
            return self._clean(value, walk)
        return REDACTED

    def _clean(self, value: object, walk: _Walk) -> object:
        if type(value) is str:
            return self.text(utf8(value))
        kind = type(value)  # not looked up in a set: a class may not be hashable
        if value is None or kind is int or kind is float or kind is bool:
            return plain_scalar(value)
        try:
            return self._clean_object(value, walk)
        except Exception as error:  # noqa: BLE001 - whatever a hostile value does, the line goes out
            return unreadable(value, error)

    def _clean_object(self, value: object, walk: _Walk) -> object:
        form = opened(value)
        if type(form) is str:
            return self.text(utf8(form))
        if form is None or type(form) in _SCALARS:
            return plain_scalar(form)
        if id(value) in walk:
            return "<circular>"
        if len(walk) >= _DEEP or walk.left <= 0:
            return f"<{type(value).__name__}: too large>"
        walk.append(id(value))
        try:
            return self._clean_form(form, walk)
        finally:
            walk.pop()

    def _clean_form(self, form: object, walk: _Walk) -> object:
        if type(form) is Pairs:
            walk.left -= len(form)
            return self._clean_fields(form, walk)
        if type(form) is list:
            walk.left -= len(form)
            return [self._clean_pair(item, walk) or self._clean(item, walk) for item in form]
        return self._clean(form, walk)  # the value of an enumeration, for example

    def _clean_fields(self, pairs: Pairs, walk: _Walk) -> dict[str, object]:
        cleaned: dict[str, object] = {}
        for given, item in pairs:
            key = key_text(given)
            name = self.text(key)
            while name in cleaned:  # 1 and "1", for example
                name = f"{name}_{len(cleaned)}"
            cleaned[name] = self._under(key, item, walk)
        return cleaned

    def _clean_pair(self, item: object, walk: _Walk) -> list[object] | None:
        """Clean a header as ASGI and HTTP clients have it in a list: a name and a value."""
        if not isinstance(item, (tuple, list)) or len(item) != 2:  # noqa: PLR2004 - a pair
            return None
        name, value = item
        if not isinstance(name, (str, bytes)):
            return None
        walk.left -= 2
        key = described(name)
        return [self._clean(key, walk), self._under(key, value, walk)]


class _Walk(list[int]):
    """A walk through a value: the ids of the containers around, and how many more are read."""

    left = _MANY


def make_room(cache: dict[Any, Any] | set[str]) -> None:
    """Empty a cache that is full."""
    if len(cache) >= _CACHED:
        cache.clear()


_SCALARS = frozenset({bool, int, float})
