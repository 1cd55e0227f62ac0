"""structlog as applications configure it: their classes, processors and files stay theirs."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.handlers
import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pytest
import structlog

from pantheon_obs import configure_logging, get_logger
from pantheon_obs.testing import capture_events, reset
from tests.logs.running import run
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Logged = Callable[[], list[dict[str, Any]]]

processors = structlog.processors
stdlib = structlog.stdlib


@pytest.fixture(autouse=True)
def structlog_as_it_was() -> Iterator[None]:
    """Undo a test's changes of structlog's own configuration."""
    yield
    reset()
    structlog.reset_defaults()


def country(_logger: object, _method: str, event: Any) -> Any:
    """Add a field, as an application's processor does."""
    event["country"] = "NO"
    return event


def own_renderer(_logger: object, _method: str, event: Any) -> str:
    """Render an event in an application's own way."""
    return ", ".join(f"{key}: {value}" for key, value in event.items())


CHAINS: dict[str, list[Any]] = {
    "text": [country, own_renderer],
    "text of structlog": [country, processors.JSONRenderer()],
    "bytes": [country, processors.JSONRenderer(serializer=lambda *_, **__: b"{}")],
    "dict": [country],
    "two arguments": [country, stdlib.render_to_log_kwargs],
    "a record's message": [country, stdlib.ProcessorFormatter.wrap_for_formatter],
    "nothing": [country, lambda *_: None],
    "renamed": [country, processors.EventRenamer("msg"), processors.JSONRenderer()],
    "renamed at the end": [country, processors.EventRenamer("msg")],
    "keys that we have": [
        country,
        processors.add_log_level,
        processors.TimeStamper(fmt="iso"),
        processors.format_exc_info,
        processors.KeyValueRenderer(),
    ],
    "text after text": [country, own_renderer, lambda _logger, _method, text: text.encode()],
}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("late", [True, False], ids=["later", "before"])
def test_processors_of_the_application_run_and_the_line_is_ours(
    logged: Logged, chain: str, *, late: bool
) -> None:
    """Whatever the processors return becomes one line, of lazy, bound and our own loggers."""
    early = structlog.get_logger("early")
    if late:
        configure_logging(log_format="json")
    structlog.configure(processors=CHAINS[chain])
    if not late:
        configure_logging(log_format="json")

    for _ in range(2):  # a renderer of structlog's own runs the first time only
        early.warning("said", n=1)
    structlog.get_logger("late", n=2).bind(m=3).error("said")
    get_logger("ours").info("said", n=4)
    early.debug("hidden")

    lines = logged()
    assert [
        ("early", "warning", {"n": 1, "country": "NO"}),
        ("early", "warning", {"n": 1, "country": "NO"}),
        ("late", "error", {"n": 2, "m": 3, "country": "NO"}),
        ("ours", "info", {"n": 4, "country": "NO"}),
    ] == [(line["logger"], line["level"], {k: line[k] for k in list(line)[4:]}) for line in lines]
    assert {"said"} == {line["event"] for line in lines}


def test_structlog_s_configuration_is_left_alone() -> None:
    """`configure_once` works after us, and the application's objects are where it put them."""
    configure_logging(log_format="json")

    assert not structlog.is_configured()
    chain: list[Any] = [country, own_renderer]
    structlog.configure_once(processors=chain, context_class=dict)
    configure_logging(log_format="json")
    assert chain is structlog.get_config()["processors"]
    assert [country, own_renderer] == chain
    before = structlog.get_config()
    reset()
    assert before == structlog.get_config()


class Bakery(stdlib.BoundLogger):
    """An application's wrapper class."""

    def audit(self, what: str, **fields: object) -> Any:
        """Log at the usual level."""
        return self.info(what, audit=True, **fields)


