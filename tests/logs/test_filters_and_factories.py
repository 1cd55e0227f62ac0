"""Filters, factories and classes of an application run on every line, ours too."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import bind, configure_logging, get_logger, instrument, trace_context
from pantheon_obs.core.pipeline import emit
from tests.logs.running import run
from tests.support.events import request_finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.core.events import RequestFinished

    Logged = Callable[[], list[dict[str, Any]]]

CARD = "5500 0000 0000 0004"
NAMES = ("a", "pantheon_obs.request")


def hidden(text: object) -> str:
    """Mask the numbers of cards in a text."""
    return re.sub(r"\d{4}( \d{4}){3}", "CARD", str(text))


class Cards(logging.Filter):
    """Masks the message and a field, adds one and removes one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record."""
        record.msg, record.args = hidden(record.getMessage()), ()
        for name, value in list(vars(record).items()):
            if isinstance(value, str) and name != "name":
                vars(record)[name] = hidden(value)
        record.desk = 4
        vars(record).pop("internal", None)
        return True


class Masked(logging.LogRecord):
    """A record that masks its message, and has a field more."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.desk = 4
        self.region = "north"

    def getMessage(self) -> str:  # noqa: N802 - the name is logging's
        """Mask the message."""
        return hidden(super().getMessage())


class Till(logging.Logger):
    """A logger that masks and adds fields when it makes a record."""

    def makeRecord(self, *args: Any, **options: Any) -> logging.LogRecord:  # noqa: N802 - as above
        """Mask the message of a new record, and add a field."""
        return marked(super().makeRecord(*args, **options))


def marked(record: logging.LogRecord) -> logging.LogRecord:
    """Mask the message of a record, and add a field."""
    record.msg, record.args, record.desk = hidden(record.getMessage()), (), 4
    return record


def by_filter(patch: pytest.MonkeyPatch) -> None:
    """Put a filter on the loggers."""
    for name in NAMES:
        patch.setattr(logging.getLogger(name), "filters", [Cards()])


def by_filter_of_ours(patch: pytest.MonkeyPatch) -> None:
    """Put a filter on our handler."""
    [ours] = [h for h in logging.getLogger().handlers if type(h).__name__ == "ObsHandler"]
    ours.addFilter(Cards())


def by_factory(patch: pytest.MonkeyPatch) -> None:
    """Set a record factory."""
    patch.setattr(logging, "_logRecordFactory", Masked)


def by_class(patch: pytest.MonkeyPatch) -> None:
    """Give the loggers a class of the application's."""
    for name in NAMES:
        patch.setattr(logging.getLogger(name), "__class__", Till)


def by_patch(patch: pytest.MonkeyPatch) -> None:
    """Replace a method of all loggers, as tracing libraries do."""
    make = logging.Logger.makeRecord
    patch.setattr(logging.Logger, "makeRecord", lambda *given, **more: marked(make(*given, **more)))


def by_get_message(patch: pytest.MonkeyPatch) -> None:
    """Replace the method that reads the message, before logging is configured."""
    read = logging.LogRecord.getMessage
    patch.setattr(logging.LogRecord, "getMessage", lambda self: hidden(read(self)))


WAYS = [by_filter, by_filter_of_ours, by_factory, by_class]


