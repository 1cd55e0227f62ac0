"""One list of secrets for log lines and Sentry: by key at any depth, and by shape in strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.redact.beside import rule_of_fields
from pantheon_obs.sinks.redact.bounds import LEAST, OVERLAP, Walk, limits_of, places_of, shown_of
from pantheon_obs.sinks.redact.commands import secret_items
from pantheon_obs.sinks.redact.innocent import is_no_word, is_secret
from pantheon_obs.sinks.redact.keys import PRIVATE, Keys
from pantheon_obs.sinks.redact.open import Pairs, key_text, opened
from pantheon_obs.sinks.redact.plain import (
    RAISED,
    described,
    make_room,
    plain_scalar,
    unreadable,
    utf8,
)
from pantheon_obs.sinks.redact.rules import any_value, is_beside, is_card
from pantheon_obs.sinks.redact.spans import REDACTED, part_of, replaced, size_of
from pantheon_obs.sinks.redact.texts import find_spans

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.sinks.redact.innocent import Fields

__all__ = ["REDACTED", "Redactor"]

_SHORT = 64
_SHORTEST = 14  # as long as a key of a provider; shorter secrets have one of these signs
_SIGNS = frozenset("=:%> \t\x1b'\"`\\&\u201c\u201d\uff1a\uff1d\u200b")
_DEEP = 32
_LIMIT = 1024 * 1024


class Redactor:
    """Replaces secrets, and returns plain values that any encoder accepts.

    Args:
        keys: Names of secrets besides the built-in list.
        limit: How many characters a text, and how many bytes a structure, may have. One that is
            longer is cut to `SHOWN`: the rest is not redacted.

    Attributes:
        knows_more: Whether there are keys besides the built-in list: one may be a field of ours.
        harmless: Short strings that were examined and have no secret. The same words come again
            and again; it is bounded, as words may come from outside.
    """

    def __init__(self, keys: Iterable[str] = (), limit: int = _LIMIT) -> None:
        self._keys = Keys(keys)
        self._limits = limits_of(limit)
        self.knows_more = bool(self._keys.extra)
        self.harmless: set[str] = set()

    def is_secret(self, key: str) -> bool:
        """Whether a value of this key may be a secret; numbers may be none even then."""
        return self._keys.rule(key) is not None

    def text(self, text: str, *, keep_end: bool = False, walk: Walk | None = None) -> str:
        """Replace the recognisable secrets in a text; cut one that is too long.

        With `keep_end` its beginning is cut. `walk` is that through the value around it.
        """
        size = len(text)
        if size <= _SHORT:
            harmless = self.harmless
            if text in harmless:
                return text
            # Redaction of most values ends here: a line has a few new words at most.
            is_word = size < _SHORTEST and _SIGNS.isdisjoint(text)
            if is_word or not (spans := find_spans(text, self._keys, walk)):
                make_room(harmless)
                harmless.add(text)
                return text
        elif size > (limit := self._limits.size if walk is None else walk.room(size)):
            return self._text_cut(text, limit, walk, keep_end=keep_end)
        else:
            spans = find_spans(text, self._keys, walk)
        return replaced(text, spans) if spans else text

    def _text_cut(self, text: str, limit: int, walk: Walk | None, *, keep_end: bool) -> str:
        """Cut a text, and replace the secrets in the rest, those across the cut included."""
        size, shown = len(text), shown_of(len(text), limit)
        start, end = (size - shown, size) if keep_end else (0, shown)
        first, last = max(start - OVERLAP, 0), end + OVERLAP
        part = text[first:last]
        if walk is None:
            walk = Walk(text, self._limits._replace(places=places_of(size)))
        spans = find_spans(part, self._keys, walk, keep_end=keep_end)
        beyond = size_of(text[:first]), size_of(text[last:])
        return part_of(part, start - first, end - first, spans, beyond)

    def _bytes(self, value: bytes, walk: Walk) -> str:
        """Read bytes as text; those that can appear."""
        size = len(value)
        if size <= self._limits.size + OVERLAP:
            return self.text(described(value), walk=walk)
        shown = self._limits.shown
        text = described(value[: shown + OVERLAP])
        end = min(len(text) - OVERLAP, shown)  # fewer characters than bytes, or more
        beyond = 0, size - shown - OVERLAP
        return part_of(text, 0, end, find_spans(text, self._keys, walk), beyond)

    def clean(self, value: object) -> Any:  # noqa: ANN401 - any plain value
        """Copy any value as a plain and redacted one: dict, list, str, int, float, bool or None.

        Never raises: a value that cannot be read is described instead.
        """
        return self._clean(value, Walk(value, self._limits))

    def under(self, key: str, value: object, beside: Fields) -> Any:  # noqa: ANN401 - as above
        """Like `clean`, by key and by the fields beside it: one may name a secret."""
        return self._under(key, value, Walk(value, self._limits), beside)

    def _under(self, key: str, value: object, walk: Walk, beside: Fields = ()) -> object:
        rule = self._keys.rule(key)
        if rule is is_beside:
            rule = rule_of_fields(beside, self._keys.rule)
        elif rule is None and key in PRIVATE and any(name == "kty" for name, _ in beside):
            rule = any_value
        if rule is None or not is_secret(key, value, rule, beside):
            cleaned = self._clean(value, walk)
            if rule is is_card and type(cleaned) is dict and is_card(cleaned.get("number")):
                cleaned["number"] = REDACTED
            return cleaned
        walk.left -= len(REDACTED)
        return REDACTED

    def _clean(self, value: object, walk: Walk) -> object:
        kind = type(value)  # not looked up in a set: a class may not be hashable
        if kind is str:
            return self._clean_text(value, walk)  # type: ignore[arg-type]  # a str
        if value is None or kind is int or kind is float or kind is bool:
            return plain_scalar(value)
        try:
            return self._clean_object(value, walk)
        except RAISED as error:  # whatever a hostile value does, the line goes out
            return unreadable(value, error)

    def _clean_text(self, value: str, walk: Walk) -> str:
        text = utf8(self.text(value, walk=walk))
        walk.left -= len(text)
        return text

    def _clean_object(self, value: object, walk: Walk) -> object:
        if issubclass(type(value), (bytes, bytearray, memoryview)):
            text = self._bytes(bytes(value), walk)  # type: ignore[call-overload]  # one of these
            walk.left -= len(text)
            return text
        form = opened(value)
        if form is None or type(form) in _SCALARS:
            return self._clean(form, walk)
        if id(value) in walk:
            return "<circular>"
        if len(walk) >= _DEEP or (walk.left <= 0 and walk.is_over()):
            placeholder = f"<{type(value).__name__}: too large>"
            walk.left -= len(placeholder)
            return placeholder
        walk.append(id(value))
        try:
            if type(form) is Pairs:
                return self._clean_fields(form, walk)
            # Else it is the value of an enumeration, for example.
            return self._clean_items(form, walk) if type(form) is list else self._clean(form, walk)
        finally:
            walk.pop()

    def _clean_items(self, items: list[object], walk: Walk) -> list[object]:
        pair = self._clean_pair(items, walk, is_in_list=False)
        if pair is not None:
            return pair
        cleaned: list[object] = []
        harmless = self.harmless
        hidden = secret_items(items, self._keys.rule) if len(items) <= _ARGUMENTS else {}
        for item in items:
            if walk.left <= 0 and walk.is_over():
                cleaned.append(f"<{len(items) - len(cleaned)} more>")
                break
            walk.left -= LEAST
            kind = type(item)
            if kind is int or kind is float:
                cleaned.append(plain_scalar(item))
            elif hidden and len(cleaned) in hidden:
                cleaned.append(hidden[len(cleaned)])
            elif type(item) is str:
                if item in harmless and item.isascii():
                    walk.left -= len(item)
                    cleaned.append(item)
                else:
                    cleaned.append(self._clean_text(item, walk))
            else:
                pair = self._clean_pair(item, walk) if kind is not dict else None
                cleaned.append(self._clean(item, walk) if pair is None else pair)
        return cleaned

    def _clean_fields(self, pairs: Pairs, walk: Walk) -> dict[str, object]:
        cleaned: dict[str, object] = {}
        for given, item in pairs:
            if walk.left <= 0 and walk.is_over():
                cleaned["..."] = f"<{len(pairs) - len(cleaned)} more>"
                break
            key = key_text(given)
            name = key if key in self.harmless else self.text(key, walk=walk)
            while name in cleaned:  # 1 and "1", for example
                name = f"{name}_{len(cleaned)}"
            walk.left -= len(name) + LEAST
            cleaned[name] = self._under(key, item, walk, pairs)
        return cleaned

    def _clean_pair(
        self, item: object, walk: Walk, *, is_in_list: bool = True
    ) -> list[object] | None:
        """Clean a name and its value, as headers are; two words in no list may be any words."""
        if not isinstance(item, (tuple, list)) or len(item) != 2:  # noqa: PLR2004 - a pair
            return None
        name, value = item
        if not isinstance(name, (str, bytes)) or isinstance(value, (int, float)):  # a count
            return None
        if hasattr(type(item), "_asdict"):  # a named tuple with two fields
            return None
        key = described(name)
        if is_in_list or (self.is_secret(key) and is_no_word(value)):
            return [self._clean(key, walk), self._under(key, value, walk)]
        return None


_ARGUMENTS = 200
_SCALARS = frozenset({str, bool, int, float})
