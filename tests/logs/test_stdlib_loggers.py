"""Records of the standard library's loggers become lines."""

from __future__ import annotations

import io
import logging
import warnings
from logging.config import dictConfig
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import configure_logging, get_logger, logging_config
from tests.logs.running import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Logged = Callable[[], list[dict[str, Any]]]


def test_loggers_made_before_and_after_come_out_alike() -> None:
    """It does not matter when a logger was made."""
    done = run("""
        before = logging.getLogger("before")
        configure_logging()
        after = logging.getLogger("after")
        before.info("a %s", 1)
        after.info("b %(n)d", {"n": 2})
    """)

    assert [("before", "a 1"), ("after", "b 2")] == [
        (line["logger"], line["event"]) for line in done.lines
    ]


def test_extra_fields_are_kept(logged: Logged) -> None:
    """Values of any type in `extra=` are fields of the line."""
    configure_logging(log_format="json")

    logging.getLogger("a").info("e", extra={"order": 17, "items": ("x", {"n": None}), "on": True})

    [line] = logged()
    assert {"order": 17, "items": ["x", {"n": None}], "on": True} == {
        key: line[key] for key in list(line)[4:]
    }


def test_a_logger_adapter_s_fields_are_kept(logged: Logged) -> None:
    """`LoggerAdapter` passes its fields as `extra`."""
    configure_logging(log_format="json")

    logging.LoggerAdapter(logging.getLogger("a"), {"shop": 3}).warning("e")

    [line] = logged()
    assert 3 == line["shop"]


def test_stack_info_is_a_field(logged: Logged) -> None:
    """A stack that was asked for stands in `stack`."""
    configure_logging(log_format="json")

    logging.getLogger("a").info("e", stack_info=True)

    [line] = logged()
    assert line["stack"].startswith("Stack (most recent call last):")


@pytest.mark.parametrize(
    ("message", "args", "event"),
    [
        ("%d items", ("three",), "%d items % (three)"),
        ("no place", (1, 2), "no place % (1, 2)"),
        ("%s and %s", ("one",), "%s and %s % (one)"),
        ("100%", (), "100%"),
        ("%(a)d", ({"a": "x"},), "%(a)d % ({'a': 'x'})"),
        ("100% %s", ("x",), "100% %s % (x)"),
    ],
)
def test_arguments_that_do_not_fit_lose_nothing(
    logged: Logged, message: str, args: tuple[object, ...], event: str
) -> None:
    """A wrong format string is one line with both, not a traceback on standard error."""
    configure_logging(log_format="json")

    logging.getLogger("a").info(message, *args)

    assert [event] == [line["event"] for line in logged()]


class Broken:
    """An object whose text cannot be read."""

    def __str__(self) -> str:
        """Raise."""
        msg = "no text"
        raise RuntimeError(msg)

    __repr__ = __str__


def test_a_message_that_raises_is_described(logged: Logged) -> None:
    """Messages and arguments with a broken `__str__` still make a line."""
    configure_logging(log_format="json")

    logging.getLogger("a").info(Broken())
    logging.getLogger("a").info("got %s", Broken())
    logging.getLogger("a").info("got %s", [Broken()])

    described = "<Broken: RuntimeError while it was read>"
    assert [
        described,
        f"got %s % ({described})",
        "got %s % (<list: RuntimeError while it was read>)",
    ] == [line["event"] for line in logged()]


def test_a_message_of_any_type_is_its_text(logged: Logged) -> None:
    """Exceptions are often logged as the message itself."""
    configure_logging(log_format="json")

    logging.getLogger("a").error(ValueError("boom"))
    logging.getLogger("a").info(b"bytes")
    logging.getLogger("a").info({"a": 1}, "x")

    assert ["boom", "bytes", "{'a': 1} % (x)"] == [line["event"] for line in logged()]


def test_a_record_made_by_hand_is_a_line() -> None:
    """Records need not come from this process's loggers, nor be complete."""
    # In a process of its own: where Sentry watches records, it fails on one without a name.
    done = run("""
        configure_logging(log_format="json")
        logger = logging.getLogger("far")
        for parts in (
            {"msg": "bare", "levelno": 30},
            {"msg": "m", "levelno": 30, "exc_info": True, "name": None},
            {"msg": "pickled", "levelno": 40, "exc_text": "Traceback", 7: "x"},
        ):
            logger.handle(logging.makeLogRecord(parts))
    """)

    bare, odd, pickled = done.lines
    assert ("None", "bare") == (bare["logger"], bare["event"])
    assert "None" == odd["logger"]
    assert ("Traceback", "x") == (pickled["traceback"], pickled["7"])


