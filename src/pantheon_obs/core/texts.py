"""Read facts of a request or response that have any type where the other side breaks the rules."""

from __future__ import annotations

from typing import TypeGuard

_LEAST, _MOST = 100, 999


def text_of(value: object) -> str:
    """A text of a request; the empty one in place of what is none."""
    return str(value) if isinstance(value, str) else ""


def is_status(value: object) -> TypeGuard[int]:
    """Whether the value is an HTTP status."""
    return isinstance(value, int) and _LEAST <= value <= _MOST