def test_the_application_s_wrapper_class_is_kept(logged: Logged) -> None:
    """Its own methods log, and those of the standard logger pass through."""
    structlog.configure(
        processors=[stdlib.add_log_level, processors.JSONRenderer()],
        wrapper_class=Bakery,
        logger_factory=stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    log = structlog.get_logger("bakery")
    log.bind()
    configure_logging(log_format="json")

    log.audit("opened", by="guest")
    log.bind(batch=3).audit("closed")
    log.log(logging.WARNING, "%s left", 2)

    lines = logged()
    assert isinstance(log.bind(), Bakery)
    assert ("bakery", False) == (log.name, log.disabled)
    assert [
        {"audit": True, "by": "guest"},
        {"audit": True, "batch": 3},
        {},
    ] == [{key: line[key] for key in list(line)[4:]} for line in lines]
    assert ["opened", "closed", "2 left"] == [line["event"] for line in lines]


def test_async_loggers_are_awaited(logged: Logged) -> None:
    """`AsyncBoundLogger` and the async methods of filtering loggers write their lines."""
    configure_logging(log_format="json")
    fast = structlog.wrap_logger(structlog.PrintLogger(), cache_logger_on_first_use=True)

    async def main() -> None:
        log = structlog.wrap_logger(
            logging.getLogger("a"),
            wrapper_class=stdlib.AsyncBoundLogger,
            processors=[processors.JSONRenderer()],
        )
        await log.info("first", n=1)
        try:
            int("boom")
        except ValueError:
            await log.exception("second")
        await fast.ainfo("third")

    asyncio.run(main())

    lines = [line for line in logged() if line["logger"] != "asyncio"]
    assert ["first", "second", "third"] == [line["event"] for line in lines]
    assert "ValueError" == lines[1]["error_type"]


def test_the_line_of_an_async_method_names_the_module_that_awaits_it(logged: Logged) -> None:
    """The event is made in a thread, where only structlog knows the caller."""
    configure_logging(log_format="json")

    async def main() -> None:
        await structlog.get_logger().awarning("unnamed")
        await structlog.get_logger("named").awarning("placed", stack_info=True)

    asyncio.run(main())

    unnamed, placed = logged()
    assert __name__ == unnamed["logger"]
    assert 'awarning("placed"' in placed["stack"].splitlines()[-1]


class ByHand(structlog.BoundLoggerBase):
    """A wrapper class that calls its logger by itself."""

    def say(self, event: str, **fields: object) -> None:
        """Process and print."""
        args, options = self._process_event("info", event, fields)
        self._logger.info(*args, **options)

    def whisper(self, event: str) -> None:
        """Process at a level that is not logged."""
        with pytest.raises(structlog.DropEvent):
            self._process_event("debug", event, {})


def name_with(factory: Any, name: str) -> str:
    """The name on a line: loggers for bytes cannot keep one before structlog 26."""
    return name if hasattr(factory(name), "name") else __name__


@pytest.mark.parametrize("factory", [structlog.PrintLoggerFactory, structlog.BytesLoggerFactory])
def test_a_wrapper_class_that_calls_its_logger_itself_prints_our_line(
    logged: Logged, factory: Callable[[], Any]
) -> None:
    """It gets the line in the type that its logger takes."""
    configure_logging(log_format="json")
    structlog.configure(wrapper_class=ByHand, logger_factory=factory())
    log = structlog.get_logger("by hand")

    log.say("said", cookie="x", n=1)
    log.whisper("hidden")

    [line] = logged()
    assert (name_with(factory(), "by hand"), "said", "[redacted]", 1) == (
        line["logger"],
        line["event"],
        line["cookie"],
        line["n"],
    )


@pytest.mark.parametrize("factory", ["Print", "Write", "Bytes"])
def test_files_of_structlog_stay_as_they_were(tmp_path: Path, logged: Logged, factory: str) -> None:
    """The application's log and an audit trail go on, and nothing of them is printed."""
    path = tmp_path / "bakery.log"
    is_bytes = factory == "Bytes"
    serialize: Any = (
        {"serializer": lambda *a, **o: json.dumps(*a, **o).encode()} if is_bytes else {}
    )
    with path.open("wb" if is_bytes else "w") as file:
        structlog.configure(
            processors=[country, processors.JSONRenderer(**serialize)],
            logger_factory=getattr(structlog, f"{factory}LoggerFactory")(file=file),
            cache_logger_on_first_use=True,
        )
        log = structlog.get_logger("shop")
        log.info("before")
        configure_logging(log_format="json")
        log.info("after", n=1)
        with capture_events() as events:
            structlog.get_logger("other").info("new")
        structlog.get_logger("shop").warning("last")

    assert [] == logged()
    assert ["before", "after", "new", "last"] == [
        json.loads(line)["event"] for line in path.read_bytes().splitlines()
    ]
    name = name_with(getattr(structlog, f"{factory}LoggerFactory")(), "other")
    assert [("new", name, "NO")] == [(e["event"], e["logger"], e["country"]) for e in events]


def test_what_is_no_line_raises_in_a_file_s_logger_as_without_us(tmp_path: Path) -> None:
    """structlog's own error reaches the application, captured or not."""
    with (tmp_path / "a").open("w") as file:
        structlog.configure(
            processors=[lambda *_: 17], logger_factory=structlog.PrintLoggerFactory(file=file)
        )
        configure_logging(log_format="json")
        with pytest.raises(ValueError, match="appropriate value"):
            structlog.get_logger().info("e")
        with capture_events() as events, pytest.raises(ValueError, match="appropriate value"):
            structlog.get_logger().info("e")

    assert ["e"] == [event["event"] for event in events]


class Records(logging.Handler):
    """An application's handler."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, and the text of its formatter."""
        self.records.append(record)
        self.texts.append(self.format(record))


@pytest.fixture
def records() -> Iterator[Records]:
    """Make a handler, and take it off the root logger after the test."""
    handler = Records()
    yield handler
    logging.getLogger().removeHandler(handler)


def with_standard_logging(handler: Records, *chain: Any) -> Any:
    """Configure structlog over standard logging with another handler, and return a logger."""
    logging.getLogger().addHandler(handler)
    structlog.configure(
        processors=[country, *chain],
        wrapper_class=stdlib.BoundLogger,
        logger_factory=stdlib.LoggerFactory(),
    )
    configure_logging(log_format="json")
    return structlog.get_logger("shop")


def test_a_processor_formatter_of_the_application_gets_everything(
    logged: Logged, records: Records
) -> None:
    """Its file has all fields as it renders them, and our line has them too."""
    records.setFormatter(stdlib.ProcessorFormatter(processor=processors.JSONRenderer()))
    log = with_standard_logging(
        records, stdlib.add_log_level, stdlib.ProcessorFormatter.wrap_for_formatter
    )

    log.info("ordered", n=1)

    assert [{"n": 1, "event": "ordered", "country": "NO", "level": "info"}] == [
        json.loads(text) for text in records.texts
    ]
    [line] = logged()
    assert ("shop", "ordered", 1, "NO") == tuple(
        line[key] for key in ("logger", "event", "n", "country")
    )
    assert {"level_", "_logger", "_name"}.isdisjoint(line)


RENDERED = {
    "text": ([processors.JSONRenderer()], '{"n": 1, "event": "ordered", "country": "NO"}'),
    "keywords": ([stdlib.render_to_log_kwargs], "ordered"),
}


@pytest.mark.parametrize("kind", RENDERED)
def test_other_handlers_get_what_the_application_s_renderer_made(
    logged: Logged, records: Records, kind: str
) -> None:
    """Filters see that record too, and their additions are on our line."""

    def add(record: logging.LogRecord) -> bool:
        record.shop = 7
        return True

    chain, text = RENDERED[kind]
    log = with_standard_logging(records, *chain)
    logger = logging.getLogger("shop")
    logger.addFilter(add)
    log.info("ordered", n=1)
    logger.removeFilter(add)

    assert [text] == records.texts
    [line] = logged()
    assert ("ordered", {"n": 1, "country": "NO", "shop": 7}) == (
        line["event"],
        {key: line[key] for key in list(line)[4:]},
    )


def test_a_message_that_cannot_know_its_event_is_a_line_too(
    logged: Logged, records: Records
) -> None:
    """Bytes in a standard logger come out as standard logging shows them."""
    log = with_standard_logging(records, lambda *_: b"raw")

    log.info("ordered")

    assert ["b'raw'"] == records.texts
    assert ["raw"] == [line["event"].removeprefix("b'").removesuffix("'") for line in logged()]


def test_other_handlers_get_messages_of_python_s_own_types(
    logged: Logged, records: Records
) -> None:
    """Nothing of the event hangs on them: a serializer, or another process, takes them as any."""
    with_standard_logging(records, processors.JSONRenderer()).info("ordered", n=1)
    with_standard_logging(records, stdlib.ProcessorFormatter.wrap_for_formatter).info("wrapped")
    with_standard_logging(records, stdlib.render_to_log_kwargs).info("named")

    assert [str, dict, str] == [type(record.msg) for record in records.records]
    assert ["ordered", "wrapped", "named"] == [line["event"] for line in logged()]


def test_events_that_a_filter_holds_back_do_not_pile_up(logged: Logged, records: Records) -> None:
    """Their records never reach our handler; a later event is read as ever."""

    class Value:
        """A field's value."""

    alive: WeakSet[Value] = WeakSet()
    log = with_standard_logging(records, processors.KeyValueRenderer())
    logger = logging.getLogger("shop")
    logger.addFilter(refuse := lambda _: False)
    for _ in range(200):
        alive.add(value := Value())
        log.info("held back", value=value)
    del value
    logger.removeFilter(refuse)
    log.debug("hidden", value=Value())
    log.info("ordered", n=1)
    collect_garbage()

    assert 4 >= len(alive)
    assert [("ordered", 1)] == [(line["event"], line["n"]) for line in logged()]


def test_events_that_do_not_come_to_our_handler_are_let_go(records: Records) -> None:
    """A logger may have a file of its own, and send its records nowhere else."""

    class Value:
        """A field's value."""

    log = with_standard_logging(records, processors.KeyValueRenderer(["event"]))
    logging.getLogger("shop").propagate = False
    try:
        log.info("ordered", value=(value := Value()))
    finally:
        logging.getLogger("shop").propagate = True
    records.records.clear()
    alive = WeakSet([value])
    del value
    collect_garbage()
    assert [] == list(alive)


def test_an_event_that_a_filter_logs_is_no_other_one(logged: Logged, records: Records) -> None:
    """Each record finds its own event, while another one waits for its record."""
    log = with_standard_logging(records, processors.JSONRenderer())

    def look(record: logging.LogRecord) -> bool:
        if "ordered" in record.getMessage():
            log.info("looked", n=2)
        return True

    logging.getLogger("shop").addFilter(look)
    try:
        log.info("ordered", n=1)
    finally:
        logging.getLogger("shop").removeFilter(look)
    assert [("looked", 2), ("ordered", 1)] == [(line["event"], line["n"]) for line in logged()]


def test_a_text_that_a_filter_has_refused_lends_its_fields_to_no_other(
    logged: Logged, records: Records
) -> None:
    """Python has one object only for a text of up to one character."""
    log = with_standard_logging(records, lambda *_: "")
    logger = logging.getLogger("shop")
    logger.addFilter(refuse := lambda _: False)
    log.info("held back", n=1)
    logger.removeFilter(refuse)
    logging.getLogger("stock").warning("")

    assert [("", None)] == [(line["event"], line.get("n")) for line in logged()]


def test_the_place_that_logs_is_found_by_processors_and_records(
    logged: Logged, records: Records
) -> None:
    """Frames of this library are not taken for the application's."""
    place = processors.CallsiteParameterAdder([processors.CallsiteParameter.FUNC_NAME])
    with_standard_logging(records, place, stdlib.render_to_log_kwargs)

    # A new one: structlog gives a class to loggers that skips its own frames.
    structlog.get_logger("shop.of_this_test").info("ordered")

    name = "test_the_place_that_logs_is_found_by_processors_and_records"
    assert [name] == [line["func_name"] for line in logged()]
    assert [name] == [record.funcName for record in records.records]


def test_a_processor_of_the_application_that_fails_loses_no_line_of_ours(logged: Logged) -> None:
    """structlog's loggers raise as without us; those of `get_logger` never do."""
    structlog.configure(processors=[lambda *_: 1 / 0])
    configure_logging(log_format="json")

    get_logger("ours", shop=7).info("said", n=1)
    with pytest.raises(ZeroDivisionError):
        structlog.get_logger().info("e")

    lines = {line["event"]: line for line in logged()}
    assert (7, 1) == (lines["said"]["shop"], lines["said"]["n"])
    assert "structlog processor" == lines["telemetry_failed"]["site"]


def test_a_level_and_a_logger_name_that_processors_set_are_taken(logged: Logged) -> None:
    """Custom methods log at the level of their name, if logging knows it."""
    logging.addLevelName(25, "NOTICE")

    def change(_logger: object, _method: str, event: Any) -> Any:
        if event.get("event") == "changed":
            event.update(level="error", logger="elsewhere")
        return event

    class Named(structlog.BoundLogger):
        """Any method is passed on."""

    structlog.configure(processors=[change, own_renderer], wrapper_class=Named)
    configure_logging(log_format="json")
    log: Any = structlog.get_logger()

    log.info("changed")
    log.notice("noted")
    log.audit("audited", level="mine")
    log.info(None, level=1)

    assert [
        ("elsewhere", "error", None),
        (__name__, "notice", None),
        (__name__, "info", "mine"),
        (__name__, "info", 1),
    ] == [(line["logger"], line["level"], line.get("level_")) for line in logged()]


def test_captures_of_tests_see_loggers_that_were_cached_before(logged: Logged) -> None:
    """`LogCapture` sees bound, cached and our own loggers, also under `logging.disable`."""
    structlog.configure(processors=[processors.KeyValueRenderer()], cache_logger_on_first_use=True)
    cached = structlog.get_logger("cached")
    configure_logging(log_format="json")
    cached.info("used")
    bound, ours = cached.bind(a=1), get_logger("ours")

    capture = structlog.testing.LogCapture()
    structlog.configure(processors=[capture])
    logging.disable(logging.CRITICAL)
    try:
        cached.info("one")
        bound.info("two")
        ours.info("three")
        ours.log(logging.INFO, "four")
        ours.debug("hidden")
    finally:
        logging.disable(logging.NOTSET)

    assert ["one", "two", "three", "four"] == [entry["event"] for entry in capture.entries]
    assert ["used"] == [line["event"] for line in logged()]


def test_a_logger_with_processors_of_its_own_keeps_them(logged: Logged) -> None:
    """Processors given to `wrap_logger` are no part of structlog's configuration."""
    configure_logging(log_format="json")
    log = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr), processors=[country, own_renderer]
    )
    structlog.configure(processors=[own_renderer])

    log.info("said")

    assert ["NO"] == [line["country"] for line in logged()]


