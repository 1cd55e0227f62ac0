"""Any value makes one valid line; the renderer never raises."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import fractions
import json
import logging
import pathlib
import types
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pantheon_obs import bind, configure_logging, get_logger, trace_context
from pantheon_obs.sinks.logs.entry import Entry
from pantheon_obs.sinks.logs.formats import json_format
from pantheon_obs.sinks.logs.line import LineBuilder
from pantheon_obs.sinks.redact.redactor import Redactor
from tests.logs.running import run
from tests.support.lines import parse_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Logged = Callable[[], list[dict[str, Any]]]


class Colour(enum.Enum):
    """A plain enumeration."""

    RED = "red"


class Word(str, enum.Enum):  # noqa: UP042 - the older kind is still about
    """An enumeration of strings."""

    A = "a"


class Status(enum.IntEnum):
    """An enumeration of numbers."""

    OK = 200


LEAVES = """
class Leaves:
    def __repr__(self):
        raise {kind}

configure_logging(log_format="json")
value = Leaves()
with trace_context("t"):
    bind(bound=value)
    get_logger("a").info("e", value=value, deep=[{{"deeper": value}}], keys={{value: 1}})
    get_logger("a").info("e %s", value)
    get_logger("a").info(value)
logging.getLogger("a").info("e %s", value, extra={{"value": value}})
logging.getLogger("a").info(value)
try:
    raise LookupError(value)
except LookupError:
    logging.getLogger("a").exception("failed")
"""


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt"])
def test_a_value_that_ends_the_process_ends_only_its_own_text(kind: str) -> None:
    """The application would not have read it here."""
    done = run(LEAVES.format(kind=kind))

    shown = f"<Leaves: {kind} while it was read>"
    assert ([4, 2, 2, 2, 1, 0], 0) == (
        [json.dumps(line).count(shown) for line in done.lines],
        done.status,
    )


ENDS = """
import functools, os, signal, sys

class Slow:
    def __init__(self, number):
        self.number = number
    def __repr__(self):
        signal.raise_signal(self.number)
        return "slow"

def leave(how, number, frame):
    sys.exit(how)

signal.signal(signal.SIGTERM, functools.partial(leave, 3))
configure_logging(log_format="json")
try:
    get_logger("a").info("e", value=Slow(signal.SIGINT))
except KeyboardInterrupt:
    get_logger("a").info("interrupted")
get_logger("a").info("e", value=Slow(signal.SIGTERM))
"""


def test_a_signal_that_comes_while_a_value_is_read_is_obeyed() -> None:
    """Ctrl-C, and a handler of the application that exits, are not the value's."""
    done = run(ENDS)

    assert (["interrupted"], 3) == ([line["event"] for line in done.lines], done.status)


class Broken:
    """An object whose text cannot be read."""

    def __repr__(self) -> str:
        """Raise."""
        msg = "no text"
        raise RuntimeError(msg)


