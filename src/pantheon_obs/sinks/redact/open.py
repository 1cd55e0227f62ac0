"""Open any value by one level, in the way that its class allows, without importing the class.

Nothing of the value runs that could have an effect: fields are read where they are stored, not
through properties or serializers, and nothing is iterated that may fetch or compute its items.
"""

from __future__ import annotations

import dataclasses
import math
from collections import UserString, deque
from collections.abc import Mapping, MappingView, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import lru_cache
from inspect import getattr_static
from itertools import islice
from numbers import Integral, Number, Real
from os import PathLike, fspath
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.redact.plain import RAISED, described, utf8

if TYPE_CHECKING:
    from collections.abc import Callable

    Opener = Callable[[Any], object]

_CLASSES = 1024
_MOST = 10_000
_UNSET = object()


class Pairs(list[tuple[object, object]]):
    """The items of a mapping, or the fields of an object by their names."""


def opened(value: object) -> object:
    """Return `Pairs`, a list, or something plainer than the value; at the end a plain scalar."""
    kind: Any = type(value)
    return _opener_of(kind)(value)


def key_text(key: object) -> str:
    """Return the text of a key of any type; never raises."""
    if type(key) is str:
        return utf8(key)
    try:
        form = opened(key)
    except RAISED:  # its text may still be readable
        return described(key)
    return described(key if isinstance(form, list) else form)


@lru_cache(_CLASSES)
def _opener_of(kind: Any) -> Opener:  # noqa: ANN401 - a class
    """Decide once per class, and by the class: a value may report a wrong class."""
    if any("__class__" in vars(base) for base in kind.__mro__[:-1]):
        return _opener_of_proxies(kind)
    if hasattr(kind, "dtype") and hasattr(kind, "tolist"):
        return _array  # numpy's scalars too
    for bases, opener in _BY_BASE:
        if issubclass(kind, bases):
            return opener
    shown = _fields_of(kind)
    return _opener_by_methods(kind) if shown is None else _opener_of_fields(kind, shown)


def _opener_by_methods(kind: Any) -> Opener:  # noqa: ANN401 - a class
    if all(hasattr(kind, name) for name in ("keys", "items", "__getitem__", "__contains__")):
        return lambda value: Pairs(value.items())
    if hasattr(kind, "__aiter__"):  # its repr may fetch, as a Django query's repr does
        return object.__repr__
    base: Any = object
    hashable = kind.__hash__ not in (None, base.__hash__)
    if hashable and kind.__lt__ is not base.__lt__ and kind.__str__ is not base.__str__:
        return str  # it is compared by its value, as addresses and versions are
    return repr


def _opener_of_proxies(kind: type) -> Opener:
    """Open proxies that say for which object they stand; asking others may compute the object."""
    if hasattr(kind, "_get_current_object"):  # werkzeug's and Celery's
        return lambda value: value._get_current_object()  # noqa: SLF001 - documented by werkzeug
    if hasattr(kind, "__wrapped__"):
        return lambda value: value.__wrapped__
    return repr


def _array(value: Any) -> object:  # noqa: ANN401 - an array of any library
    """Open an array, or a scalar of its library, by its own conversion."""
    dtype, shape = value.dtype, tuple(getattr(value, "shape", ()))
    if math.prod(shape) > _MOST:
        return f"<{type(value).__name__}: {dtype} {shape}>"
    unit = {"M": "datetime64[us]", "m": "timedelta64[us]"}.get(getattr(dtype, "kind", ""))
    plain = (value.astype(unit) if unit else value).tolist()
    return str(value) if type(plain) is type(value) else plain  # a float of 128 bits


def _sequence(value: Any) -> object:  # noqa: ANN401 - any sequence or set
    if hasattr(type(value), "_asdict"):  # a named tuple, or a row of SQLAlchemy's
        return Pairs(value._asdict().items())
    if hasattr(type(value), "keys"):  # a row of sqlite3's, which iterates over its values
        return Pairs(zip(value.keys(), value, strict=False))
    if len(value) > _MOST:
        return f"<{type(value).__name__}: {len(value)} items>"
    return list(islice(value, _MOST))


def _tuple(value: tuple[object, ...]) -> object:
    if hasattr(type(value), "_asdict"):
        return _sequence(value)
    return list(tuple.__iter__(value))


def _fields_of(kind: type) -> dict[str, Opener | None] | None:
    """Return the names of the fields that a class shows, each with its formatter, if it has one."""
    if dataclasses.is_dataclass(kind):
        return {field.name: None for field in dataclasses.fields(kind) if field.repr}
    attributes = getattr(kind, "__attrs_attrs__", None)
    if isinstance(attributes, tuple):
        shown = ((each.name, each.repr) for each in attributes if each.repr)
        return {name: read if callable(read) else None for name, read in shown}
    for name in ("__pydantic_fields__", "model_fields", "__fields__"):  # the last: pydantic 1
        fields = getattr(kind, name, None)
        if isinstance(fields, dict):
            infos = {key: getattr(field, "field_info", field) for key, field in fields.items()}
            return {key: None for key, info in infos.items() if getattr(info, "repr", True)}
    names = getattr(kind, "__struct_fields__", None)  # msgspec's
    return dict.fromkeys(names) if isinstance(names, tuple) else None


def _opener_of_fields(kind: type, shown: dict[str, Opener | None]) -> Opener:
    """Open objects by their fields, read where they are stored; one that is not set is left out."""
    found = {name: getattr_static(kind, name, None) for name in (*shown, "__pydantic_extra__")}
    slots = {name: each for name, each in found.items() if type(each) is MemberDescriptorType}

    def opener(value: object) -> Pairs:
        state = _state(value)
        pairs = Pairs()
        for name, read in shown.items():
            field = state[name] if name in state else _slot(slots.get(name), value)
            if field is not _UNSET:
                pairs.append((name, read(field) if read else field))
        extra = _slot(slots.get("__pydantic_extra__"), value)
        if isinstance(extra, dict):
            pairs.extend(extra.items())
        return pairs

    return opener


def _state(value: object) -> dict[str, object]:
    try:
        state: dict[str, object] = object.__getattribute__(value, "__dict__")
    except AttributeError:  # all fields are slots
        state = {}
    return state


def _slot(descriptor: MemberDescriptorType | None, value: object) -> object:
    try:
        return _UNSET if descriptor is None else descriptor.__get__(value)
    except AttributeError:  # a slot that is not filled
        return _UNSET


# The first that fits counts: an IntEnum is an Enum, and a bool is Integral.
_BY_BASE: tuple[tuple[type | tuple[type, ...], Opener], ...] = (
    (Enum, lambda value: value.value),
    (str, str.__str__),
    (UserString, str),  # a sequence of itself: it has no characters that are not of its class
    ((bytes, bytearray, memoryview), lambda value: described(bytes(value))),
    (dict, lambda value: Pairs(dict.items(value))),
    (Mapping, lambda value: Pairs(value.items())),
    (list, list.copy),
    (tuple, _tuple),
    ((set, frozenset, deque, MappingView), list),
    (range, repr),
    ((Sequence, AbstractSet), _sequence),
    (bool, bool),
    (Integral, int),
    (Real, float),
    (Number, str),  # a Decimal is one; importing decimal is not needed to know
    (BaseException, repr),
    ((datetime, date, time), lambda value: value.isoformat()),
    (timedelta, timedelta.total_seconds),
    (PathLike, fspath),
)
