"""Any Python object makes one valid line in every format, and nothing is raised."""

from __future__ import annotations

import collections
import datetime as dt
import logging
import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from pantheon_obs.core import guard
from pantheon_obs.core.settings import resolve
from pantheon_obs.sinks.logs.emitter import Emitter
from pantheon_obs.sinks.logs.entry import Entry
from tests.support.lines import parse_line

FORMATS = {
    name: Emitter(resolve(None, {"log_format": name})) for name in ("json", "text", "console")
}
# Of a terminal or a reader of lines; a console's own colours are not on here.
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
HEADS = {
    "text": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} "),
    "console": re.compile(r"\d\d:\d\d:\d\d"),
}


def fail(*_arguments: Any, **_options: Any) -> Any:
    """Raise."""
    raise RuntimeError


def recurse(*_arguments: Any, **_options: Any) -> Any:
    """Raise the error in which a circle of calls ends."""
    raise RecursionError


BEHAVIOURS = (
    fail,
    recurse,
    lambda *_: None,
    lambda *_: 7,
    lambda *_: "forged\n\x1b[31m\x9b",
    lambda *_: b"bytes",
    lambda *_: iter([1, (2, 3), "four"]),
    lambda self, *_: self,
)
METHODS = (
    *("__repr__", "__str__", "__len__", "__iter__", "__eq__", "__hash__", "__bool__", "__float__"),
    *("__int__", "__index__", "__getattribute__", "__getitem__", "__contains__", "__format__"),
    *("items", "keys", "values", "decode", "isoformat", "value", "__class__", "__fspath__"),
)
BASES = (
    *(object, str, int, float, bytes, bytearray, list, tuple, dict, set, frozenset, ValueError),
    *(collections.UserDict, collections.UserList, collections.deque, dt.timedelta, complex),
)


def hostile(base: type, methods: dict[str, Any]) -> Any:
    """Make an object of a class whose methods do as they like."""
    claims = {key: property(methods[key]) for key in methods if key == "__class__"}
    made = type("Hostile", (base,), claims)
    value = made()
    for name in methods.keys() - claims:
        setattr(made, name, methods[name])
    return value


texts = st.text(st.characters(codec=None), max_size=20)
keys = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.binary(max_size=20)
    | st.complex_numbers()
)
scalars = (
    keys
    | st.decimals()
    | st.fractions()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
    | st.timedeltas()
    | st.uuids()
    | st.ip_addresses()
    | st.sampled_from([dt, fail, Emitter, type, ..., NotImplemented, range(3), memoryview(b"x")])
)
objects = st.builds(
    hostile,
    st.sampled_from(BASES),
    st.dictionaries(st.sampled_from(METHODS), st.sampled_from(BEHAVIOURS), max_size=4),
)
values = st.recursive(
    scalars | objects,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(texts | st.just("password"), inner)
        | st.dictionaries(keys, inner, max_size=4)
        | st.lists(inner, max_size=3).map(collections.deque)
        | st.dictionaries(texts, inner, max_size=3).map(collections.OrderedDict)
    ),
    max_leaves=12,
)


def rendered(format_name: str, entry: Entry) -> bytes:
    """Render an entry: exactly one line comes, and nothing of ours fails."""
    lines: list[bytes] = []
    guard.forget()
    FORMATS[format_name].emit(entry, lambda line, _level: lines.append(line))
    [line] = lines
    assert b"\n" == line[-1:]
    return line[:-1]


@given(
    event=texts,
    logger=texts,
    fields=st.dictionaries(texts, values, max_size=4),
    error=st.none() | (texts | values).map(LookupError),
)
@example(event="", logger="", fields={"": None}, error=None)
def test_any_object_makes_one_line(
    event: str, logger: str, fields: dict[str, Any], error: LookupError | None
) -> None:
    """A line of JSON is valid; other formats cannot be broken, and no terminal obeys them."""
    entry = Entry(logging.INFO, event, logger, fields, error, "t-1", {})

    parsed = parse_line(rendered("json", entry))
    assert ("t-1", "info") == (parsed["trace_id"], parsed["level"])
    assert frozenset() == guard.reported()
    for name, head in HEADS.items():
        text = rendered(name, entry).decode("utf-8")
        first, *others = text.split("\n")
        assert head.match(first)
        assert all(other.startswith("    ") or not other for other in others)
        assert None is CONTROL.search(text)
        assert frozenset() == guard.reported()
