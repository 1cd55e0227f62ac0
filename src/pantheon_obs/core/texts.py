"""Read facts of a request or response that have any type where the other side breaks the rules."""

from __future__ import annotations

_STATUSES = range(100, 1000)


def text_of(value: object) -> str:
    """A text of a request; the empty one in place of what is none."""
    return str(value) if isinstance(value, str) else ""


def status_of(value: object) -> int | None:
    """An HTTP status as a plain number (it may be an `http.HTTPStatus`); None for what is none."""
    if type(value) is not int:
        if not isinstance(value, int):
            return None
        value = int(value)
    return value if value in _STATUSES else None