def test_capture_events_sees_what_is_disabled_and_writes_nothing_of_it(logged: Logged) -> None:
    """A suite may silence logging; settings that the block itself makes stay."""
    configure_logging(log_format="json")
    logging.disable(logging.WARNING)
    try:
        with capture_events() as events:
            get_logger("a").info("one")
            logging.getLogger("a").warning("two")
            structlog.get_logger("a").warning("three")
            logging.getLogger("a").error("written")
        assert logging.WARNING == logging.root.manager.disable
        with capture_events():
            logging.disable(logging.ERROR)
        assert logging.ERROR == logging.root.manager.disable
    finally:
        logging.disable(logging.NOTSET)

    assert ["one", "two", "three", "written"] == [event["event"] for event in events]
    assert ["written"] == [line["event"] for line in logged()]


def test_a_print_logger_of_any_standard_stream_prints_our_lines() -> None:
    """It may have been made while another object stood in `sys.stdout`."""
    done = run("""
        import io, os, structlog
        buffered = structlog.BytesLogger()
        twice = structlog.WriteLogger(os.fdopen(os.dup(1), "w"))
        same = structlog.WriteLogger(open(2, "w", closefd=False))
        closed = open(os.devnull, "w")
        closed.close()
        structlog.configure(processors=[lambda *_: "rendered"])
        configure_logging()
        for logger in (structlog.PrintLogger(), buffered, same, structlog.PrintLogger(sys.stderr)):
            structlog.wrap_logger(logger).info("ours")
        structlog.wrap_logger(structlog.ReturnLogger()).info("returned")
        assert structlog.wrap_logger(structlog.ReturnLogger()).info("e") == "rendered"
        try:
            structlog.wrap_logger(structlog.PrintLogger(closed)).info("e")
        except ValueError:
            logging.info("theirs")
    """)

    assert ["ours"] * 4 + ["theirs"] == done.events
