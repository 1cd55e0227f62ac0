"""Each record gives one line, however a filter changes it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import configure_logging, get_logger
from pantheon_obs.sinks.logs.superseded import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Logged = Callable[[], list[dict[str, Any]]]


class Odd:
    """An object that raises whatever it is asked for."""

    def __getattribute__(self, name: str) -> Any:
        """Raise."""
        raise LookupError(name)

    __str__ = __repr__ = __int__ = __float__ = __hash__ = __eq__ = None  # type: ignore[assignment]


VALUES = {
    "NaN": float("nan"),
    "infinite": float("inf"),
    "negative": -1.5,
    "huge": 10**5000,
    "a large number": 1e300,
    "text": "yesterday",
    "None": None,
    "a list": [1],
    "hostile": Odd(),
}


@pytest.fixture
def spoil() -> Iterator[Callable[..., None]]:
    """Set attributes of the records of logger `a`, and take them away where the value is `...`."""
    changes: dict[str, Any] = {}

    def change(record: logging.LogRecord) -> bool:
        for name, value in changes.items():
            record.__dict__.pop(name, None)
            if value is not ...:
                record.__dict__[name] = value
        return True

    logger = logging.getLogger("a")
    logger.addFilter(change)
    yield changes.update
    logger.removeFilter(change)


@pytest.mark.parametrize("name", ["created", "msecs", "levelno", "levelname", "name"])
@pytest.mark.parametrize("value", VALUES)
def test_an_odd_attribute_costs_no_line(
    logged: Logged, spoil: Callable[..., None], name: str, value: str
) -> None:
    """The lines of the standard library and of structured loggers are whole, and nothing else."""
    configure_logging(log_format="json")
    spoil(**{name: VALUES[value]})

    logging.getLogger("a").warning("plain", extra={"order": 1})
    get_logger("a").warning("structured", order=2)

    assert [("plain", 1), ("structured", 2)] == [
        (line["event"], line["order"]) for line in logged()
    ]


@pytest.mark.parametrize(
    "name",
    ["created", "levelno", "name", "msg", "args", "exc_info", "exc_text", "stack_info", "process"],
)
def test_an_attribute_that_is_gone_costs_no_line(
    logged: Logged, spoil: Callable[..., None], name: str
) -> None:
    """The rest of the record is logged, beside one report that something was missing."""
    configure_logging(log_format="json")
    spoil(**{name: ...})

    logging.getLogger("a").warning("plain", extra={"order": 1})

    lines = [line for line in logged() if line["event"] != "telemetry_failed"]
    assert 1 == len(lines)
    assert lines[0]["event"] == ("" if name == "msg" else "plain")


def test_a_record_of_another_handler_keeps_its_odd_time(
    logged: Logged, spoil: Callable[..., None]
) -> None:
    """Where others see the record, a level that cannot be compared costs none of them a line."""
    configure_logging(log_format="json")
    seen: list[int] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.levelno)

    handler = Collector()
    logging.getLogger("a").addHandler(handler)
    spoil(levelno=None)

    logging.getLogger("a").warning("plain")
    logging.getLogger("a").removeHandler(handler)

    assert [30] == seen
    assert ["warning"] == [line["level"] for line in logged()]


@pytest.mark.parametrize(
    ("level", "expected"),
    [(True, "level 1"), (30.0, "warning"), ("error", "error"), (25, "level 25")],
)
def test_a_level_in_another_form_is_read(
    logged: Logged, spoil: Callable[..., None], level: object, expected: str
) -> None:
    """A number of another type, and the name of a level, stand for the level."""
    configure_logging(log_format="json")
    spoil(levelno=level)

    logging.getLogger("a").warning("plain")

    assert [expected] == [line["level"] for line in logged()]


def test_a_level_with_an_empty_name_has_its_number(logged: Logged) -> None:
    """Applications may name levels as they like."""
    configure_logging(log_format="json")
    logging.addLevelName(41, "")

    logging.getLogger("a").log(41, "plain")

    assert ["level 41"] == [line["level"] for line in logged()]


@pytest.mark.parametrize(
    ("exc_info", "error_type"),
    [
        (ValueError("x"), "ValueError"),
        ((), None),
        ((None, ValueError("x")), "ValueError"),
        (7, None),
    ],
)
def test_an_exception_in_another_form_is_found(
    logged: Logged, spoil: Callable[..., None], exc_info: object, error_type: str | None
) -> None:
    """It may be alone, or in an invalid triple."""
    configure_logging(log_format="json")
    spoil(exc_info=exc_info)

    logging.getLogger("a").warning("plain")

    assert [error_type] == [line.get("error_type") for line in logged()]


def lost() -> tuple[Any, Any, Any]:
    """Raise an exception, and take its traceback off it, as libraries do to break a circle."""
    try:
        {}["key"]
    except KeyError as error:
        traceback, error.__traceback__ = error.__traceback__, None
        return type(error), error, traceback


def test_a_traceback_that_is_only_in_the_triple_is_told(logged: Logged) -> None:
    """Both kinds of loggers take it from there, as logging's own formatter does."""
    configure_logging(log_format="json")
    kind, _, traceback = lost()

    logging.getLogger("a").error("plain", exc_info=lost())
    get_logger("a").error("structured", exc_info=lost())
    logging.getLogger("a").error("no exception", exc_info=(kind, None, traceback))

    plain, structured, without = logged()
    assert ["in lost" in line["exception"] for line in (plain, structured)] == [True, True]
    assert "in lost" in without["traceback"]
    assert without["traceback"].endswith("\nKeyError")


