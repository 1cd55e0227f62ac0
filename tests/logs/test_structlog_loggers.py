"""Events of structlog's loggers become lines, whether lazy, bound or cached."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from pantheon_obs import configure_logging, get_logger
from pantheon_obs.sinks.logs.bound_logger import LEVELS
from pantheon_obs.testing import reset
from tests.logs.running import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Logged = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def structlog_as_it_was() -> Iterator[None]:
    """Undo a test's changes of structlog's own configuration."""
    yield
    reset()
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_loggers_made_before_configuration_obey_it(logged: Logged) -> None:
    """Lazy, used and bound loggers all obey the configuration."""
    lazy = structlog.get_logger("lazy")
    bound = structlog.get_logger("bound").bind(a=1)

    configure_logging(log_format="json")
    lazy.info("e")
    bound.info("e", b=2)
    bound.debug("hidden")

    first, second = logged()
    assert ("lazy", "e") == (first["logger"], first["event"])
    assert (1, 2) == (second["a"], second["b"])


SET_UPS = {
    "filtering": """
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(20),
            cache_logger_on_first_use=True,
        )""",
    "stdlib": """
        structlog.configure(
            processors=[structlog.stdlib.add_log_level, structlog.stdlib.render_to_log_kwargs],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
            cache_logger_on_first_use=True,
        )
        logging.basicConfig(level=0)""",
    "formatter": """
        structlog.configure(
            processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
            cache_logger_on_first_use=True,
        )
        handler = logging.StreamHandler()
        handler.setFormatter(structlog.stdlib.ProcessorFormatter(
            processor=structlog.dev.ConsoleRenderer()))
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(20)""",
    "bytes": """
        import orjson
        structlog.configure(
            processors=[structlog.processors.JSONRenderer(serializer=orjson.dumps)],
            logger_factory=structlog.BytesLoggerFactory(),
            wrapper_class=structlog.make_filtering_bound_logger(20),
            cache_logger_on_first_use=True,
        )""",
}


@pytest.mark.parametrize("set_up", SET_UPS)
def test_loggers_cached_under_an_earlier_configuration_obey_ours(set_up: str) -> None:
    """A logger that was used, and so cached, before us still writes our lines and no others."""
    done = run(f"""
        import structlog
        {SET_UPS[set_up]}
        cached = structlog.get_logger("cached")
        cached.info("as it was before")
        bound = cached.bind(a=1)
        sys.stdout.flush()
        print("---", flush=True)
        print("---", file=sys.stderr, flush=True)
        configure_logging()
        cached.info("lazy", b=2)
        bound.warning("bound")
        try:
            1 / 0
        except ZeroDivisionError:
            bound.exception("failed")
        structlog.get_logger("new").info("new")
    """)

    lines = done.__class__(
        done.stdout.partition(b"---\n")[2], done.stderr.partition(b"---\n")[2], done.status
    ).lines
    assert [("lazy", "info"), ("bound", "warning"), ("failed", "error"), ("new", "info")] == [
        (line["event"], line["level"]) for line in lines
    ]
    assert [2, 1, 1] == [lines[0]["b"], lines[1]["a"], lines[2]["a"]]
    assert lines[2]["exception"].endswith("ZeroDivisionError: division by zero")


def test_positional_arguments_of_a_cached_stdlib_logger_are_put_in() -> None:
    """structlog's stdlib loggers leave them to another processor."""
    done = run(f"""
        import structlog
        {SET_UPS["stdlib"]}
        cached = structlog.get_logger("cached")
        cached.bind()
        configure_logging()
        cached.info("%s items", 3)
        cached.info("%d items", "x")
        cached.log(30, "numbered")
        cached.debug("hidden")
    """)

    assert ["3 items", "%d items", "numbered"] == done.events
    assert ["x"] == done.lines[1]["positional_args"]


