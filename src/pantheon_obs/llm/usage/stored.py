"""Read several fields of a value at once, from where its class stores them.

An answer is read by some 40 fields. `fields.field` decides for each of them where it may be. Here
that is decided once for each class, which takes a third of the byte codes.
"""

from __future__ import annotations

from functools import lru_cache, partial
from operator import attrgetter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.fields import EXTRA, class_fields, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _opener(names: tuple[str, ...], kind: Any) -> Any:
    """Return a function that takes an object of a class, and returns its fields and extra ones.

    Without names, these are the fields that it stores.
    """
    known = class_fields(kind)
    if issubclass(kind, dict):
        return _open_dict
    if not kind.__dictoffset__ or not known.isdisjoint(names):  # slots, or properties as Azure's
        return _open_one_by_one if names else partial(_open_declared, _declared(kind))
    return attrgetter("__dict__", EXTRA) if EXTRA in known else _open_object


def _open_dict(value: Any) -> tuple[Any, Any]:
    return value, None


def _open_object(value: Any) -> tuple[Any, Any]:
    return value.__dict__, None


def _open_one_by_one(value: Any) -> tuple[Any, Any]:
    return SimpleNamespace(get=partial(field, value)), None


def _open_declared(names: tuple[str, ...], value: Any) -> tuple[Any, Any]:
    return {name: field(value, name) for name in names}, None


def _declared(kind: Any) -> tuple[str, ...]:
    """Return the fields of a class whose objects have no `__dict__`; none of a builtin class."""
    slots = [name for base in kind.__mro__ for name in vars(base).get("__slots__", ())]
    return (*getattr(vars(kind).get("DESCRIPTOR"), "fields_by_name", ()), *slots)


# Bounded: a function may make a new class on each call.
_opener_of: Callable[[Any], Any] = lru_cache(maxsize=1024)(partial(_opener, ()))


def stored(value: Any) -> dict[str, Any]:
    """Return the fields that a value stores, by their names."""
    try:
        own, extra = _opener_of(type(value))(value)
    except AttributeError:  # a pydantic object that was made without its constructor
        return value.__dict__  # type: ignore[no-any-return]
    return {**own, **extra} if extra else own


def fields_reader(*names: str) -> Callable[[Any], Iterator[Any]]:
    """Make a function that reads these fields one after another; one that is not there is None."""
    opener_of: Callable[[Any], Any] = lru_cache(maxsize=1024)(partial(_opener, names))

    def read(value: Any) -> Iterator[Any]:
        try:
            own, extra = opener_of(type(value))(value)
        except AttributeError:  # as above
            return map(partial(field, value), names)
        return map({**own, **extra}.get if extra else own.get, names)

    return read
