"""The JSON format: one event, one line, its keys in order."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from pantheon_obs import bind, configure_logging, get_logger, llm_call, trace_context
from pantheon_obs.core.events import BackgroundFailed, LlmCallFinished, RequestFinished
from pantheon_obs.core.pipeline import emit
from pantheon_obs.sinks.logs.line import LineBuilder, is_plain_path
from pantheon_obs.sinks.redact.redactor import Redactor
from tests.logs.running import run
from tests.support.events import request_finished

if TYPE_CHECKING:
    from collections.abc import Callable

    Logged = Callable[[], list[dict[str, Any]]]


def request(**fields: Any) -> RequestFinished:
    """Make a successful request with these fields changed."""
    return request_finished(**{"path": "/items/7", "latency_ms": 1.5} | fields)


def test_keys_stand_in_the_order_of_the_design(logged: Logged) -> None:
    """The head comes first, then fields: own, logger's, trace's, static; the traceback is last."""
    configure_logging(log_format="json", service="shop", environment="test", release="1.2")
    log = get_logger("orders").bind(cart="c-1")

    with trace_context("t-1"):
        bind(tenant="acme")
        structlog.contextvars.bind_contextvars(region="eu")
        try:
            raise KeyError("sku")  # noqa: EM101, TRY301 - a test's exception
        except KeyError:
            log.exception("order_failed", order_id=17)

    [line] = logged()
    assert [
        "timestamp",
        "level",
        "event",
        "logger",
        "trace_id",
        "order_id",
        "cart",
        "error_type",
        "tenant",
        "region",
        "service",
        "environment",
        "release",
        "exception",
    ] == list(line)
    assert ["error", "order_failed", "orders", "t-1", 17, "c-1", "KeyError", "acme", "eu"] == [
        line[key] for key in list(line)[1:10]
    ]


def test_the_timestamp_is_now_in_utc_with_microseconds(logged: Logged) -> None:
    """The timestamp is ISO 8601 with six digits and a Z, and says when it happened."""
    configure_logging(log_format="json")

    before = datetime.now(UTC)
    get_logger("a").info("structured")
    logging.getLogger("a").info("plain")
    after = datetime.now(UTC)

    for line in logged():
        # time.time(), which logging uses, may be some microseconds behind datetime.now().
        moment = datetime.fromisoformat(line["timestamp"]).timestamp()
        assert before.timestamp() - 0.001 <= moment <= after.timestamp() + 0.001


def test_a_record_keeps_the_time_at_which_it_was_made(logged: Logged) -> None:
    """A record that arrives late, through a queue for example, says when it happened."""
    configure_logging(log_format="json")
    record = logging.makeLogRecord({"name": "late", "levelno": 20, "msg": "m", "created": 86400.5})

    logging.getLogger("late").handle(record)

    [line] = logged()
    assert "1970-01-02T00:00:00.500000Z" == line["timestamp"]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_levels_are_lower_case(logged: Logged, level: str) -> None:
    """A line's level is the standard name in lower case, from either kind of logger."""
    configure_logging(log_format="json", log_level="DEBUG")

    getattr(logging.getLogger("a"), level)("plain")
    getattr(get_logger("a"), level)("structured")

    assert [level, level] == [line["level"] for line in logged()]


def test_a_level_of_the_application_keeps_its_name(logged: Logged) -> None:
    """A custom level is written with its name in lower case."""
    configure_logging(log_format="json")
    logging.addLevelName(25, "NOTICE")

    logging.getLogger("a").log(25, "named")
    logging.getLogger("a").log(26, "unnamed")

    assert [("named", "notice"), ("unnamed", "level 26")] == [
        (line["event"], line["level"]) for line in logged()
    ]


def test_standard_levels_keep_their_names_whatever_the_application_calls_them() -> None:
    """Colour codes in an application's level names do not get into the lines."""
    done = run("""
        logging.addLevelName(logging.WARNING, "\\x1b[33mWARN\\x1b[0m")
        configure_logging()
        logging.warning("x")
    """)

    assert ["warning"] == [line["level"] for line in done.lines]


def test_there_is_no_trace_id_outside_a_trace(logged: Logged) -> None:
    """A line has the trace id inside a trace, and no such key outside of one."""
    configure_logging(log_format="json")
    log = get_logger("a")

    log.info("before")
    with trace_context("t-1"):
        log.info("inside")
    log.info("after")

    assert [None, "t-1", None] == [line.get("trace_id") for line in logged()]


