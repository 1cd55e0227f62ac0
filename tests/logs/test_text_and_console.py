"""The text format, exactly as its first users have it, and the console format."""

from __future__ import annotations

import logging
import os
import pty
import re
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from pantheon_obs import Settings, configure_logging, get_logger, trace_context
from pantheon_obs.core.events import LlmCallFinished, RequestFinished, WebsocketFinished
from pantheon_obs.core.llm_events import LlmTotals
from pantheon_obs.core.pipeline import emit
from tests.logs.running import clean_environment, command, run
from tests.support.events import request_finished

SEED = "%(asctime)s %(levelname)-8s %(name)s [%(trace_id)s] %(message)s"
"""The format as it was first written down."""


def as_the_seed_prints_it(record: logging.LogRecord, trace_id: str) -> str:
    """Format a record by the standard library's own formatter."""
    record.trace_id = trace_id
    return logging.Formatter(SEED).format(record) + "\n"


@pytest.mark.parametrize("level", [10, 20, 30, 40, 50])
@pytest.mark.parametrize("trace_id", ["", "my-custom-id"])
def test_a_record_is_printed_as_the_standard_formatter_would(
    capsys: pytest.CaptureFixture[str], level: int, trace_id: str
) -> None:
    """The line has the same bytes: time, padded level, logger, trace or a dash, message."""
    configure_logging(log_format="text", log_level="DEBUG")
    record = logging.makeLogRecord(
        {
            "name": "apps.api",
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": "took %d ms (100%%)",
            "args": (7,),
            "created": 1771841471.123456,
            "msecs": 123.0,
        }
    )

    if trace_id:
        with trace_context(trace_id):
            logging.getLogger("apps.api").handle(record)
    else:
        logging.getLogger("apps.api").handle(record)

    assert as_the_seed_prints_it(record, trace_id or "-") == capsys.readouterr().out


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_the_time_is_local(zone: str) -> None:
    """The text format's time is that of the process's time zone, as the formatter's is."""
    done = run(
        """
        configure_logging(log_format="text")
        import time
        record = logging.makeLogRecord(
            {"name": "a", "levelno": 20, "msg": "m", "created": 1771841471.5, "msecs": 500.0}
        )
        logging.getLogger("a").handle(record)
        print(logging.Formatter("%(asctime)s").format(record))
        """,
        TZ=zone,
    )

    line, expected = done.stdout.decode().splitlines()
    assert expected == line[:23]