def test_a_configuration_of_the_application_made_later_is_taken_over_at_start_up() -> None:
    """Processors that print are replaced when the server starts; a test's capture is not."""
    done = run("""
        import structlog
        from pantheon_obs.sinks.logs import configure
        configure_logging()
        structlog.configure(processors=[structlog.processors.JSONRenderer()])
        configure.reassert()
        structlog.get_logger("a").info("ours")
        seen = []
        def capture(logger, method, event_dict):
            seen.append(event_dict)
            raise structlog.DropEvent
        structlog.configure(processors=[capture])
        configure.reassert()
        structlog.get_logger("a").info("captured")
        structlog.configure(processors=[])
        configure.reassert()
        logging.getLogger("a").info("seen: %d", len(seen))
    """)

    assert ["ours", "seen: 1"] == done.events


@pytest.mark.parametrize("method", sorted(LEVELS))
def test_each_method_logs_at_its_level(logged: Logged, method: str) -> None:
    """Every method of a filtering logger exists, and its async twin."""
    configure_logging(log_format="json", log_level="DEBUG")
    log = get_logger("a")

    getattr(log, method)("sync", a=1)
    asyncio.run(getattr(log, f"a{method}")("async", a=1))

    expected = logging.getLevelName(LEVELS[method]).lower()
    assert [("sync", expected, 1), ("async", expected, 1)] == [
        (line["event"], line["level"], line["a"]) for line in logged() if line["logger"] == "a"
    ]


@pytest.mark.parametrize("method", sorted(LEVELS))
def test_each_method_is_silent_below_the_level(logged: Logged, method: str) -> None:
    """A method whose level is off writes nothing."""
    configure_logging(log_format="json")
    logging.getLogger("a").setLevel(logging.CRITICAL + 1)
    getattr(get_logger("a"), method)("hidden")
    logging.getLogger("a").setLevel("NOTSET")

    assert [] == [line["event"] for line in logged() if line["logger"] == "a"]


def test_levels_may_be_given_by_number(logged: Logged) -> None:
    """`log` and `alog` take any level, custom ones too."""
    configure_logging(log_format="json")
    log = get_logger("a")

    log.log(30, "warned", a=1)
    log.log(25, "between")
    log.log(10, "hidden")
    asyncio.run(log.alog(40, "async"))
    logging.getLogger("a").setLevel("CRITICAL")
    log.exception("hidden")  # noqa: LOG004 - only its level matters
    logging.getLogger("a").setLevel("NOTSET")

    assert [("warned", "warning"), ("between", "level 25"), ("async", "error")] == [
        (line["event"], line["level"].replace("notice", "level 25"))
        for line in logged()
        if line["logger"] == "a"
    ]


def test_the_level_of_the_standard_logger_governs(logged: Logged) -> None:
    """`logging.getLogger(name).setLevel` is obeyed at any time, by cached loggers too."""
    configure_logging(log_format="json", log_level="INFO")
    log = get_logger("governed").bind()

    log.debug("hidden")
    logging.getLogger("governed").setLevel("DEBUG")
    log.debug("shown")
    assert (True, 10) == (log.is_enabled_for(10), log.get_effective_level())
    logging.getLogger("governed").setLevel("ERROR")
    log.warning("hidden")
    assert (False, 40) == (log.isEnabledFor(30), log.getEffectiveLevel())
    logging.getLogger("governed").setLevel("NOTSET")

    assert ["shown"] == [line["event"] for line in logged()]


def test_bind_new_and_unbind_are_structlog_s(logged: Logged) -> None:
    """Binding makes new loggers; none changes another."""
    configure_logging(log_format="json")
    log = get_logger("a", shop=1)

    log.bind(till=2).info("both")
    log.bind(till=2).unbind("shop").info("till")
    log.bind(till=2).new(bag=3).info("bag")
    log.try_unbind("nothing").info("shop")

    assert [
        {"till": 2, "shop": 1},
        {"till": 2},
        {"bag": 3},
        {"shop": 1},
    ] == [{key: line[key] for key in list(line)[4:]} for line in logged()]


@pytest.mark.parametrize(
    ("event", "args", "expected"),
    [
        ("%s of %d", ("one", 2), "one of 2"),
        ("%(n)s", ({"n": 1},), "1"),
        ("100%", (), "100%"),
        ("{}", (), "{}"),
    ],
)
def test_positional_arguments_are_put_in(
    logged: Logged, event: str, args: tuple[Any, ...], expected: str
) -> None:
    """Percent signs mean something only where there are arguments, as in structlog."""
    configure_logging(log_format="json")

    get_logger("a").info(event, *args)

    assert [expected] == [line["event"] for line in logged()]


