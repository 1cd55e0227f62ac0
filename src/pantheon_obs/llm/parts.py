"""Look at the host's values without a side effect where there is nothing to see.

`getattr` of what is missing costs 5 µs on a pydantic object and may run the host's `__getattr__`.
So we look where a value's parts really are: a dict's keys, the instance's `__dict__`, the class,
the extra fields of a pydantic object.
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

HostValue: TypeAlias = Any
"""A value of the host's: it can be anything, so only `part` and `has` look inside."""

EXTRA = "__pydantic_extra__"  # where pydantic keeps fields that a class does not declare
_NO_PARTS: dict[str, Any] = {}


@lru_cache(maxsize=4096)  # bounded: a class that a function makes anew each time must not pile up
def class_parts(kind: HostValue) -> frozenset[str]:
    """The names that a class and its bases define; none for a builtin one."""
    return frozenset(
        name for base in kind.__mro__ if base.__module__ != "builtins" for name in vars(base)
    )


def part(value: HostValue, name: str) -> HostValue:
    """The value's part of this name, or None."""
    if value is None:
        return None
    own: HostValue = value if isinstance(value, dict) else getattr(value, "__dict__", _NO_PARTS)
    if name in own:
        return own[name]
    kind: HostValue = type(value)
    names = class_parts(kind)
    if name in names:
        return getattr(value, name, None)
    if EXTRA in names:
        return (getattr(value, EXTRA, None) or _NO_PARTS).get(name)
    return None


def parts_reader(*names: str) -> Callable[[HostValue], tuple[HostValue, ...]]:
    """What reads several parts of a value at once, for less than `part` of each costs.

    Args:
        names: At least two.
    """
    take = itemgetter(*names)

    def read(value: HostValue) -> tuple[HostValue, ...]:
        own: HostValue = value if isinstance(value, dict) else getattr(value, "__dict__", _NO_PARTS)
        try:  # an SDK's objects have all of their parts, None or not
            found: tuple[HostValue, ...] = take(own)
        except KeyError:
            return tuple([part(value, name) for name in names])
        return found

    return read


def either(value: HostValue, *names: str) -> HostValue:
    """The first part of these names that there is, or None."""
    for name in names:
        found = part(value, name)
        if found is not None:
            return found
    return None


def has(value: HostValue, name: str) -> bool:
    """Whether the value has a part of this name, be it None."""
    kind: HostValue = type(value)
    own: HostValue = value if isinstance(value, dict) else getattr(value, "__dict__", ())
    return name in own or name in class_parts(kind)


def text(value: object) -> str | None:
    """The value if it is text with something in it, as a plain `str`; else None."""
    if isinstance(value, str) and value:
        return str.__str__(value)  # the value of a `class Model(str, Enum)`, not its name
    return None