def test_fields_under_our_names_are_kept_under_others(logged: Logged) -> None:
    """An application's field with the name of one of ours gets an underscore."""
    configure_logging(log_format="json")

    get_logger("a").info("e", timestamp=1, level="l", logger="g", trace_id="t", exception="x")
    logging.getLogger("a").info("e", extra={"level": "l", "event": "v", "trace_id": "-"})

    structured, plain = logged()
    assert ("info", "e", "a") == tuple(structured[key] for key in ("level", "event", "logger"))
    assert {
        "timestamp_": 1,
        "level_": "l",
        "logger_": "g",
        "trace_id_": "t",
        "exception_": "x",
    } == {key: value for key, value in structured.items() if key.endswith("_")}
    assert ("l", "v", "-") == tuple(plain[key] for key in ("level_", "event_", "trace_id_"))


def test_an_events_own_field_wins_over_bound_and_static_ones(logged: Logged) -> None:
    """The event's field wins over the logger's, that over the trace's, that over a static one."""
    configure_logging(log_format="json", service="static")

    with trace_context("t-1"):
        bind(service="bound", a="bound", b="bound", c="bound")
        structlog.contextvars.bind_contextvars(c="structlog", d="structlog")
        get_logger("a").bind(a="logger", b="logger").info("e", a="own")

    [line] = logged()
    assert ["own", "logger", "bound", "structlog", "bound"] == [
        line[key] for key in ("a", "b", "c", "d", "service")
    ]


def test_the_failure_of_a_nested_trace_has_no_fields_of_the_outer_one(logged: Logged) -> None:
    """Its line has its own id, in a trace or outside of them, where fields describe the worker."""
    configure_logging(log_format="json")
    log = logging.getLogger("worker")
    bind(worker="w-1")
    with trace_context("outer-1"):
        bind(tenant="acme")
        with pytest.raises(LookupError) as failed, trace_context("inner-1"):
            raise LookupError
        log.error("failed", exc_info=failed.value)
    with pytest.raises(LookupError) as failed, trace_context("job-1"):
        raise LookupError
    log.error("failed", exc_info=failed.value)

    assert [("inner-1", None, None), ("job-1", None, "w-1")] == [
        (line["trace_id"], line.get("tenant"), line.get("worker")) for line in logged()
    ]


def test_fields_bound_outside_a_trace_are_on_the_lines_of_this_context(logged: Logged) -> None:
    """`bind()` works without a request too."""
    configure_logging(log_format="json")

    bind(job="nightly")
    logging.getLogger("a").info("e")

    [line] = logged()
    assert "nightly" == line["job"]


def test_the_request_line_has_its_fields_in_order(logged: Logged) -> None:
    """`request_finished` is one INFO line of the logger pantheon_obs.request."""
    configure_logging(log_format="json")

    emit(request(route="/items/{id}", ttfb_ms=0.5, bound={"tenant": "acme"}))

    [line] = logged()
    assert {
        "level": "info",
        "event": "request_finished",
        "logger": "pantheon_obs.request",
        "trace_id": "t-1",
        "method": "GET",
        "path": "/items/7",
        "route": "/items/{id}",
        "status_code": 200,
        "latency_ms": 1.5,
        "ttfb_ms": 0.5,
        "outcome": "ok",
        "tenant": "acme",
    } == {key: value for key, value in line.items() if key != "timestamp"}


def test_values_from_outside_are_redacted_on_the_request_line(logged: Logged) -> None:
    """A secret in a path, or bound to the request, does not get into its line."""
    configure_logging(log_format="json")

    emit(
        request(path="/share/sk-0123456789abcdefghij", method="G\ud800", bound={"token": "hunter2"})
    )

    [line] = logged()
    assert ("/share/[redacted]", "G\\ud800", "[redacted]") == (
        line["path"],
        line["method"],
        line["token"],
    )


_NAMES = "token password secret apikey auth bearer login v1 ghp akia xoxb sk services identified by"


