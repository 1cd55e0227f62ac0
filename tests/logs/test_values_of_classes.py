"""Objects of any class come out as plain values; nothing of theirs runs that has an effect."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import email.message
import enum
import ipaddress
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn
from unittest import mock

import pytest

from pantheon_obs import configure_logging, get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    Logged = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def shown(logged: Logged) -> Callable[[object], Any]:
    """Return a function that logs a value and reads it from the line."""

    def show(value: object) -> Any:
        configure_logging(log_format="json")
        get_logger("a").info("e", value=value)
        [line] = logged()
        return line["value"]

    return show


Shown = Any


class Loaf(NamedTuple):
    """A named tuple with a secret."""

    grams: int
    password: str


class Crust(enum.Enum):
    """A key of a mapping."""

    DARK = "dark"


@dataclasses.dataclass
class Oven:
    """Fields that are shown, and one that is not."""

    degrees: int
    loaf: Loaf
    code: str = dataclasses.field(default="4711", repr=False)
    unset: int = dataclasses.field(init=False)

    @property
    def hot(self) -> NoReturn:
        """Fail, as nobody may ask."""
        raise AssertionError


@dataclasses.dataclass(slots=True)
class Tray:
    """Slots, one of which is not filled."""

    loaves: int
    unset: int = dataclasses.field(init=False)


class Pair(Sequence[int]):
    """A sequence of the application's own."""

    def __init__(self, length: int) -> None:
        """Keep the length."""
        self.length = length

    def __len__(self) -> int:
        """Return the length."""
        return self.length

    def __getitem__(self, index: Any) -> Any:
        """Count."""
        if index >= 2:
            raise IndexError
        return index


class Headers:
    """A mapping that says so to nobody, as werkzeug's headers are."""

    def __init__(self, *pairs: tuple[object, object]) -> None:
        """Keep the pairs."""
        self._pairs = pairs

    def keys(self) -> list[object]:
        """Return the names."""
        return [name for name, _ in self._pairs]

    def items(self) -> list[tuple[object, object]]:
        """Return the pairs."""
        return list(self._pairs)

    def __getitem__(self, key: str) -> object:
        """Find a value."""
        return dict(self._pairs)[key]

    def __contains__(self, key: str) -> bool:
        """Whether a name is there."""
        return key in dict(self._pairs)


message = email.message.Message()
message["To"] = "ada"

with closing(sqlite3.connect(":memory:")) as database:
    database.row_factory = sqlite3.Row
    row = database.execute("SELECT 'ada' AS name, 'x' AS password").fetchone()