def test_positional_arguments_that_do_not_fit_are_kept(logged: Logged) -> None:
    """The arguments are kept on the line, and nothing is raised."""
    configure_logging(log_format="json")

    get_logger("a").info("%d items", "three")

    [line] = logged()
    assert ("%d items", ["three"]) == (line["event"], line["positional_args"])


class Broken:
    """An object whose text cannot be read."""

    def __repr__(self) -> str:
        """Raise."""
        msg = "no text"
        raise RuntimeError(msg)


def test_an_event_may_be_anything(logged: Logged) -> None:
    """The event may be None, a number, an exception, or an object that cannot be read."""
    configure_logging(log_format="json")
    log: Any = get_logger("a")

    log.info()
    log.info(None, a=1)
    log.info(404)
    log.info(ValueError("boom"))
    log.info(Broken())
    log.info("%s", Broken())

    assert ["", "", "404", "boom", "<Broken: RuntimeError while it was read>", "%s"] == [
        line["event"] for line in logged()
    ]


def raised() -> ValueError:
    """Return an exception with a traceback."""
    with pytest.raises(ValueError, match="boom") as caught:
        int("boom")
    return caught.value


@pytest.mark.parametrize(
    "given",
    [
        raised(),
        (ValueError, raised(), None),
    ],
    ids=["exception", "triple"],
)
def test_exc_info_may_be_an_exception_or_a_triple(logged: Logged, given: object) -> None:
    """Every form of `exc_info` gives a traceback."""
    configure_logging(log_format="json")

    get_logger("a").info("e", exc_info=given)

    [line] = logged()
    assert "ValueError" == line["error_type"]
    assert line["exception"].endswith("with base 10: 'boom'")


@pytest.mark.parametrize("given", [None, False, True, (), (None, None, None), "nothing"])
def test_exc_info_without_an_exception_is_no_traceback(logged: Logged, given: object) -> None:
    """Outside an `except` block the line has no traceback."""
    configure_logging(log_format="json")

    get_logger("a").error("e", exc_info=given)

    [line] = logged()
    assert {"exception", "exc_info", "error_type"}.isdisjoint(line)


def test_exception_logs_the_handled_exception(logged: Logged) -> None:
    """`exception` logs it inside an `except` block, sync or async."""
    configure_logging(log_format="json")

    async def fail() -> None:
        try:
            raise raised()
        except ValueError:
            await get_logger("a").aexception("async")

    try:
        raise raised()
    except ValueError:
        get_logger("a").exception("sync")
        get_logger("a").exception("silenced", exc_info=False)
    asyncio.run(fail())

    lines = [line for line in logged() if line["logger"] == "a"]
    assert [("sync", True), ("silenced", False), ("async", True)] == [
        (line["event"], "exception" in line) for line in lines
    ]


def test_a_stack_that_was_asked_for_begins_with_the_caller(logged: Logged) -> None:
    """`stack_info=True` is a field, without frames of the logging itself."""
    configure_logging(log_format="json")

    get_logger("a").info("e", stack_info=True)
    get_logger("a").info("f", stack_info=False)

    first, second = logged()
    assert first["stack"].endswith('get_logger("a").info("e", stack_info=True)')
    assert "stack" not in second


def test_contextvars_of_structlog_are_on_the_lines(logged: Logged) -> None:
    """`bind_contextvars` reaches standard loggers too, and unbinding takes it away."""
    configure_logging(log_format="json")

    with structlog.contextvars.bound_contextvars(job="nightly"):
        logging.getLogger("a").info("inside")
    get_logger("a").info("outside")

    assert ["nightly", None] == [line.get("job") for line in logged()]


def test_contextvars_are_found_in_any_version_of_structlog() -> None:
    """If structlog keeps no register of them, its public function is called."""
    done = run("""
        import contextvars, structlog
        del structlog.contextvars._CONTEXT_VARS
        contextvars.ContextVar("structlog_job").set("nightly")
        contextvars.ContextVar("structlog_gone").set(...)
        configure_logging()
        logging.info("e")
    """)

    [line] = done.lines
    assert ("nightly", False) == (line["job"], "gone" in line)


