"""Look at the host's values without a side effect where there is nothing to see.

`getattr` of what is missing costs 5 µs on a pydantic object and may run the host's `__getattr__`.
So we look where a value's parts really are: a dict's keys, the instance's `__dict__`, the extra
fields of a pydantic object, the class.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

PLAIN = frozenset(
    {type(None), bool, int, float, complex, str, bytes, bytearray, memoryview, list, tuple, range}
    | {set, frozenset, type(...), type, type(len), type(lambda: None)}
)
"""Types whose instances have no part that says anything of a call."""

_EXTRA = "__pydantic_extra__"


@lru_cache(maxsize=4096)
def on_class(kind: type, name: str) -> bool:
    """Whether the class or one of its bases defines this name."""
    return any(name in vars(base) for base in kind.__mro__)


def has(value: Any, name: str) -> bool:
    """Whether the value has a part of this name, be it None."""
    if isinstance(value, dict):
        return name in value
    kind = type(value)
    if kind in PLAIN:
        return False
    return name in getattr(value, "__dict__", ()) or on_class(kind, name) or name in _extra(value)


def part(value: Any, name: str) -> Any:
    """The value's part of this name, or None."""
    if isinstance(value, dict):
        return value.get(name)
    kind = type(value)
    if kind in PLAIN:
        return None
    own = getattr(value, "__dict__", None)
    if own is not None and name in own:
        return own[name]
    if on_class(kind, name):
        return getattr(value, name, None)
    return _extra(value).get(name)


def text(value: Any) -> str | None:
    """The value if it is text with something in it, as a plain `str`; else None."""
    if isinstance(value, str) and value:
        return str.__str__(value)  # the value of a `class Model(str, Enum)`, not its name
    return None


def _extra(value: Any) -> dict[str, Any]:
    if on_class(type(value), _EXTRA):
        return getattr(value, _EXTRA, None) or {}
    return {}
