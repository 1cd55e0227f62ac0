"""Objects that give their fields by `__getattr__`, seen as dicts.

They may have more than we ask for, so their calls have no list price.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pantheon_obs.llm.usage.fields import EXTRA, class_fields

_NO_FIELD = "no_field_of_an_answer"


class Asked(dict[str, Any]):
    """The fields of an object, each of which is asked for when it is read first."""

    def __init__(self, subject: Any) -> None:
        super().__init__()
        self._subject = subject

    def __contains__(self, name: object) -> bool:
        """Whether the object has a field of this name, be it None; methods are none."""
        if not super().__contains__(name):
            try:
                found = getattr(self._subject, str(name))
            except Exception:  # noqa: BLE001 - code of the application's
                return False
            if callable(found):
                return False
            self[str(name)] = _seen(found)
        return True

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or the default."""
        return super().get(name) if name in self else default

    def __bool__(self) -> bool:
        """Whether it is an object, however many of its fields were asked for."""
        return True


def is_asked(kind: Any) -> bool:
    """Whether the objects of a class give fields by `__getattr__`; pydantic's have them stored."""
    names = class_fields(kind)
    return "__getattr__" in names and EXTRA not in names


def asked(value: Any) -> Asked | None:
    """Return such an object as a dict; None for another, and for one that has every field."""
    if not is_asked(type(value)):
        return None
    found = Asked(value)
    return None if _NO_FIELD in found else found


def _seen(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_seen(each) for each in value]
    return Asked(value) if is_asked(type(value)) else value