def test_a_name_is_found_where_none_is_given(logged: Logged) -> None:
    """A logger without a name gets the name of the module that made it."""
    configure_logging(log_format="json")

    get_logger().info("ours")
    structlog.get_logger().info("structlog's")

    assert [__name__, __name__] == [line["logger"] for line in logged()]


def test_structlog_s_own_capture_still_works(logged: Logged) -> None:
    """`capture_logs` sees lazy, bound and cached loggers, and lines come back afterwards."""
    configure_logging(log_format="json")
    cached = get_logger("cached").bind(a=1)
    cached.info("before")

    with structlog.testing.capture_logs() as captured:
        cached.info("bound", b=2)
        get_logger("lazy").warning("lazy")
        cached.error("failed", exc_info=True)
        cached.debug("hidden")
    cached.info("after")

    assert [
        {"a": 1, "b": 2, "event": "bound", "log_level": "info"},
        {"event": "lazy", "log_level": "warning"},
        {"a": 1, "event": "failed", "log_level": "error", "exc_info": True},
    ] == captured
    assert ["before", "after"] == [line["event"] for line in logged()]


def test_processors_get_the_names_of_levels_that_structlog_gives_them(logged: Logged) -> None:
    """A short name, as `msg`, is another name of its level's method, as in structlog's logger."""
    names = {"msg": "info", "warn": "warning", "exception": "error", "fatal": "critical"}
    configure_logging(log_format="json")
    with structlog.testing.capture_logs() as captured:
        for method in names:
            getattr(get_logger("a"), method)("e", exc_info=True)

    assert [*names.values()] == [event["log_level"] for event in captured]
    assert [] == logged()


def test_a_processor_that_the_application_adds_is_run(logged: Logged) -> None:
    """A processor before ours may change the event or drop it."""
    configure_logging(log_format="json")

    def add(_logger: object, _method: str, event: Any) -> Any:
        if event["event"] == "drop":
            raise structlog.DropEvent
        return {**event, "added": 1}

    processors = structlog.get_config()["processors"]
    processors.insert(0, add)
    get_logger("a").info("e")
    get_logger("a").info("drop")
    processors.remove(add)

    assert [("e", 1)] == [(line["event"], line["added"]) for line in logged()]


def test_reset_gives_structlog_back(capsys: pytest.CaptureFixture[str]) -> None:
    """The application's configuration prints again, through loggers cached by it too."""
    processors: list[Any] = [structlog.processors.KeyValueRenderer()]
    structlog.configure(processors=processors, cache_logger_on_first_use=True)
    cached = structlog.get_logger()
    cached.info("theirs")
    configure_logging(log_format="json")
    cached.info("ours")
    reset()
    cached.info("theirs again")
    structlog.get_logger().info("new")

    first, second, third, fourth = capsys.readouterr().out.splitlines()
    assert "event='theirs'" == first
    assert '"event":"ours"' in second
    assert ["event='theirs again'", "event='new'"] == [third, fourth]
    assert processors is structlog.get_config()["processors"]


def test_reset_gives_back_processors_that_are_no_list(capsys: pytest.CaptureFixture[str]) -> None:
    """structlog accepts any iterable of processors, and reset restores it."""
    structlog.configure(processors=(structlog.processors.KeyValueRenderer(),))
    configure_logging(log_format="json")
    structlog.get_logger().info("ours")
    reset()
    structlog.get_logger().info("theirs")

    first, second = capsys.readouterr().out.splitlines()
    assert '"event":"ours"' in first
    assert "event='theirs'" == second


def test_a_logger_cached_by_us_is_not_lost_after_reset(caplog: pytest.LogCaptureFixture) -> None:
    """Such a logger falls back on standard logging."""
    configure_logging(log_format="json")
    cached = get_logger("cached").bind()
    reset()

    cached.warning("kept", order=17)

    assert [("cached", 30, "kept")] == caplog.record_tuples
    assert 17 == vars(caplog.records[0])["order"]
