"""Read facts of a request or response that have any type where the other side breaks the rules."""

from __future__ import annotations

_LEAST, _MOST = 100, 999  # statuses
_MOST_DIGITS = 18  # Python converts at most 4,300, and JSON's readers 64 bits


def text_of(value: object) -> str:
    """A text of a request; empty if the value is no text."""
    return str(value) if isinstance(value, str) else ""


def status_of(value: object) -> int | None:
    """An HTTP status as a plain number (it may be an `http.HTTPStatus`); None if it is none."""
    if type(value) is not int:
        if not isinstance(value, int):
            return None
        value = int(value)
    return value if _LEAST <= value <= _MOST else None


def number_in(text: object) -> int | None:
    """Return the whole number that a text from outside is; None if it is none, or a huge one."""
    if isinstance(text, str) and text.isdecimal() and len(text) <= _MOST_DIGITS:
        return int(text)
    return None
