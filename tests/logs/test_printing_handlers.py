"""A handler that prints is recognised by its output, and other handlers are left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.logs.running import LOGGING, run

if TYPE_CHECKING:
    from collections.abc import Callable

HANDLERS = (
    LOGGING
    + """
import os, threading
SECRET = "amqp://baker:" + "rye-and-oats" + "@mq//"

class Own(logging.Handler):
    kept = []
    def emit(self, record):
        self.kept.append(record.getMessage())
        self.tell(self.format(record))
        self.flush()
    def tell(self, text): pass

class Printer(Own):
    def tell(self, text): print("RAW", text)
class Flushing(Own):
    def tell(self, text): print("RAW", text, flush=True)
class Writer(Own):
    def tell(self, text): sys.stderr.write("RAW " + text + "\\n")
class Lines(Own):
    def tell(self, text): sys.stdout.writelines(["RAW ", text, "\\n"])
class Json(Own):
    def tell(self, text):
        import json
        sys.stdout.buffer.write(json.dumps({"RAW": text}).encode() + b"\\n")
        sys.stdout.flush()
class Stored(Own):
    def __init__(self):
        super().__init__()
        self._out = sys.stderr
    def tell(self, text): self._out.write("RAW " + text + "\\n")
class First(Own):
    def tell(self, text): sys.__stdout__.write("RAW " + text + "\\n")
class Inner(Own):
    def __init__(self):
        super().__init__()
        self.inner = logging.StreamHandler()
    def handle(self, record):
        self.kept.append(record.getMessage())
        return self.inner.handle(record)
class Handling(logging.Handler):
    def handle(self, record):
        Own.kept.append(record.getMessage())
        print("RAW", record.getMessage())
"""
)
PRINTERS = [
    *("Printer", "Flushing", "Writer", "Lines", "Json", "Stored", "First", "Inner"),
    "Handling",
]


@pytest.mark.parametrize("place", ["", "f'shop.{kind.__name__}'"], ids=["root", "loggers"])
def test_a_handler_that_prints_without_a_stream_prints_no_second_line(place: str) -> None:
    """Each record is one line, masked, and whatever else the handler does goes on."""
    done = run(
        HANDLERS
        + f"""
kinds = [{", ".join(PRINTERS)}]
for kind in kinds:
    logger = logging.getLogger({place or "''"})
    logger.addHandler(kind())
    logger.propagate = False
configure_logging(log_format="json")
for kind in kinds:
    logging.getLogger(f"shop.{{kind.__name__}}").warning("cannot reach %s", SECRET)
    get_logger(f"shop.{{kind.__name__}}").warning("second")
print('{{"timestamp": "2026-01-01T00:00:00.000000Z", "level": "info", "event": "printed", '
      '"logger": "none"}}')
assert len(Own.kept) >= 2 * len(kinds)
get_logger("other").warning("end")
"""
    )

    lines = ["cannot reach amqp://[redacted]@mq//", "second"] * len(PRINTERS)
    assert [*lines, "printed"] == done.events[:-1]


@pytest.mark.parametrize("name", ["", "shop"], ids=["root", "a logger of its own"])
def test_a_handler_that_is_added_later_is_noticed_before_it_prints(name: str) -> None:
    """Libraries add handlers when they are first used."""
    done = run(
        HANDLERS
        + f"""
configure_logging(log_format="json")
logging.getLogger({name!r}).warning("first")
for kind in (Printer, logging.StreamHandler):
    logging.getLogger({name!r}).addHandler(kind())
    logging.getLogger("shop.basket").warning("cannot reach %s", SECRET)
    get_logger("shop.basket").warning("second")
"""
    )

    assert ["first", *["cannot reach amqp://[redacted]@mq//", "second"] * 2] == done.events


def test_a_stream_that_leads_to_a_standard_stream_prints_no_second_line(tmp_path: Path) -> None:
    """A tee's other file has each line as the application formats it; a closed stream has none."""
    done = run(
        HANDLERS
        + f"""
class Tee:
    def __init__(self): self.file = open({str(tmp_path / "tee.log")!r}, "w")
    def write(self, text):
        sys.stderr.write(text)
        self.file.write(text)
    def flush(self): self.file.flush()
copied = [os.fdopen(os.dup(number), "w") for number in (1, 2)]
closed = os.fdopen(os.dup(1), "w")
os.close(closed.fileno())
for name, stream in (("", Tee()), ("shop", copied[0]), ("cellar", copied[1])):
    logging.getLogger(name).addHandler(logging.StreamHandler(stream))
kept = logging.StreamHandler(closed)
logging.getLogger("shut").addHandler(kept)
configure_logging(log_format="json")
assert logging.getLogger("shut").handlers == [kept]
for name in ("", "shop", "cellar"):
    logging.getLogger(name).warning("cannot reach %s", SECRET)
"""
    )

    assert ["cannot reach amqp://[redacted]@mq//"] * 3 == done.events
    assert 3 == (tmp_path / "tee.log").read_text().count("cannot reach amqp://baker")


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/proc/self/fd/2"])
def test_a_file_handler_on_a_device_of_the_standard_streams_prints(path: str) -> None:
    """Configurations of containers write to such files; some open them with the first record."""
    if not Path(path).exists():
        pytest.skip("the system has no such file")

    done = run(
        LOGGING
        + f"""
logging.getLogger().addHandler(logging.FileHandler({path!r}))
configure_logging(log_format="json")
logging.getLogger("shop").addHandler(logging.FileHandler({path!r}, delay=True))
logging.getLogger("shop").warning("once")
"""
    )

    assert ["once"] == done.events