@given(
    st.lists(
        st.sampled_from(_NAMES.split())
        | st.from_regex("[a-z0-9]{0,15}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", fullmatch=True),
        min_size=1,
        max_size=8,
    )
)
@example(parts=["token", "0123456789abcde"])  # one letter more may be a secret
def test_a_path_that_is_taken_for_plain_has_no_secret(parts: list[str]) -> None:
    """The line takes such a path as it is, because redaction would find nothing in it."""
    path = "".join(f"/{part}" for part in parts)

    assert is_plain_path(path)
    assert path == Redactor().text(path)


def test_a_token_in_a_path_is_redacted(logged: Logged) -> None:
    """A random segment behind the name of a secret is one, although it is lower case and short."""
    configure_logging(log_format="json")

    emit(request(path="/reset/token/0123456789abcdef"))

    [line] = logged()
    assert "/reset/token/[redacted]" == line["path"]


class Vendor(str, Enum):  # noqa: UP042 - its text is not its value, unlike StrEnum's
    """An application's list of vendors."""

    ACME = "acme"


def test_a_member_of_the_application_s_enum_is_its_value(logged: Logged) -> None:
    """A member of an enum is written as its value, because JSON has no enums."""
    configure_logging(log_format="json")

    with llm_call(model="fast", provider=Vendor.ACME):
        pass

    assert ["acme"] == [line["provider"] for line in logged()]


def test_a_failed_request_carries_its_traceback_once(logged: Logged) -> None:
    """The line has the type, and the traceback unless a line of the application has it already."""
    configure_logging(log_format="json")
    error = ValueError("boom")
    failed = request(status_code=500, outcome="error", error=error)

    emit(failed)
    emit(failed)

    first, second = logged()
    assert "ValueError: boom" == first["exception"]
    assert "exception" not in second
    assert ["ValueError", "ValueError"] == [first["error_type"], second["error_type"]]


def test_failed_background_work_carries_its_traceback(logged: Logged) -> None:
    """`background_failed` is one ERROR line with type and traceback."""
    configure_logging(log_format="json")

    emit(BackgroundFailed(trace_id="t-1", bound={"tenant": "acme"}, error=OSError("disk")))

    [line] = logged()
    assert ["background_failed", "error", "OSError", "acme", "OSError: disk"] == [
        line[key] for key in ("event", "level", "error_type", "tenant", "exception")
    ]


def finished_call(**more: Any) -> LlmCallFinished:
    """Make the event of a call outside of a trace."""
    return LlmCallFinished(
        trace_id="",
        bound={},
        operation="generate",
        model_alias="fast",
        latency_ms=12.5,
        outcome="ok",
        **more,
    )


def test_an_llm_line_has_all_known_fields(logged: Logged) -> None:
    """`llm.<operation>` has its constant fields, nulls included, and the known ones."""
    configure_logging(log_format="json")

    emit(finished_call(usage_status="missing", provider="openai"))

    [line] = logged()
    assert [
        "event",
        "logger",
        "model_alias",
        "latency_ms",
        "input_tokens",
        "output_tokens",
    ] == list(line)[2:8]
    assert ["llm.generate", "pantheon_obs.llm", "fast", 12.5, None, None] == list(line.values())[
        2:8
    ]
    assert {"usage_status": "missing", "outcome": "ok", "provider": "openai"} == {
        key: line[key] for key in list(line)[8:]
    }