SHOWN: dict[str, tuple[object, object]] = {
    "address": (ipaddress.ip_address("2001:db8::1"), "2001:db8::1"),
    "network": (ipaddress.ip_network("198.51.100.0/24"), "198.51.100.0/24"),
    "interface": (ipaddress.ip_interface("198.51.100.7/24"), "198.51.100.7/24"),
    "named tuple": (Loaf(500, "x"), {"grams": 500, "password": "[redacted]"}),
    "dataclass": (
        Oven(220, Loaf(500, "x")),
        {"degrees": 220, "loaf": {"grams": 500, "password": "[redacted]"}},
    ),
    "slots": (Tray(3), {"loaves": 3}),
    "class": (Tray, f"<class '{Tray.__module__}.Tray'>"),
    "user dict": (collections.UserDict({"token": "x"}), {"token": "[redacted]"}),
    "user list": (collections.UserList([{"token": "x"}]), [{"token": "[redacted]"}]),
    "user string": (collections.UserString("rye"), "rye"),
    "row of sqlite3": (row, {"name": "ada", "password": "[redacted]"}),
    "sequence": (Pair(2), [0, 1]),
    "long sequence": (Pair(10**9), "<Pair: 1000000000 items>"),
    "range": (range(10**12), "range(0, 1000000000000)"),
    "array": (array.array("d", [1.5]), [1.5]),
    "headers": (
        Headers(("A", 1), ("A", 2), ("Cookie", "x")),
        {"A": 1, "A_1": 2, "Cookie": "[redacted]"},
    ),
    "message": (message, {"To": "ada"}),
    "keys": (
        {Crust.DARK: 1, 1: "number", "1": "text", False: 0, None: None},
        {"dark": 1, "1": "number", "1_2": "text", "False": 0, "None": None},
    ),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_value_comes_out_plain(shown: Shown, name: str) -> None:
    """Fields, items and texts are shown, secrets among them are masked."""
    value, expected = SHOWN[name]

    assert expected == shown(value)


class Asked(dict[str, int]):
    """A dict that counts, as one that loads its items would."""

    def items(self) -> Any:
        """Fail."""
        raise AssertionError

    def __iter__(self) -> Iterator[str]:
        """Fail."""
        raise AssertionError


class Listed(list[int]):
    """A list that computes its items."""

    def __iter__(self) -> Iterator[int]:
        """Fail."""
        raise AssertionError


class Query:
    """Something that fetches when it is iterated or shown, as a query of Django's does."""

    def __iter__(self) -> Iterator[int]:
        """Fail."""
        raise AssertionError

    def __aiter__(self) -> Any:
        """Fail."""
        raise AssertionError

    def __len__(self) -> int:
        """Fail."""
        raise AssertionError

    __repr__ = __str__ = __len__  # type: ignore[assignment]


def fail(_value: object) -> NoReturn:
    """Fail, as nobody may ask."""
    raise AssertionError


# A proxy that computes its object when it is asked for its class.
Lazy = type("Lazy", (), {"__class__": property(fail), "__repr__": lambda _: "<Lazy>"})


class Opposing:
    """An object whose every attribute raises."""

    def __getattribute__(self, name: str) -> NoReturn:
        """Fail."""
        raise ZeroDivisionError

    def __repr__(self) -> str:
        """Give a text."""
        return "<Opposing>"


def never() -> Iterator[int]:
    """Fail when it is started."""
    raise AssertionError
    yield


def test_nothing_runs_that_may_have_an_effect(shown: Shown) -> None:
    """No item is computed, no generator started, no property read, and no query made."""
    generator = never()

    assert {"a": 1} == shown(Asked(a=1))
    assert [1] == shown(Listed([1]))
    assert "<Lazy>" == shown(Lazy())
    assert "<Opposing>" == shown(Opposing())
    assert "Query object at 0x" in shown(Query())
    assert "<generator object never" in shown(generator)
    assert "Mock" in shown(mock.Mock(spec=dict))
    assert "Mock" in shown(mock.MagicMock())


class Unhashed(type):
    """A metaclass whose classes cannot be hashed."""

    __hash__ = None  # type: ignore[assignment]


def test_a_class_that_cannot_be_judged_is_described(shown: Shown) -> None:
    """A value of such a class keeps its place on the line, as a key does."""
    hostile = Unhashed("Hostile", (), {})()

    expected = "<Hostile: TypeError while it was read>"
    assert expected == shown(hostile)
    assert [1] == list(shown({hostile: 1}).values())


def test_objects_of_attrs(shown: Shown) -> None:
    """Fields are shown as attrs would show them: hidden ones are not, formatters are used."""
    attrs = pytest.importorskip("attrs")
    loaf = attrs.make_class(
        "Loaf",
        {
            "grams": attrs.field(),
            "token": attrs.field(default="x"),
            "code": attrs.field(default="4711", repr=False),
            "owner": attrs.field(default="ada", repr=lambda name: name[0] + "…"),
            "unset": attrs.field(init=False),
        },
        slots=True,
    )(500)

    assert {"grams": 500, "token": "[redacted]", "owner": "a…"} == shown(loaf)


def test_objects_of_pydantic(shown: Shown) -> None:
    """Fields and extra fields are shown; no serializer runs."""
    pydantic = pytest.importorskip("pydantic")

    def serialize(_value: object) -> int:
        raise AssertionError

    model = pydantic.create_model(
        "Loaf",
        __config__=pydantic.ConfigDict(extra="allow"),
        grams=(Annotated[int, pydantic.PlainSerializer(serialize)], 500),
        password=(pydantic.SecretStr, pydantic.SecretStr("x")),
        code=(str, pydantic.Field("4711", repr=False)),
        baked=(dt.date, dt.date(2026, 11, 29)),
    )

    assert {
        "grams": 500,
        "password": "[redacted]",
        "baked": "2026-11-29",
        "extra": 1,
    } == shown(model(extra=1))


def test_objects_of_pydantic_1(shown: Shown) -> None:
    """The models of its first version, which many services still have."""
    pydantic = pytest.importorskip("pydantic.v1")

    model = pydantic.create_model(
        "Loaf", grams=(int, 500), code=(str, pydantic.Field("4711", repr=False))
    )

    assert {"grams": 500} == shown(model())


def test_objects_of_msgspec(shown: Shown) -> None:
    """The fields of a struct are slots."""
    msgspec = pytest.importorskip("msgspec")

    loaf = msgspec.defstruct("Loaf", [("grams", int), ("token", str)])

    assert {"grams": 500, "token": "[redacted]"} == shown(loaf(500, "x"))


def test_rows_of_sqlalchemy(shown: Shown) -> None:
    """A row has the names of its columns."""
    sqlalchemy = pytest.importorskip("sqlalchemy")

    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        row = connection.execute(sqlalchemy.text("SELECT 1 AS grams, 'x' AS password")).one()
    engine.dispose()

    assert {"grams": 1, "password": "[redacted]"} == shown(row)


def test_proxies_are_shown_as_their_objects(shown: Shown) -> None:
    """A dict behind a proxy is masked like any other; an unbound proxy says so."""
    local = pytest.importorskip("werkzeug.local")
    wrapt = pytest.importorskip("wrapt")
    target = {"token": "x"}

    assert {"token": "[redacted]"} == shown(local.LocalProxy(lambda: target))
    assert {"token": "[redacted]"} == shown(wrapt.ObjectProxy(target))
    assert "<LocalProxy: RuntimeError while it was read>" == shown(local.Local()("unbound"))


def test_values_of_numpy(shown: Shown) -> None:
    """Scalars and arrays become Python's own values; a huge array is described."""
    numpy = pytest.importorskip("numpy")

    assert shown(numpy.bool_(1)) is True
    assert 7 == shown(numpy.int64(7))
    assert [[1, 2], [3, 4]] == shown(numpy.array([[1, 2], [3, 4]]))
    assert [1.5, "nan"] == shown(numpy.array([1.5, float("nan")]))
    assert "2026-11-29T00:00:00" == shown(numpy.datetime64("2026-11-29", "ns"))
    assert [2400.0] == shown(numpy.array([40], "timedelta64[m]"))
    assert "1.5" == shown(numpy.longdouble(1.5))
    assert "<ndarray: float64 (1000000,)>" == shown(numpy.zeros(1_000_000))
    assert {"1": "a"} == shown({numpy.int64(1): "a"})


def test_lazy_objects_of_django_stay_lazy(shown: Shown) -> None:
    """A user that nobody has asked for is not loaded; a translated text is its text."""
    functional = pytest.importorskip("django.utils.functional")

    lazy = functional.SimpleLazyObject(lambda: fail(None))

    assert "<SimpleLazyObject: " == shown(lazy)[:19]
    assert "hello" == shown(functional.lazystr("hello"))


def test_a_mapping_is_read_by_its_own_items(shown: Shown) -> None:
    """A mapping of any class is read as its class says."""

    class Doubled(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            return 2

        def __iter__(self) -> Iterator[str]:
            return iter(["a", "b"])

        def __len__(self) -> int:
            return 2

    assert json.loads('{"a": 2, "b": 2}') == shown(Doubled())