@pytest.mark.parametrize("way", WAYS)
def test_the_application_s_masking_runs_on_every_line(
    logged: Logged, monkeypatch: pytest.MonkeyPatch, way: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """Plain and structured lines are changed alike, and so is an event of the library."""
    configure_logging(log_format="json")
    way(monkeypatch)

    with trace_context("t-1"):
        bind(tenant="acme")
        logging.getLogger("a").warning(f"paid with {CARD}")  # noqa: G004 - no arguments
        logging.getLogger("a").warning("paid with %s", CARD)
        get_logger("a").warning(f"paid with {CARD}", order=1)
        get_logger("a").warning({"paid": CARD})
    emit(fact())

    *lines, finished = logged()
    assert ["paid with CARD"] * 3 + ["{'paid': 'CARD'}"] == [line["event"] for line in lines]
    assert [4] * 5 == [line["desk"] for line in (*lines, finished)]
    assert ["acme"] * 4 == [line["tenant"] for line in lines]
    assert [None, None, 1, None] == [line.get("order") for line in lines]
    assert ("t-2", "acme") == (finished["trace_id"], finished["tenant"])
    assert ["latency_ms", "outcome"] == [
        key for key in finished if key in ("latency_ms", "outcome")
    ]


def fact(**changes: Any) -> RequestFinished:
    """Make the event of a request."""
    path, bound = f"/pay/{CARD}", {"tenant": "acme"}
    return request_finished(**{"trace_id": "t-2", "path": path, "bound": bound} | changes)


def test_a_filter_may_mask_and_remove_fields(logged: Logged) -> None:
    """Its changed value of a field is on the line, under the field's own name."""
    configure_logging(log_format="json")
    for name in NAMES:
        logging.getLogger(name).addFilter(cards := Cards())

    get_logger("a").warning("e", card=CARD, name=CARD, internal=CARD, kept=7)
    emit(fact())
    for name in NAMES:
        logging.getLogger(name).filters.clear()

    line, finished = logged()
    assert cards is not None
    assert {"card": "CARD", "name": "CARD", "kept": 7, "desk": 4} == {
        key: value
        for key, value in line.items()
        if key not in ("timestamp", "level", "event", "logger")
    }
    assert "/pay/CARD" == finished["path"]


def test_a_filter_may_take_the_exception_away(logged: Logged) -> None:
    """A structured event without its traceback is one without its type."""
    configure_logging(log_format="json")

    def without(record: logging.LogRecord) -> bool:
        record.exc_info = None
        return True

    logging.getLogger("a").addFilter(without)
    get_logger("a").error("e", exc_info=ValueError("x"))
    logging.getLogger("a").removeFilter(without)

    assert ["timestamp", "level", "event", "logger"] == list(logged()[0])


def test_a_factory_may_have_the_name_of_a_field(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event's own field counts, where logging itself would refuse it."""
    configure_logging(log_format="json")
    by_factory(monkeypatch)

    get_logger("a").warning("e", region="south")

    assert [("south", 4)] == [(line["region"], line["desk"]) for line in logged()]


@pytest.mark.parametrize("way", ["by_patch", "by_get_message"])
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_methods_that_a_library_replaces_run_on_every_line(way: str, *, first: bool) -> None:
    """Tracing libraries replace methods of all loggers and records, before us or after."""
    done = run(
        "from pantheon_obs.sinks.logs import configure\n" * (not first)
        + "configure_logging(log_format='json')\n" * (not first)
        + f"""
import pytest
from tests.logs import test_filters_and_factories as application
application.{way}(pytest.MonkeyPatch())
configure_logging(log_format="json")
logging.getLogger("a").warning("paid with %s", application.CARD)
get_logger("a").warning("paid with " + application.CARD)
"""
    )

    assert ["paid with CARD"] * 2 == done.events


def test_only_a_logger_with_a_way_of_its_own_needs_records() -> None:
    """A line takes three times as long with one."""
    done = run("""
        configure_logging()
        class Named(logging.Logger):
            def describe(self): pass
        class Making(logging.Logger):
            def makeRecord(self, *args, **options): return super().makeRecord(*args, **options)
        loggers = [logging.getLogger()]
        for kind in (logging.Logger, Named, Making):
            logging.setLoggerClass(kind)
            loggers.append(logging.getLogger(kind.__name__))
        [ours] = logging.getLogger().handlers
        logging.info("%s", [each.name for each in loggers if ours.is_direct(each)])
    """)

    assert ["['root', 'Logger', 'Named']"] == done.events


def test_a_factory_that_was_there_first_keeps_its_fields() -> None:
    """The standard attributes are known from `logging.LogRecord`, whatever the factory adds."""
    done = run("""
        import importlib, sys
        def factory(*args, **options):
            record = logging.LogRecord(*args, **options)
            record.region = "north"
            return record
        logging.setLogRecordFactory(factory)
        for name in [name for name in sys.modules if name.startswith("pantheon_obs")]:
            del sys.modules[name]
        from pantheon_obs import configure_logging, get_logger
        configure_logging(log_format="json")
        logging.getLogger("a").warning("plain", extra={"order": 1, "left": 2})
        get_logger("a").warning("structured", order=1, left=2)
    """)

    assert [("north", 1, 2)] * 2 == [(e["region"], e["order"], e["left"]) for e in done.lines]


def test_an_attribute_that_is_gone_hides_no_field(logged: Logged) -> None:
    """The fields of `extra=` are found wherever they stand."""
    configure_logging(log_format="json")

    def remove(record: logging.LogRecord) -> bool:
        del record.processName
        return True

    logging.getLogger("a").addFilter(remove)
    logging.getLogger("a").warning("e", extra={"order": 1, "left": 2})
    logging.getLogger("a").removeFilter(remove)

    assert [(1, 2)] == [(line["order"], line["left"]) for line in logged()]


@pytest.fixture
def console() -> Iterator[Callable[[str, logging.Filter], None]]:
    """Give a logger a console handler with a filter."""
    added: list[logging.Logger] = []

    def add(name: str, chosen: logging.Filter | None) -> None:
        handler = logging.StreamHandler()
        handler.filters = [chosen] if chosen else []
        logging.getLogger(name).addHandler(handler)
        added.append(logging.getLogger(name))

    yield add
    for logger in added:
        logger.handlers.clear()


class Only(logging.Filter):
    """Passes records whose message has a word, and counts."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add a field, and look for the word."""
        record.seen = True
        return self.name in record.getMessage()


def test_filters_of_a_console_handler_go_on_when_it_is_replaced(
    logged: Logged, console: Callable[[str, logging.Filter | None], None]
) -> None:
    """A line comes if one of the root logger's handlers would have printed it."""
    console("", Only("tea"))
    console("", Only("milk"))
    configure_logging(log_format="json")

    for word in ("tea", "milk", "rum"):
        logging.getLogger("a").warning(word)
        get_logger("a").warning(word)

    assert [("tea", True)] * 2 + [("milk", True)] * 2 == [(e["event"], e["seen"]) for e in logged()]


def test_filters_of_a_handler_below_root_change_records_and_drop_none(
    logged: Logged, console: Callable[[str, logging.Filter | None], None]
) -> None:
    """Root's handlers, or others, may have printed records that one logger's handler did not."""
    console("shop", Only("tea"))
    console("", None)
    configure_logging(log_format="json")

    for name in ("shop", "shop.basket", "shopping"):
        logging.getLogger(name).warning("rum")

    assert [True, True, None] == [line.get("seen") for line in logged()]


def test_a_configuration_that_is_taken_back_brings_its_own_filters() -> None:
    """The filters of the handlers before it are forgotten, with the handlers."""
    done = run("""
        from pantheon_obs.sinks.logs import configure
        def handler(word):
            each = logging.StreamHandler()
            each.addFilter(lambda record: word in record.getMessage())
            return each
        logging.getLogger().addHandler(handler("tea"))
        configure_logging(log_format="json")
        logging.basicConfig(handlers=[handler("milk")], force=True)
        configure.reassert()
        for word in ("tea", "milk"):
            logging.getLogger("a").warning(word)
    """)

    assert ["milk"] == done.events


def broken(*_arguments: object, **_options: object) -> Any:
    """Be a hook that raises."""
    raise LookupError


class BrokenHandler(logging.Handler):
    """A handler that raises."""

    emit = staticmethod(broken)  # type: ignore[assignment]


def with_factory(monkeypatch: pytest.MonkeyPatch, factory: object) -> None:
    """Make records by a factory, which pytest's own handlers need not get."""
    monkeypatch.setattr(logging, "_logRecordFactory", factory)


@pytest.mark.parametrize("place", ["factory", "filter", "first handler", "last handler"])
def test_a_hook_that_raises_costs_neither_the_start_nor_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """The application starts, and each request has its line, once."""
    root = logging.getLogger()
    if place == "factory":
        with_factory(monkeypatch, broken)
    elif place == "filter":
        monkeypatch.setattr(logging.getLogger("pantheon_obs"), "filters", [broken])
        monkeypatch.setattr(logging.getLogger("pantheon_obs.request"), "filters", [broken])
    elif place == "first handler":
        monkeypatch.setattr(root, "handlers", [BrokenHandler()])

    instrument(application, log_format="json")
    if place == "last handler":
        root.addHandler(BrokenHandler())
    emit(request_finished())
    root.handlers = [each for each in root.handlers if type(each) is not BrokenHandler]

    assert 1 == capsys.readouterr().out.count('"event":"request_finished"')


async def application(_scope: Any, _receive: Any, _send: Any) -> None:
    """Do nothing."""


def test_a_factory_that_makes_no_record_is_as_without_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A logger whose filter refuses everything never looks at it."""
    configure_logging(log_format="json")
    logger = logging.getLogger("refusing")
    monkeypatch.setattr(logger, "filters", [lambda _record: False])
    with_factory(monkeypatch, lambda *_arguments, **_options: object())

    logger.warning("never seen")