class Lying(str):
    """A string whose methods all raise."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    def __str__(self) -> str:
        raise RuntimeError


class Opaque:
    """An object with a text of its own."""

    def __repr__(self) -> str:
        """Give a lone surrogate."""
        return "<opaque \ud800>"


class BrokenMapping(collections.UserDict[str, object]):
    """A mapping that cannot be iterated."""

    def __iter__(self) -> Iterator[str]:
        """Fail."""
        raise OSError


def circular() -> list[object]:
    """Make a list that contains itself, and a dict that contains it."""
    value: list[object] = [1]
    value.append({"again": value})
    return value


def deep(levels: int) -> object:
    """Make lists within lists."""
    value: object = "end"
    for _ in range(levels):
        value = [value]
    return value


def wide(levels: int) -> object:
    """Make few objects that would be very many if each reference were written out."""
    value: object = "end"
    for _ in range(levels):
        value = [value, value]
    return value


moment = dt.datetime(2026, 2, 23, 12, 0, tzinfo=dt.UTC)

PLAIN = {
    "nan": (float("nan"), "nan"),
    "infinity": (float("-inf"), "-inf"),
    "float": (1.5, 1.5),
    "largest 64-bit": (2**64 - 1, 2**64 - 1),
    "beyond 64 bits": (2**64, str(2**64)),
    "below 64 bits": (-(2**63) - 1, str(-(2**63) - 1)),
    "beyond the digits limit": (10**5000, hex(10**5000)),
    "none": (None, None),
    "bool": (True, True),
    "bytes": (b"a\xff", "a\\xff"),
    "bytearray": (bytearray(b"a"), "a"),
    "memoryview": (memoryview(b"a"), "a"),
    "surrogate": ("a\ud800", "a\\ud800"),
    "separators": ("a\u2028b\x00\n", "a\u2028b\x00\n"),
    "tuple": ((1, (2,)), [1, [2]]),
    "set": ({1}, [1]),
    "deque": (collections.deque([1, 2]), [1, 2]),
    "items": ({"a": 1}.items(), [["a", 1]]),
    "keys": ({"a": 1}.keys(), ["a"]),
    "mapping": (types.MappingProxyType({"a": 1}), {"a": 1}),
    "keys of any type": ({1: "a", None: "b", (2,): "c", b"d": "d"}, None),
    "enum": (Colour.RED, "red"),
    "enum of strings": (Word.A, "a"),
    "enum of numbers": (Status.OK, 200),
    "decimal": (decimal.Decimal("1.10"), "1.10"),
    "fraction": (fractions.Fraction(1, 4), 0.25),
    "uuid": (uuid.UUID(int=1), str(uuid.UUID(int=1))),
    "datetime": (moment, "2026-02-23T12:00:00+00:00"),
    "date": (moment.date(), "2026-02-23"),
    "time": (moment.time(), "12:00:00"),
    "timedelta": (dt.timedelta(minutes=40), 2400.0),
    "keys of one text": (
        {1: "a", "1": "b", "1_1": "c"},
        {"1": "a", "1_1": "b", "1_1_2": "c"},
    ),
    "path": (pathlib.PurePosixPath("/tmp/x"), "/tmp/x"),  # noqa: S108 - only a name
    "exception": (ValueError("boom"), "ValueError('boom')"),
    "broken": (Broken(), "<Broken: RuntimeError while it was read>"),
    "broken inside": ([Broken(), 1], ["<Broken: RuntimeError while it was read>", 1]),
    "broken mapping": (BrokenMapping(a=1), "<BrokenMapping: OSError while it was read>"),
    "broken key": ({Broken(): 1}, {"<Broken: RuntimeError while it was read>": 1}),
    "lying string": (Lying("x"), "x"),
    "opaque": (Opaque(), "<opaque \\ud800>"),
    "circular": (circular(), [1, {"again": "<circular>"}]),
    "deep": (deep(1000), None),
    "wide": (wide(60), None),
    "many": ([0] * 150_000, [0] * 150_000),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_value_has_a_plain_form(logged: Logged, name: str) -> None:
    """The plain form is the same at every depth and for every kind of logger."""
    configure_logging(log_format="json")
    value, expected = PLAIN[name]

    get_logger("a").info("e", value=value, within={"list": [value]})
    logging.getLogger("a").info("e", extra={"value": value, "within": {"list": [value]}})
    with trace_context("t"):
        bind(value=value, within={"list": [value]})
        logging.getLogger("a").info("e")

    lines = logged()
    assert 3 == len(lines)
    if expected is not None or value is None:
        assert [expected] * 3 == [line["value"] for line in lines]
        assert [expected] * 3 == [line["within"]["list"][0] for line in lines]


def test_keys_of_any_type_are_text(logged: Logged) -> None:
    """Keys become text, because JSON has only strings as keys."""
    configure_logging(log_format="json")

    logging.getLogger("a").info(
        "e", extra={7: 1, "\ud800": 2, "value": PLAIN["keys of any type"][0]}
    )

    [line] = logged()
    assert (1, 2) == (line["7"], line["\\ud800"])
    assert {"1": "a", "None": "b", "(2,)": "c", "d": "d"} == line["value"]


def test_fields_whose_names_become_the_same_are_all_kept(logged: Logged) -> None:
    """Keys of a dict that become one text, and a reserved name beside its replacement."""
    configure_logging(log_format="json")

    for _ in range(2):
        logging.getLogger("a").info({1: "a", "1": "b", "level": "c", "level_": "d"})

    fields = {"1": "b", "1_": "a", "level_": "d", "level__": "c"}
    assert [fields] * 2 == [{key: line.get(key) for key in fields} for line in logged()]


def test_controls_are_escaped_in_json() -> None:
    """No line has a control as it is, in a key or a value, and a reader gets them back."""
    controls = "".join(map(chr, [*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029]))
    line = {"timestamp": "t", "event": controls, controls: [controls], "name": "é\u2019"}

    rendered = json_format(line)

    assert rendered[:-1].decode().isprintable()
    assert line == json.loads(rendered)


def test_a_field_whose_key_lies_is_kept(logged: Logged) -> None:
    """A key of `extra` whose methods raise keeps its field."""
    configure_logging(log_format="json")

    get_logger("a").info(Lying("e"), **{"\ud800": "x"})

    [line] = logged()
    assert ("e", "x") == (line["event"], line["\\ud800"])


def test_text_that_utf_8_cannot_encode_is_escaped_everywhere(logged: Logged) -> None:
    """Message, logger, key and value may contain lone surrogates."""
    configure_logging(log_format="json")

    logging.getLogger("name \ud800").error("event \udfff", extra={"key": "value \ud8ff"})

    [line] = logged()
    assert ("name \\ud800", "event \\udfff", "value \\ud8ff") == (
        line["logger"],
        line["event"],
        line["key"],
    )


def test_a_line_that_cannot_be_built_is_still_a_line(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure of ours the event is still written, and the failure is reported once."""
    configure_logging(log_format="json")

    clean = Redactor._clean  # noqa: SLF001 - a planted defect

    def fail(self: Redactor, value: object, walk: Any) -> object:
        if type(value) is list:
            msg = "defect"
            raise LookupError(msg)
        return clean(self, value, walk)

    monkeypatch.setattr(Redactor, "_clean", fail)
    with trace_context("t-1"):
        get_logger("a").info("first", value=[1])
        get_logger("a").info("second", value=[1], exc_info=ValueError("boom"))

    failed, first, second = logged()
    assert ("telemetry_failed", "log line", "LookupError") == tuple(
        failed[key] for key in ("event", "site", "error_type")
    )
    assert ["first", "second"] == [first["event"], second["event"]]
    assert ["t-1", "t-1"] == [first["trace_id"], second["trace_id"]]
    assert "ValueError: boom" == second["exception"]


def test_not_even_a_defect_beyond_repair_reaches_the_application(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If nothing can be rendered, the application runs on."""
    configure_logging(log_format="json")

    def fail(*_arguments: object) -> object:
        raise LookupError

    monkeypatch.setattr(LineBuilder, "build", fail)
    get_logger("a").info("lost")

    assert (b"", b"") == tuple(capsysbinary.readouterr())


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.decimals()
    | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(
    event=st.text(st.characters(codec=None)),
    fields=st.dictionaries(st.text(st.characters(codec=None)), anything),
)
@example(event="", fields={"error_type": None})
def test_any_event_with_any_fields_is_one_valid_line(event: str, fields: dict[str, Any]) -> None:
    """Random values never break the renderer."""
    builder = LineBuilder(Redactor(), {})

    rendered = json_format(builder.build(Entry(logging.INFO, event, "a", fields), logging.INFO))

    assert b"\n" == rendered[-1:]
    assert 1 == rendered.count(b"\n")
    parse_line(rendered[:-1])