def test_a_handler_that_sends_keeps_what_it_prints_beside() -> None:
    """Its reports are no log lines, and it gets no record but the real ones."""
    done = run(
        HANDLERS
        + """
class Mail(Own):
    def tell(self, text): print("250 accepted for delivery")
class Broken(logging.Handler):
    def emit(self, record):
        try:
            raise OSError("no route")
        except OSError:
            self.handleError(record)
logging.getLogger("mail").addHandler(Mail())
logging.getLogger("broken").addHandler(Broken())
configure_logging(log_format="json", log_stream="stderr")
assert Own.kept == []
logging.getLogger("mail").warning("order placed")
get_logger("mail").warning("order paid")
logging.getLogger("broken").warning("order lost")
assert Own.kept == ["order placed", "order paid"]
"""
    )

    assert b"250 accepted for delivery\n" * 2 == done.stdout
    assert 1 == done.stderr.count(b"--- Logging error ---")
    assert 3 == done.stderr.count(b'"event":"order ')


def test_what_a_handler_prints_before_it_raises_is_not_lost() -> None:
    """Its exception reaches the code that logs, as without us."""
    done = run(
        HANDLERS
        + """
class Failing(Own):
    def tell(self, text):
        print("no route to the host of mails")
        raise OSError
logging.getLogger("mail").addHandler(Failing())
configure_logging(log_format="json", log_stream="stderr")
try:
    logging.getLogger("mail").warning("order placed")
except OSError:
    print("raised")
"""
    )

    assert b"no route to the host of mails\nraised\n" == done.stdout


def test_a_handler_whose_first_record_raises_is_still_watched() -> None:
    """It has had no chance to print."""
    done = run(
        HANDLERS
        + """
class Late(Printer):
    def tell(self, text):
        if len(self.kept) == 1:
            raise KeyError("not ready")
        super().tell(text)
logging.getLogger("shop").addHandler(Late())
configure_logging(log_format="json")
for number in range(3):
    try:
        logging.getLogger("shop").warning("order %d placed", number)
    except KeyError:
        logging.info("raised")
"""
    )

    assert ["raised", "order 1 placed", "order 2 placed"] == done.events


def test_a_message_that_cannot_be_formatted_fails_no_code_that_logs() -> None:
    """A handler that prints the unformatted message has no reason to fail, as without us."""
    done = run(
        HANDLERS
        + """
class Raw(Own):
    def emit(self, record):
        print("RAW", record.msg)
logging.getLogger("shop").addHandler(Raw())
configure_logging(log_format="json", log_stream="stderr")
logging.getLogger("shop").warning("%d loaves", "many")
print("logged")
"""
    )

    assert done.stdout.endswith(b"logged\n")
    assert 1 == done.stderr.count(b"loaves")


def test_output_of_other_threads_passes_while_a_handler_is_watched() -> None:
    """Only output of the handler's own thread is its line."""
    done = run(
        HANDLERS
        + """
class Slow(Own):
    def tell(self, text):
        print("RAW", text)
        thread = threading.Thread(target=lambda: (print("from a thread"), sys.stdout.flush()))
        thread.start()
        thread.join()
        logging.getLogger("within").warning("a line of its own")
logging.getLogger("shop").addHandler(Slow())
configure_logging(log_format="json", log_stream="stderr")
logging.getLogger("shop").warning("order placed")
"""
    )

    assert b"from a thread\n" == done.stdout
    assert ["a line of its own", "order placed"] == [
        json.loads(line)["event"] for line in done.stderr.splitlines()
    ]


def test_a_line_that_a_handler_logs_reaches_a_stream_of_the_application() -> None:
    """Where standard output is somebody's own object, our line is written to it all the same."""
    done = run(
        HANDLERS
        + """
import io
class Nested(Own):
    def tell(self, text):
        print("RAW", text)
        logging.getLogger("within").warning("a line of its own")
real, sys.stdout = sys.stdout, io.StringIO()
logging.getLogger("shop").addHandler(Nested())
configure_logging(log_format="json")
logging.getLogger("shop").warning("order placed")
real.write(sys.stdout.getvalue())
"""
    )

    assert ["a line of its own", "order placed"] == done.events