def message_of(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the part after the trace id in the one line that was printed."""
    found = re.fullmatch(
        r"[\d-]{10} [\d:]{8},\d{3} .{8} \S+ \[\S+\] (.*)\n", capsys.readouterr().out
    )
    assert found is not None
    return found[1]


def llm_call(**fields: Any) -> LlmCallFinished:
    """Make a finished call to `generate` with these fields changed."""
    facts: dict[str, Any] = {
        "trace_id": "t-1",
        "bound": {},
        "operation": "generate",
        "model_alias": "fast",
        "latency_ms": 412.7,
        "outcome": "ok",
        "usage_status": "reported",
        "input_tokens": 12,
        "output_tokens": 34,
    }
    return LlmCallFinished(**{**facts, **fields})


def test_an_llm_line_begins_as_the_seed_s_did(capsys: pytest.CaptureFixture[str]) -> None:
    """Model, whole milliseconds and tokens come first; the rest follows in the JSON order."""
    configure_logging(log_format="text")

    emit(llm_call(model="vendor/fast-2", stream=False, ttfc_ms=3.25))

    assert (
        "llm.generate model=fast latency_ms=412 input_tokens=12 output_tokens=34 "
        "usage_status=reported outcome=ok response_model=vendor/fast-2 stream=false ttfc_ms=3.25"
    ) == message_of(capsys)


def test_unknown_tokens_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown tokens are written as null, never as 0."""
    configure_logging(log_format="text")

    emit(llm_call(input_tokens=None, output_tokens=None, usage_status="missing", model_alias=None))

    assert message_of(capsys).startswith(
        "llm.generate model=null latency_ms=412 input_tokens=null output_tokens=null "
    )


def test_a_request_line_begins_with_the_most_important_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Method, path, status and latency come first; the rest follows in the JSON order."""
    configure_logging(log_format="text", service="shop")
    totals = LlmTotals()
    totals.add(llm_call())

    emit(
        request_finished(
            bound={"tenant": "acme inc"},
            path="/items/7",
            latency_ms=1.5,
            route="/items/{id}",
            llm=totals,
        )
    )

    assert (
        "request_finished method=GET path=/items/7 status_code=200 latency_ms=1.5 "
        "route=/items/{id} outcome=ok llm_calls=1 llm_errors=0 llm_latency_ms=412.7 "
        'llm_input_tokens=12 llm_output_tokens=34 tenant="acme inc" service=shop'
    ) == message_of(capsys)


def test_fields_of_the_application_follow_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    """Words are not quoted, other values are, and structures are JSON."""
    configure_logging(log_format="text")

    get_logger("a").info("e", word="x", text="a b", empty="", quote='"', items=[1, None], on=True)

    assert ('e word=x text="a b" empty="" quote="\\"" items=[1, null] on=true') == message_of(
        capsys
    )


FORGERY = "x\n2026-01-01 00:00:00,000 ERROR    root [-] forged"


@pytest.mark.parametrize(
    "separator", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"]
)
def test_no_value_can_forge_a_line(capsys: pytest.CaptureFixture[str], separator: str) -> None:
    """Every character that may end a line is escaped, in every part of the line."""
    configure_logging(log_format="text")
    forgery = FORGERY.replace("\n", separator)

    logging.getLogger(forgery).warning(forgery)
    get_logger("a").info(forgery, **{forgery: forgery, "deep": {forgery: [forgery]}})

    assert 2 == len(capsys.readouterr().out.splitlines())


FIELD = "signed in user=admin"


@pytest.mark.parametrize("log_format", ["text", "console"])
def test_no_value_can_forge_a_field(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    """A message, key, logger or value that looks like a field is quoted."""
    configure_logging(log_format=log_format)

    logging.getLogger(FIELD).warning("%s", FIELD)
    logging.getLogger("a").warning("user=admin", extra={"left": 2})
    logging.getLogger("a").warning("signed in %s", "ada user=admin")
    logging.getLogger("a").warning("signed in id=%s", "17 user=admin")
    get_logger("a").info(FIELD, **{FIELD: FIELD, "deep": {FIELD: [FIELD]}})
    emit(finished(path="/ user=admin", bound={FIELD: FIELD}))
    logging.getLogger("a").error("failed", exc_info=ValueError(FIELD))

    lines = capsys.readouterr().out.splitlines()
    heads = [re.sub(r"\"[^\"]*\"|'[^']*'", "", line) for line in lines if line[0] != " "]
    assert 7 == len(heads)
    assert [] == [head for head in heads if "user" in head]


@pytest.mark.parametrize("static", [{}, {"service": "shop"}])
@pytest.mark.parametrize(
    ("template", "args"),
    [
        ("llm.generate model=%s latency_ms=%d", ("fast", 412)),
        ("Sentry initialized (traces_sample_rate=%.2f)", (0.1,)),
        ("%s=%s", ("a", "b=c")),
    ],
)
def test_a_message_of_the_application_is_as_it_wrote_it(
    capsys: pytest.CaptureFixture[str],
    template: str,
    args: tuple[object, ...],
    static: dict[str, Any],
) -> None:
    """Only text from an argument may be forged."""
    configure_logging(log_format="text", **static)

    logging.getLogger("a").info(template, *args)

    shown = (template % args, *(f"{key}={value}" for key, value in static.items()))
    assert " ".join(shown) == message_of(capsys)


@pytest.mark.parametrize("static", [{}, {"service": "shop"}])
def test_a_message_without_arguments_that_looks_like_fields_is_quoted(
    capsys: pytest.CaptureFixture[str], static: dict[str, Any]
) -> None:
    """It may come from a request: `f"signed in {user}"`."""
    configure_logging(log_format="text", **static)

    logging.getLogger("a").info("cache hit key=17")

    fields = [f"{key}={value}" for key, value in static.items()]
    assert " ".join(('"cache hit key=17"', *fields)) == message_of(capsys)


def test_a_message_that_cannot_be_taken_for_fields_is_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only an equals sign with a word before it makes a message look like fields."""
    configure_logging(log_format="text")

    get_logger("a").info('WHERE a = "b" [x] == y', n=1)

    assert 'WHERE a = "b" [x] == y n=1' == message_of(capsys)


@pytest.mark.parametrize("log_format", ["json", "text", "console"])
def test_no_line_has_a_control(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    """Neither controls of terminals nor those of bidirectional text stand in a line."""
    configure_logging(log_format=log_format)
    controls = "".join(
        map(chr, [*range(32), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)])
    )
    forging = f"x{controls}\u061c\u200e\u200fy"

    logging.getLogger(forging).warning(forging)
    get_logger("a").info(forging, **{forging: forging, "deep": {forging: [forging]}})
    get_logger("a").info("e", stack=forging, exc_info=ValueError(forging))
    emit(finished(path=forging, method=forging, bound={forging: forging}))

    shown = capsys.readouterr().out
    assert 4 <= shown.count("\n")
    assert shown.replace("\n", "").isprintable()


def test_the_colours_of_a_server_are_removed(capsys: pytest.CaptureFixture[str]) -> None:
    """A server's lines for a terminal lose their colours; others' codes are shown."""
    configure_logging(log_format="text")

    logging.getLogger("werkzeug").warning("\x1b[31m\x1b[1mdo not use %s\x1b[0m", "this")
    assert "do not use this" == message_of(capsys)
    logging.getLogger("a").warning("\x1b[31mred")
    assert "\\x1b[31mred" == message_of(capsys)


def test_a_traceback_s_lines_are_indented(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback follows on lines of its own, none of which can be taken for a record."""
    configure_logging(log_format="text")

    forging = ValueError(FORGERY + "\r\x1b[2Jgone")
    logging.getLogger("a").error("failed", exc_info=forging)

    head, *below = capsys.readouterr().out.split("\n")[:-1]
    assert head.endswith(" ERROR    a [-] failed error_type=ValueError")
    assert below == [
        "    ValueError: x",
        "    2026-01-01 00:00:00,000 ERROR    root [-] forged\\r\\x1b[2Jgone",
    ]
    assert all(line.startswith("    ") for line in below)


def test_terminal_escapes_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of C0 and C1 are written out; text of any language stays."""
    configure_logging(log_format="text")

    get_logger("a").info("\x1b[31mred \x9b1m \x7f grüße", title="\x1b]0;owned\x07")

    shown = message_of(capsys)
    assert "\\x1b[31mred \\x9b1m \\x7f grüße title=\\x1b]0;owned\\x07" == shown


HOSTILE = {
    "nan": float("nan"),
    "beyond 64 bits": 10**30,
    "beyond the digits limit": 10**5000,
    "bytes": b"\xff",
    "surrogate": "\ud800",
    "type": {1: object},
    "set": {"a": {2, 3}},
}


@pytest.mark.parametrize("log_format", ["text", "console"])
@pytest.mark.parametrize("value", HOSTILE)
def test_every_format_takes_every_value(
    capsys: pytest.CaptureFixture[str], log_format: str, value: str
) -> None:
    """A value that JSON cannot express is one line in the other formats too."""
    configure_logging(log_format=log_format)

    get_logger("a").info("e", value=HOSTILE[value], stack=HOSTILE[value])
    get_logger("a").info("after")

    first, *_, last = capsys.readouterr().out.splitlines()
    assert "value=" in first
    assert "after" in last


def test_a_second_name_of_the_trace_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """`request_id` of Django's profile is left out, because the brackets show the same id."""
    configure_logging(replace(Settings(log_format="text"), request_id=True))

    with trace_context("t-1"):
        get_logger("a").info("within", n=1)
    get_logger("a").info("outside", request_id="mine")

    within, outside = capsys.readouterr().out.splitlines()
    assert within.endswith("[t-1] within n=1")
    assert outside.endswith("[-] outside request_id_=mine")


def test_the_console_is_structlog_s(capsys: pytest.CaptureFixture[str]) -> None:
    """The developer's renderer shows time, level, event, logger, fields and the traceback."""
    configure_logging(log_format="console")

    with trace_context("t-1"):
        logging.getLogger("shop").error(
            "no\nstock", extra={"left": 0}, exc_info=ValueError(FORGERY)
        )

    head, *below = capsys.readouterr().out.splitlines()
    assert re.match(r"[\d:]{8}\.\d{3} \[error +\] no\\nstock +\[shop\] +trace_id=t-1 left=0 ", head)
    assert "error_type=ValueError" == head.split()[-1]
    assert "    ValueError: x" == below[-2]
    assert all(line.startswith("    ") for line in below)


def finished(**fields: Any) -> RequestFinished:
    """Make a finished request with these fields changed."""
    return request_finished(**{"path": "/ping", "latency_ms": 4.871} | fields)


@pytest.mark.parametrize(
    ("event", "words", "rest"),
    [
        (finished(), "GET /ping 200 4.9 ms", "trace_id=t-1 outcome=ok"),
        (
            finished(status_code=None, outcome="client_disconnected", bound={"tenant": "acme"}),
            "GET /ping - 4.9 ms",
            "trace_id=t-1 outcome=client_disconnected tenant=acme",
        ),
        (
            finished(path="/a 500 1.0 ms\n"),
            'GET "/a 500 1.0 ms\\n" 200 4.9 ms',
            "trace_id=t-1 outcome=ok",
        ),
        (
            WebsocketFinished(
                trace_id="t-1",
                bound={},
                path="/ws",
                latency_ms=1500.0,
                outcome="ok",
                close_code=1000,
                messages_in=1,
                messages_out=2,
            ),
            "WEBSOCKET /ws 1000 1500.0 ms",
            "trace_id=t-1 messages_in=1 messages_out=2 outcome=ok",
        ),
    ],
)
def test_a_request_begins_with_its_words_on_the_console(
    capsys: pytest.CaptureFixture[str], event: Any, words: str, rest: str
) -> None:
    """Method, path, status and time come first, then the other fields in the JSON order."""
    configure_logging(log_format="console")

    emit(event)

    shown = re.sub(r" +", " ", capsys.readouterr().out).strip()
    assert f"{words} {rest}" == shown.partition("] ")[2]


def test_an_event_of_the_same_name_is_shown_as_any_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only a line with the time of a request is written in words."""
    configure_logging(log_format="console")

    logging.getLogger("pantheon_obs.request").info("request_finished")
    logging.getLogger("shop").info("request_finished", extra={"latency_ms": 1.0})

    first, second = capsys.readouterr().out.splitlines()
    assert "request_finished               [pantheon_obs.request]" in first
    assert second.endswith("latency_ms=1.0")


def on_a_terminal(program: str, **variables: str) -> bytes:
    """Run a program on a terminal; return its output."""
    ours, its = pty.openpty()
    environment = {"TERM": "xterm", "NO_COLOR": "", **variables}
    with subprocess.Popen(
        command(program), stdout=its, env=clean_environment(**environment)
    ) as process:
        os.close(its)
        shown = b""
        try:
            while chunk := os.read(ours, 65536):
                shown += chunk
        except OSError:  # on Linux this means that the other end is closed
            pass
        os.close(ours)
        assert 0 == process.wait()
    return shown


def test_a_terminal_gets_the_console_format_in_colour() -> None:
    """`auto` means console on a terminal."""
    shown = on_a_terminal("configure_logging(); get_logger('shop').info('open', tills=3)")

    assert b"\x1b[" in shown
    assert b"open" in shown
    assert b'"event"' not in shown


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_gets_no_colour_where_its_user_wants_none(variables: dict[str, str]) -> None:
    """`NO_COLOR` and a dumb terminal are obeyed; the format stays the console's."""
    shown = on_a_terminal("configure_logging(); get_logger('shop').info('open')", **variables)

    assert b"\x1b" not in shown
    assert b"] open" in shown


def test_a_terminal_on_standard_error_decides_for_lines_that_go_there() -> None:
    """`auto` looks at the stream that the lines go to."""
    shown = on_a_terminal(
        "configure_logging(log_stream='stderr'); get_logger('shop').info('open'); print('json')"
    )

    assert b"json\r\n" == shown


def test_a_terminal_gets_json_when_asked() -> None:
    """An explicit format applies on a terminal too."""
    shown = on_a_terminal("configure_logging(log_format='json'); get_logger('a').info('open')")

    assert shown.startswith(b'{"timestamp":')
