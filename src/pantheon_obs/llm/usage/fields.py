"""Read fields of the application's values, and hold those that a call's answer has reported.

`getattr` of a missing attribute costs 5 µs on a pydantic object and may run the application's own
`__getattr__`. So fields are looked up where they are stored: in a dict's keys, the instance's
`__dict__`, the class and the extra fields of a pydantic object.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from functools import lru_cache, partial
from operator import attrgetter
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pantheon_obs.core.llm_events import UsageStatus

KEYS = "keys of a mapping"  # among the names of a class: its objects have fields as a dict has
EXTRA = "__pydantic_extra__"  # where pydantic keeps fields that a class does not declare
COUNTS = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_NO_FIELDS: dict[str, Any] = {}
_NOTHING: Mapping[str, Any] = MappingProxyType({})
# Larger numbers are wrong, and JSON readers that only have floats would not keep them.
_TOKENS = range(1, 2**53 + 1)
_MAX_USD = 10**9
# The application's own decimal context may round to a few digits, or raise.
EXACT = Context(prec=60)


class Reported:
    """Everything that the response or the chunks of one call have reported so far.

    Class attributes are the values of what was not reported.
    """

    content = False  # whether a part of the answer has arrived
    finished: bool | None = None  # whether the terminal chunk has; None if the shape has none
    finish_reason: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: Decimal | None = None  # the vendor's own figure, in USD
    # More counts that are billed, under the names of genai-prices' usage fields. A total is here
    # only where the billed one is another than the used one.
    details: Mapping[str, int] = _NOTHING
    served: Mapping[str, str] = _NOTHING  # the ways of being served that have prices of their own
    vendor: str | None = None  # the only one whose answers have this shape
    parts: list[Reported] | tuple[()] = ()  # of the whole, if they are to be priced one by one
    partial = False  # whether a part of the usage is known to be missing
    job: str | None = None  # the id of an answer that may be retrieved later
    in_background = False  # whether the answer was, or is being, made after its call had returned
    no_answer = False  # whether a body had nothing of an answer
    # Why it failed, in the provider's words for machines.
    error_type: str | None = None
    error_status: int | None = None
    error_code: str | None = None
    request_id: str | None = None

    @property
    def usage_status(self) -> UsageStatus:
        """`reported` if both counts are known, `partial` if one is, else `missing`."""
        if self.input_tokens is not None and self.output_tokens is not None:
            return "partial" if self.partial else "reported"
        return "missing" if self.input_tokens is self.output_tokens else "partial"


@lru_cache(maxsize=4096)  # bounded: a function may make a new class on each call
def class_fields(kind: Any) -> frozenset[str]:
    """The names that a class and its bases define; of a builtin class none, or `KEYS`."""
    names = {name for base in kind.__mro__ if base.__module__ != "builtins" for name in vars(base)}
    declared = getattr(vars(kind).get("DESCRIPTOR"), "fields_by_name", ())  # of a protocol buffer
    is_mapping = issubclass(kind, Mapping) and not issubclass(kind, dict)
    return frozenset({*names, *declared, *([KEYS] if is_mapping else ())})


def field(value: Any, name: str) -> Any:
    """Return a value's key or attribute of this name, or None."""
    if value is None:
        return None
    own: Any = value if isinstance(value, dict) else getattr(value, "__dict__", _NO_FIELDS)
    if name in own:
        return own[name]
    kind: Any = type(value)
    names = class_fields(kind)
    if name in names:
        return getattr(value, name, None)
    if EXTRA in names:
        return (getattr(value, EXTRA, None) or _NO_FIELDS).get(name)
    return value.get(name) if KEYS in names else None


def either(value: Any, *names: str) -> Any:
    """Return the first of these fields that is not None, or None."""
    for name in names:
        found = field(value, name)
        if found is not None:
            return found
    return None


def has(value: Any, name: str) -> bool:
    """Whether the value has a field of this name, be it None."""
    kind: Any = type(value)
    own: Any = value if isinstance(value, dict) else getattr(value, "__dict__", ())
    names = class_fields(kind)
    return name in own or name in names or (KEYS in names and name in value)


def _opener(names: tuple[str, ...], kind: Any) -> Callable[[Any], tuple[Any, Any]]:
    """Return a function that takes an object of a class, and returns its fields and extra ones.

    Without names, these are the fields that it stores.
    """
    known = class_fields(kind)
    if issubclass(kind, dict):
        return lambda value: (value, None)
    if KEYS in known:
        return lambda value: (dict(value), None)
    has_dict = any("__dict__" in vars(base) for base in kind.__mro__)
    if has_dict and known.isdisjoint(names):
        pydantic: Any = attrgetter("__dict__", EXTRA)
        return pydantic if EXTRA in known else lambda value: (value.__dict__, None)
    if names:  # of slots, or of properties as those of Azure's SDK
        return lambda value: (SimpleNamespace(get=partial(field, value)), None)
    declared = _declared(kind)
    return lambda value: ({name: field(value, name) for name in declared}, None)


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


def text(value: object) -> str | None:
    """Return the value as a plain `str` if it is a non-empty string, else None."""
    if type(value) is str:
        return value or None
    if isinstance(value, str) and value:
        return str.__str__(value)  # the value of a `class Model(str, Enum)`, not its name
    return None


def count(value: object, before: int | None = None) -> int | None:
    """Return the value if it is a number of tokens, else the count known before.

    A 0 never replaces a count: some gateways repeat the usage with zeros.
    """
    if type(value) is int:
        return value if value in _TOKENS or (value == 0 and not before) else before
    if type(value) is float and value.is_integer():  # Cohere's client has floats
        return count(int(value), before)
    return before


def read_counts(usage: Any, reported: Reported, names: tuple[str, ...] = COUNTS) -> bool:
    """Read the fields of these names, in the order of `COUNTS`, from a usage object."""
    for name, kept in zip(names, COUNTS, strict=False):
        found = field(usage, name)
        if found is not None:
            setattr(reported, kept, count(found, getattr(reported, kept)))
    return True


def amount(value: object, most: int = _MAX_USD) -> Decimal | None:
    """Return the value if it is an amount of money, else None."""
    if type(value) is float:
        money = Decimal(repr(value))  # 0.1 is a tenth, not the binary number next to it
    elif type(value) is int or isinstance(value, Decimal):
        money = Decimal(value)
    else:
        return None
    return money if money.is_finite() and 0 <= money <= most else None


def add_counts(sums: Reported, part: Any) -> None:
    """Add the counts of a usage or an event."""
    for name in COUNTS:
        number = getattr(part, name)
        if number is not None:
            setattr(sums, name, (getattr(sums, name) or 0) + number)


def add_up(reported: Reported, parts: Iterable[Reported]) -> None:
    """Make a usage of the sums of its parts."""
    sums = Reported()
    for part in parts:
        add_part(sums, part)
    take_sums(reported, sums)


def add_part(sums: Reported, part: Reported) -> None:
    """Add one part; the sums have a cost if each of the parts has one."""
    if not sums.parts:
        sums.parts, sums.cost = [], part.cost
    elif sums.cost is not None:
        sums.cost = None if part.cost is None else EXACT.add(sums.cost, part.cost)
    sums.parts.extend(part.parts or (part,))
    sums.partial = sums.partial or part.usage_status != "reported"
    add_counts(sums, part)


def take_sums(reported: Reported, sums: Reported) -> None:
    """Keep the sums of parts; a cost of the whole stays if the parts have none."""
    for name in (*COUNTS, "parts", "partial"):
        setattr(reported, name, getattr(sums, name))
    if sums.cost is not None:
        reported.cost = sums.cost
