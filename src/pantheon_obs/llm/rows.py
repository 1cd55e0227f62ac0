"""Tables of shapes: which function reads a value that comes from anywhere."""

from __future__ import annotations

from collections.abc import Callable

from pantheon_obs.llm.parts import EXTRA, HostValue, class_parts
from pantheon_obs.llm.seen import Seen

# Reads a value into `Seen`; False declines: the value is not of this shape after all.
Shape = Callable[[HostValue, Seen], bool]
# A mark is a part that every value of that shape has.
Rows = tuple[tuple[str, Shape], ...]


def first(rows: Rows, value: HostValue, seen: Seen) -> bool:
    """Read a value by the first row whose mark it has and whose function does not decline."""
    if value is None:
        return False
    kind: HostValue = type(value)
    names = class_parts(kind)
    own: HostValue = value if isinstance(value, dict) else getattr(value, "__dict__", ())
    extra: HostValue = getattr(value, EXTRA, None) if EXTRA in names else None
    if extra:
        own = {**own, **extra}
    for mark, shape in rows:  # noqa: SIM110 - a generator would cost as much as all the rest
        if (mark in own or mark in names) and shape(value, seen):
            return True
    return False