def test_a_handler_that_is_silent_gets_its_method_back() -> None:
    """After its first record nothing listens to it any more; a reset lets go of all others."""
    done = run(
        HANDLERS
        + """
from pantheon_obs.testing import reset
silent, printer = Own(), Printer()
logging.getLogger("silent").addHandler(silent)
logging.getLogger("printer").addHandler(printer)
sys.stdout.write = write = sys.stdout.write
configure_logging(log_format="json", log_stream="stderr")
configure_logging(log_format="json", log_stream="stderr")
logging.getLogger("silent").warning("silent")
assert {"write", "flush"} & set(vars(sys.stderr))  # the other one is still to be heard
logging.getLogger("printer").warning("printer")
logging.getLogger("printer").warning("printer")
assert "handle" not in vars(silent) and "handle" in vars(printer)
reset()
assert "handle" not in vars(printer) and sys.stdout.write is write
assert not {"write", "flush"} & set(vars(sys.stderr))
logging.getLogger("printer").warning("raw again")
"""
    )

    assert b"RAW raw again\n" == done.stdout


def test_the_streams_get_their_methods_back_with_the_last_handler_that_is_watched() -> None:
    """Each line flushes the stream, which takes five times as long through a method of ours."""
    done = run(
        HANDLERS
        + """
logging.getLogger("silent").addHandler(Own())
configure_logging(log_format="json", log_stream="stderr")
logging.getLogger("silent").warning("silent")
assert ["silent"] == Own.kept
assert not {"write", "flush"} & (set(vars(sys.stdout)) | set(vars(sys.stderr)))
"""
    )

    assert 0 == done.status, done.stderr


def test_a_handler_finds_the_caller_of_logging_on_the_stack() -> None:
    """Handlers that hand records on, as loguru's recipe does, pass over logging's own frames."""
    done = run(
        HANDLERS
        + """
class Finder(Own):
    def emit(self, record):
        frame = sys._getframe(1)
        while frame.f_code.co_filename == logging.__file__:
            frame = frame.f_back
        print("RAW", self.format(record))
        self.kept.append(frame.f_code.co_name)
logging.getLogger("shop").addHandler(Finder())
configure_logging(log_format="json")
def work():
    logging.getLogger("shop").warning("order placed")
work()
work()
assert Own.kept == ["work", "work"]
"""
    )

    assert ["order placed", "order placed"] == done.events


def test_a_server_s_access_lines_stay_away_from_a_handler_that_prints() -> None:
    """The handler's own output is dropped, and no line of ours takes its place."""
    done = run(
        HANDLERS
        + """
configure_logging(log_format="json")
logging.getLogger("uvicorn.access").addHandler(Printer())
logging.getLogger("uvicorn.access").warning("GET /?token=s")
logging.getLogger("shop").warning("end")
"""
    )

    assert ["end"] == done.events


def test_the_handler_of_aws_lambda_is_replaced() -> None:
    """The bootstrap's own handler writes to a descriptor beside standard output."""
    done = run(
        HANDLERS
        + """
class Request(logging.Filter):
    def filter(self, record):
        record.aws_request_id = "r-1"
        return True
class LambdaLoggerHandler(Own):
    __module__ = "bootstrap"
handler = LambdaLoggerHandler()
handler.addFilter(Request())
logging.getLogger().addHandler(handler)
configure_logging(log_format="json")
get_logger("shop").warning("order placed")
assert Own.kept == []
"""
    )

    assert [("order placed", "r-1")] == [(e["event"], e["aws_request_id"]) for e in done.lines]


def in_library(package: str, program: str) -> Callable[[], None]:
    """Make a test that runs a program which uses an installed library."""

    def test() -> None:
        pytest.importorskip(package)
        done = run(HANDLERS + program)
        assert "cannot reach amqp://[redacted]@mq//" == done.events[-1]
        assert 1 == sum("mq" in event for event in done.events)

    test.__doc__ = f"Each record of an application with {package} is one masked line."
    return test


test_absl = in_library(
    "absl.logging",
    """
from absl import logging as absl_logging
absl_logging.use_absl_handler()
configure_logging(log_format="json")
logging.getLogger("shop").warning("cannot reach %s", SECRET)
""",
)
test_loguru = in_library(
    "loguru",
    """
from loguru import logger
class InterceptHandler(logging.Handler):
    def emit(self, record):
        logger.log(record.levelname, record.getMessage())
logging.basicConfig(handlers=[InterceptHandler()], level=0, force=True)
configure_logging(log_format="json")
logging.getLogger("shop").warning("cannot reach %s", SECRET)
""",
)
test_sqlalchemy = in_library(
    "sqlalchemy",
    """
configure_logging(log_format="json")
from sqlalchemy import create_engine, text
with create_engine("sqlite://", echo=True).connect() as connection:
    connection.execute(text("select 1"))
assert logging.getLogger("sqlalchemy.engine.Engine").handlers == []
logging.getLogger("shop").warning("cannot reach %s", SECRET)
""",
)