@pytest.mark.parametrize("log_format", ["json", "text", "console"])
def test_a_fact_of_an_unexpected_type_is_no_reason_to_lose_the_line(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    """The application's usage or prices may give any number."""
    configure_logging(log_format=log_format)

    emit(
        finished_call(
            usage_status="reported",
            input_tokens=10**30,
            cost_usd=Decimal("0.10"),
        )
    )

    captured = capsys.readouterr()
    assert "0.10" in captured.out
    assert str(10**30) in captured.out
    assert "telemetry_failed" not in captured.out


def test_library_events_obey_levels(logged: Logged) -> None:
    """A logger of ours can be made quiet by its standard name."""
    configure_logging(log_format="json")
    logging.getLogger("pantheon_obs.request").setLevel("WARNING")
    try:
        emit(request())
        emit(request(status_code=404))
    finally:
        logging.getLogger("pantheon_obs.request").setLevel("NOTSET")

    assert [404] == [line["status_code"] for line in logged()]


def test_a_quiet_request_is_a_debug_line(logged: Logged) -> None:
    """A quiet path's request line comes at DEBUG only."""
    configure_logging(log_format="json", log_level="INFO")
    emit(request(quiet=True))
    assert [] == logged()

    configure_logging(log_format="json", log_level="DEBUG")
    emit(request(quiet=True))

    assert ["debug"] == [line["level"] for line in logged() if line["event"] == "request_finished"]


def test_text_of_any_language_is_utf_8() -> None:
    """Lines are UTF-8 in every locale, and only necessary characters are escaped."""
    done = run(
        """
        configure_logging()
        get_logger("a").info("gr\\u00fc\\u00dfe", emoji="\\U0001f389")
        """,
        LC_ALL="C",
        PYTHONIOENCODING="ascii",
        PYTHONUTF8="0",
    )

    assert ["grüße"] == done.events
    assert '"emoji":"🎉"'.encode() in done.stdout


def test_the_application_s_prints_keep_their_place() -> None:
    """Text printed before a line stands before it, although print buffers."""
    done = run("""
        configure_logging(log_format="json")
        print("first")
        logging.warning("second")
        print("third")
    """)

    first, second, third = done.stdout.splitlines()
    assert (b"first", "second", b"third") == (first, json.loads(second)["event"], third)


def test_the_format_is_json_where_standard_output_is_no_terminal() -> None:
    """`auto` is the default, and means JSON in a pipe."""
    done = run("configure_logging(); logging.warning('x')")

    assert ["x"] == done.events


def test_time_is_cached_by_the_second_without_standing_still(logged: Logged) -> None:
    """Lines of different seconds have different times."""
    configure_logging(log_format="json")
    logger = logging.getLogger("a")
    started = time.time()

    for second in range(3):
        logger.handle(
            logging.makeLogRecord(
                {"name": "a", "levelno": 20, "msg": "m", "created": started + second}
            )
        )

    assert 3 == len({line["timestamp"][:19] for line in logged()})


def test_an_event_that_nobody_else_sees_survives_what_breaks_its_line() -> None:
    """Its line goes out without its fields, and standard error says that standard output is gone.

    pytest's own handler would see its record, so this is another process.
    """
    done = run(
        """
import os
from pantheon_obs.core.events import RequestFinished
from pantheon_obs.core.pipeline import emit
from pantheon_obs.sinks.logs.line import LineBuilder
from pantheon_obs.testing import capture_events

def request(path):
    emit(RequestFinished(trace_id="t-1", bound={}, method="GET", path=path, status_code=200,
                         latency_ms=1.0, outcome="ok"))

configure_logging(log_format="json", max_line_bytes=1024)
redact = LineBuilder._redact
LineBuilder._redact = None
request("/broken")
LineBuilder._redact = redact
request("/long" * 1000)
logging.disable(logging.INFO)
with capture_events() as events:
    request("/captured")
logging.disable(logging.NOTSET)
assert ["/captured"] == [event["path"] for event in events]
os.close(1)
request("/lost")
os._exit(0)
"""
    )

    failed, broken, long = map(json.loads, done.stdout.splitlines())
    assert 0 == done.status
    assert ("telemetry_failed", "log line") == (failed["event"], failed["site"])
    assert ("request_finished", "t-1") == (broken["event"], broken["trace_id"])
    assert "path" not in broken
    assert long["path"].endswith(" bytes cut]")
    (report,) = map(json.loads, done.stderr.splitlines())
    assert ("telemetry_failed", "log output") == (report["event"], report["site"])


def test_a_line_whose_fields_break_keeps_its_traceback(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also that of an exception which has lost its own since: the record has it."""
    configure_logging(log_format="json")
    add = LineBuilder._add  # noqa: SLF001 - nothing that an application logs breaks a line

    def broken(self: LineBuilder, line: dict[str, Any], fields: dict[str, Any]) -> None:
        if "n" in fields:
            raise ValueError
        add(self, line, fields)

    monkeypatch.setattr(LineBuilder, "_add", broken)
    try:
        raise_lookup_error()
    except LookupError as error:
        found = (type(error), error, error.__traceback__)
        error.__traceback__ = None
    logging.getLogger("a").error("e", exc_info=found, extra={"n": 1})

    failed, line = logged()
    assert ("telemetry_failed", "e") == (failed["event"], line["event"])
    assert "n" not in line
    assert "in raise_lookup_error" in line["exception"]


def raise_lookup_error() -> None:
    """Raise an exception, from a function that its traceback names."""
    raise LookupError
