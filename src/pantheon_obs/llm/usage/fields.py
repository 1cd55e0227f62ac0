"""Read the fields of the application's values.

`getattr` of a missing attribute costs 5 µs on a pydantic object and may run the application's own
`__getattr__`. So fields are looked up where they are stored: in a dict's keys, the instance's
`__dict__`, the class and the extra fields of a pydantic object. Objects that give their fields by
`__getattr__` only are seen as dicts; they may have more than we ask for, so their calls have no
list price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = "keys of a mapping"  # among the names of a class: its objects have fields as a dict has
EXTRA = "__pydantic_extra__"  # where pydantic keeps fields that a class does not declare
_NO_FIELDS: dict[str, Any] = {}
_MOST_KEPT = 1024
_NO_FIELD = "no_field_of_an_answer"


class Memo(dict[Any, Any]):
    """Keeps a decision for each class or text, which is asked for as `memo[type(value)]`.

    It answers in half the time of `lru_cache`. Bounded: a function may make a new class on each
    call.
    """

    def __init__(self, decide: Callable[[Any], Any]) -> None:
        super().__init__()
        self._decide = decide

    def __missing__(self, key: Any) -> Any:
        if len(self) >= _MOST_KEPT:
            self.clear()
        decided = self[key] = self._decide(key)
        return decided


def _class_fields(kind: Any) -> frozenset[str]:
    names = {name for base in kind.__mro__ if base.__module__ != "builtins" for name in vars(base)}
    declared = getattr(vars(kind).get("DESCRIPTOR"), "fields_by_name", ())  # of a protocol buffer
    is_mapping = issubclass(kind, Mapping) and not issubclass(kind, dict)
    return frozenset({*names, *declared, *([KEYS] if is_mapping else ())})


class_fields = Memo(_class_fields)
"""The names that a class and its bases define; of a builtin class none, or `KEYS`."""


def field(value: Any, name: str) -> Any:
    """Return a value's key or attribute of this name, or None."""
    if value is None:
        return None
    own: Any = value if isinstance(value, dict) else getattr(value, "__dict__", _NO_FIELDS)
    if name in own:
        return own[name]
    kind: Any = type(value)
    names = class_fields[kind]
    if name in names:
        return getattr(value, name, None)
    if EXTRA in names:
        return (getattr(value, EXTRA, None) or _NO_FIELDS).get(name)
    return value.get(name) if KEYS in names else None


def field_at(value: Any, *path: str) -> Any:
    """Return the field at the end of a path of names, or None."""
    for name in path:
        value = field(value, name)
    return value


def items_of(value: Any) -> Sequence[Any]:
    """Return the value if it is a list or a tuple, else one without items."""
    return value if isinstance(value, (list, tuple)) else ()


def either(value: Any, *names: str) -> Any:
    """Return the first of these fields that is not None, or None."""
    for name in names:
        found = field(value, name)
        if found is not None:
            return found
    return None


def any_of(value: Any, *names: str) -> bool:
    """Whether one of these fields is neither missing nor empty."""
    return any(field(value, name) for name in names)


def has(value: Any, name: str) -> bool:
    """Whether the value has a field of this name, be it None."""
    kind: Any = type(value)
    own: Any = value if isinstance(value, dict) else getattr(value, "__dict__", ())
    names = class_fields[kind]
    return name in own or name in names or (KEYS in names and name in value)


def opener(*names: str) -> Callable[[Any], Any]:
    """Make a function that opens a value, so that `get` of its result reads these fields.

    Without names it returns a dict of the fields that the value stores. An answer is read by some
    40 fields; to decide how a class is opened once, not for each field, takes a third of the time.
    """
    ways = Memo(partial(_way, names))

    def opened(value: Any) -> Any:
        way = ways[type(value)]
        if way is not None:
            return way(value)
        own = value.__dict__  # pydantic's
        try:
            extra = value.__pydantic_extra__
        except AttributeError:  # it was made without its constructor
            return own
        return {**own, **extra} if extra else own

    return opened


def _way(names: tuple[str, ...], kind: Any) -> Callable[[Any], Any] | None:
    """Return a function that opens the objects of a class; None for pydantic's."""
    known = class_fields[kind]
    if issubclass(kind, dict):
        return lambda value: value
    if KEYS in known:
        return dict
    has_dict = any("__dict__" in vars(base) for base in kind.__mro__)
    if has_dict and known.isdisjoint(names):
        return None if EXTRA in known else vars
    if names:  # of slots, or of properties, as in Azure's SDK
        return lambda value: SimpleNamespace(get=partial(field, value))
    declared = _declared(kind)
    return lambda value: {name: field(value, name) for name in declared}


def _declared(kind: Any) -> tuple[str, ...]:
    """Return the fields of a class whose objects have no `__dict__`; none of a builtin class."""
    slots = [name for base in kind.__mro__ for name in vars(base).get("__slots__", ())]
    return (*getattr(vars(kind).get("DESCRIPTOR"), "fields_by_name", ()), *slots)


stored = opener()


def as_text(value: object) -> str | None:
    """Return the value as a plain `str` if it is a non-empty string, else None."""
    if type(value) is str:
        return value or None
    if isinstance(value, str) and value:
        return str.__str__(value)  # the value of a `class Model(str, Enum)`, not its name
    return None


class Asked(dict[str, Any]):
    """The fields of an object, each of which is asked for when it is read first."""

    def __init__(self, subject: Any) -> None:
        super().__init__()
        self._subject = subject

    def __contains__(self, name: object) -> bool:
        """Whether the object has a field of this name, be it None. A method is no field."""
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
    names = class_fields[kind]
    return "__getattr__" in names and EXTRA not in names


def asked(value: Any) -> Asked | None:
    """Return an object that gives fields by `__getattr__` as a dict; None for any other object.

    An object that has every field, such as a mock, counts as one without fields.
    """
    if not is_asked(type(value)):
        return None
    found = Asked(value)
    return None if _NO_FIELD in found else found


def _seen(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_seen(each) for each in value]
    return Asked(value) if is_asked(type(value)) else value