def test_levels_of_single_loggers_are_obeyed(logged: Logged) -> None:
    """`setLevel` on a logger and `logging.disable` work as without us."""
    configure_logging(log_format="json", log_level="INFO")
    logger = logging.getLogger("levels")

    logger.setLevel("DEBUG")
    logger.debug("shown")
    logger.setLevel("ERROR")
    logger.warning("hidden")
    logger.setLevel("NOTSET")
    logging.disable(logging.INFO)
    logger.info("hidden")
    logging.disable(logging.NOTSET)
    logger.info("shown again")

    assert ["shown", "shown again"] == [line["event"] for line in logged()]


def test_log_level_is_the_root_logger_s(logged: Logged) -> None:
    """`log_level` governs everything that has no level of its own, and may be changed."""
    configure_logging(log_format="json", log_level="ERROR")
    logging.getLogger("a").warning("hidden")
    configure_logging(log_format="json", log_level="DEBUG")
    logging.getLogger("a").debug("shown")

    assert ["shown"] == [line["event"] for line in logged() if line["logger"] == "a"]


def test_filters_of_the_application_are_obeyed(logged: Logged) -> None:
    """A filter on the logger, or on our handler, may drop and change records."""
    configure_logging(log_format="json")
    [handler] = [h for h in logging.getLogger().handlers if type(h).__name__ == "ObsHandler"]

    def only_good(record: logging.LogRecord) -> bool:
        record.seen = True
        return "bad" not in record.getMessage()

    handler.addFilter(only_good)
    logging.getLogger("a").info("good")
    logging.getLogger("a").info("bad")
    get_logger("a").info("structured")
    get_logger("a").info("bad", structured=True)
    handler.removeFilter(only_good)
    handler.setLevel("ERROR")
    get_logger("a").info("bad")
    handler.setLevel("NOTSET")
    logging.getLogger("a").addFilter(only_good)
    get_logger("a").info("bad")
    logging.getLogger("a").removeFilter(only_good)

    assert [("good", True), ("structured", True)] == [
        (line["event"], line.get("seen")) for line in logged()
    ]


def test_a_logger_s_own_handler_and_propagation_are_obeyed(logged: Logged) -> None:
    """Events of structlog go to the handlers of the standard logger of that name."""
    configure_logging(log_format="json")
    seen = io.StringIO()
    handler = logging.StreamHandler(seen)
    logger = logging.getLogger("audit")
    logger.addHandler(handler)

    get_logger("audit").info("both")
    get_logger("audit.child").info("below")
    logger.propagate = False
    get_logger("audit").info("its own only")
    logger.propagate = True
    logger.removeHandler(handler)

    assert ["both", "below"] == [line["event"] for line in logged()]
    assert ["both", "below", "its own only"] == seen.getvalue().splitlines()


def test_a_filter_may_give_back_another_record(logged: Logged) -> None:
    """Python 3.12 lets a filter replace the record; here it works everywhere."""
    configure_logging(log_format="json")
    [handler] = [h for h in logging.getLogger().handlers if type(h).__name__ == "ObsHandler"]

    def another(record: logging.LogRecord) -> Any:
        return logging.makeLogRecord({**vars(record), "msg": "replaced"})

    handler.addFilter(another)
    logging.getLogger("a").info("original")
    handler.removeFilter(another)

    expected = "replaced" if __import__("sys").version_info >= (3, 12) else "original"
    assert [expected] == [line["event"] for line in logged()]


def test_http_clients_are_quiet(logged: Logged) -> None:
    """httpx and httpcore log each request at INFO, which is not shown; their warnings are."""
    configure_logging(log_format="json")

    for name in ("httpx", "httpcore.connection", "httpx2", "httpcore2.http11"):
        logging.getLogger(name).info("hidden")
        logging.getLogger(name).warning("shown")

    assert ["shown"] * 4 == [line["event"] for line in logged()]