def test_a_dict_as_the_message_is_the_line_s_fields(logged: Logged) -> None:
    """Its `event` is the event, and secrets under its keys are masked."""
    configure_logging(log_format="json")
    given = {"event": "baked", "loaf": 3, "password": "x", 7: "y"}

    logging.getLogger("a").info(given, extra={"order": 1})
    logging.getLogger("a").info({"loaf": 4})
    logging.getLogger("a").info({"event": ["odd"]})

    baked, bare, odd = logged()
    assert {"event": "baked", "loaf": 3, "password": "[redacted]", "7": "y", "order": 1} == {
        key: value for key, value in baked.items() if key not in ("timestamp", "level", "logger")
    }
    assert ("", 4, "['odd']") == (bare["event"], bare["loaf"], odd["event"])
    assert {"event": "baked", "loaf": 3, "password": "x", 7: "y"} == given


def test_a_dict_of_structlog_s_formatter_leaves_structlog_s_own_out(logged: Logged) -> None:
    """`ProcessorFormatter.wrap_for_formatter` puts the logger on the record."""
    configure_logging(log_format="json")

    extra = {"_logger": logging.getLogger("a"), "_name": "info"}
    logging.getLogger("a").info({"event": "baked", "loaf": 3}, extra=extra)

    [line] = logged()
    assert ["timestamp", "level", "event", "logger", "loaf"] == list(line)


def test_stacklevel_is_no_field(logged: Logged, caplog: pytest.LogCaptureFixture) -> None:
    """It counts callers for those who see records, as in logging."""
    configure_logging(log_format="json")

    def helper(level: object) -> None:
        get_logger("a").info("e", stacklevel=level)

    helper(2)
    assert [False] == ["stacklevel" in line for line in logged()]

    logging.getLogger().addHandler(caplog.handler)
    helper(1)
    helper(2)
    helper(10**6)
    helper("two")
    logging.getLogger().removeHandler(caplog.handler)

    assert ["helper", "test_stacklevel_is_no_field"] == [r.funcName for r in caplog.records[:2]]
    assert [None, None, None, "two"] == [line.get("stacklevel") for line in logged()]


@pytest.mark.parametrize("level", ["TRACE", 5, "5"], ids=["name", "number", "digits"])
def test_trace_is_a_level(logged: Logged, level: object) -> None:
    """`log_level` may be the name of a level that nobody has registered yet, or a number."""
    configure_logging(log_format="json", log_level=level)

    logging.getLogger("a").log(5, "shown")
    logging.getLogger("a").log(4, "hidden")

    assert ["shown"] == [line["event"] for line in logged() if line["logger"] == "a"]


def test_a_level_of_the_application_s_own_may_be_log_level(logged: Logged) -> None:
    """Its name counts in any case, and so does a number that has none."""
    logging.addLevelName(23, "Whisper")
    configure_logging(log_format="json", log_level="whisper")
    logging.getLogger("a").log(23, "shown")
    configure_logging(log_format="json", log_level=24)
    logging.getLogger("a").log(23, "hidden")

    assert [("shown", "whisper")] == [(line["event"], line["level"]) for line in logged()]


@pytest.mark.parametrize("name", [*RULES, "a"])
def test_arguments_that_do_not_fit_lose_nothing(name: str, logged: Logged) -> None:
    """This holds also on loggers some of whose records are replaced by our events."""
    configure_logging()

    logging.getLogger(name).error("%d apples", "x", extra={"k": 1})

    [line] = logged()
    assert ("%d apples % (x)", 1, name) == (line["event"], line["k"], line["logger"])