def test_a_level_that_the_application_gave_a_client_counts() -> None:
    """httpx's lines can be turned on; a stricter `log_level` hides its warnings too."""
    done = run("""
        logging.getLogger("httpx").setLevel("DEBUG")
        configure_logging(log_level="ERROR")
        logging.getLogger("httpx").debug("wanted")
        logging.getLogger("httpcore").warning("below log_level")
        configure_logging(log_level="DEBUG")
        logging.getLogger("httpcore").warning("shown")
        logging.getLogger("httpcore").info("hidden")
    """)

    assert ["wanted", "shown"] == done.events


def test_configuring_twice_changes_nothing(logged: Logged) -> None:
    """There is one line per event, even if logging was configured twice."""
    for _ in range(3):
        configure_logging(log_format="json")

    logging.getLogger("a").info("once")
    warnings.showwarning(UserWarning("once"), UserWarning, "f.py", 1)

    assert ["once", "once"] == [line["event"] for line in logged()]


def test_our_handler_is_on_root_once() -> None:
    """Configuring again, also by dictConfig, replaces the handler."""
    done = run("""
        import logging.config
        from pantheon_obs import logging_config
        configure_logging()
        logging.config.dictConfig(logging_config())
        configure_logging()
        logging.info("%d", len(logging.getLogger().handlers))
    """)

    assert ["1"] == done.events


def test_logging_config_is_the_same_set_up(logged: Logged) -> None:
    """A dictConfig dict, applied, takes everything over."""
    before = logging.getLogger("uvicorn.error")
    before.setLevel("CRITICAL")
    dictConfig(logging_config(log_format="json", log_level="DEBUG", service="shop"))

    logging.getLogger("uvicorn.error").debug("server")
    logging.getLogger("uvicorn.access").info("dropped")
    logging.getLogger("httpx").info("dropped")

    lines = [line for line in logged() if line["logger"] != "asyncio"]
    assert [("uvicorn.error", "server", "shop")] == [
        (line["logger"], line["event"], line["service"]) for line in lines
    ]


def test_the_file_handlers_of_the_application_get_our_lines_too(tmp_path: Path) -> None:
    """Handlers that do not print stay, and see structlog's lines and ours as records."""
    log = tmp_path / "app.log"
    done = run(f"""
        from pantheon_obs.core.events import RequestFinished
        from pantheon_obs.core.pipeline import emit
        handler = logging.FileHandler({str(log)!r})
        handler.setFormatter(logging.Formatter(
            "%(levelname)s %(name)s %(filename)s:%(funcName)s %(tenant)s %(message)s"
        ))
        logging.getLogger().addHandler(handler)
        def factory(*args, **kwargs):
            record = logging.LogRecord(*args, **kwargs)
            record.tenant = "acme"
            return record
        logging.setLogRecordFactory(factory)
        configure_logging()
        def work():
            get_logger("shop").warning("100% structured", name="x")
            logging.getLogger("shop").info("plain")
        work()
        emit(RequestFinished(trace_id="t", bound={{}}, method="GET", path="/", status_code=200,
                             latency_ms=1.0, outcome="ok"))
    """)

    assert ["100% structured", "plain", "request_finished"] == done.events
    assert "x" == done.lines[0]["name"]
    assert [
        "WARNING shop <string>:work acme 100% structured",
        "INFO shop <string>:work acme plain",
        "INFO pantheon_obs.request <string>:<module> acme request_finished",
    ] == log.read_text().splitlines()


def test_caplog_sees_every_kind_of_line(caplog: pytest.LogCaptureFixture) -> None:
    """pytest's own fixture keeps working, with messages and fields."""
    from pantheon_obs.core.events import BackgroundFailed  # noqa: PLC0415 - as above
    from pantheon_obs.core.pipeline import emit  # noqa: PLC0415 - as above

    configure_logging(log_format="json")

    logging.getLogger("a").info("plain %d", 1)
    get_logger("b").info("structured", order=17)
    emit(BackgroundFailed(trace_id="t", bound={}, error=OSError("disk")))

    assert [
        ("a", 20, "plain 1"),
        ("b", 20, "structured"),
        ("pantheon_obs.request", 40, "background_failed"),
    ] == caplog.record_tuples
    assert 17 == vars(caplog.records[1])["order"]
    assert "OSError: disk" in caplog.text
