"""Standard output in every state: the application runs on, and lines stay whole."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pantheon_obs import configure_logging
from tests.logs.running import SECONDS_TO_WAIT, Finished, clean_environment, command, run
from tests.support.lines import parse_lines

ON_LINUX = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def run_into(stdout: int, program: str) -> Finished:
    """Run a program with this descriptor as its standard output."""
    done = subprocess.run(
        command(program),
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        env=clean_environment(),
        timeout=SECONDS_TO_WAIT,
    )
    return Finished(b"", done.stderr, done.returncode)


BROKEN = {
    "closed by the application": "sys.stdout.close()",
    "descriptor closed by the application": "import os; os.close(1)",
    "without a reader": """import os
read, write = os.pipe()
os.dup2(write, 1)
os.close(read); os.close(write)""",
    "a stream that raises": """class Raising:
    def write(self, text): raise OSError("broken")
    def flush(self): pass
sys.stdout = Raising()""",
    "a stream whose flush is broken": """class Raising:
    def write(self, text): pass
    def flush(self): raise AttributeError("broken")
sys.stdout = Raising()""",
}


@pytest.mark.parametrize("breaking", BROKEN)
def test_the_application_runs_on_without_standard_output(breaking: str) -> None:
    """Nothing is raised, and standard error says once, in a line, what is wrong."""
    done = run(f"""
configure_logging()
{BROKEN[breaking]}
for number in range(3):
    logging.warning("lost %d", number)
    get_logger("a").warning("lost", number=number)
sys.stdout = sys.__stdout__ = None
sys.exit(7)
""")

    [line] = parse_lines(done.stderr)
    assert ("telemetry_failed", "log output", "pantheon_obs.guard") == tuple(
        line[key] for key in ("event", "site", "logger")
    )
    assert 7 == done.status


@ON_LINUX
def test_the_application_runs_on_when_the_disk_is_full() -> None:
    """`/dev/full` refuses every line; one report stands on standard error."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = run_into(
            full.fileno(),
            """
            configure_logging(log_format="json")
            for number in range(3):
                logging.warning("lost %d", number)
            sys.exit(7)
            """,
        )

    [line] = parse_lines(done.stderr)
    assert ("log output", "OSError", 7) == (line["site"], line["error_type"], done.status)


@pytest.mark.parametrize("stderr", ["None", "closed"])
def test_the_application_runs_on_without_standard_error_too(stderr: str) -> None:
    """The failure is reported nowhere."""
    breaking = "sys.stderr = None" if stderr == "None" else "sys.stderr.close()"
    done = run(f"""
        import os
        configure_logging()
        os.close(1)
        {breaking}
        logging.warning("lost")
        os._exit(7)
    """)

    assert 7 == done.status


def test_no_standard_output_at_all_is_no_failure() -> None:
    """Under pythonw, for example, lines go nowhere, and nothing is reported."""
    done = run("""
        sys.stdout = None
        configure_logging()
        logging.warning("lost")
    """)

    assert (b"", b"", 0) == (done.stdout, done.stderr, done.status)


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    """After a partial write, when a disk was full for a while, a line begins on its own."""
    path = tmp_path / "app.log"
    with path.open("wb") as file:
        done = run_into(
            file.fileno(),
            """
            import resource, signal
            configure_logging(log_format="json")
            logging.warning("whole")
            unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300, unlimited[1]))
            logging.warning("cut off " + "x" * 500)
            logging.warning("lost")
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
            logging.warning("whole again")
            logging.warning("and again")
            """,
        )

    first, torn, *rest = path.read_bytes().splitlines(keepends=True)
    assert 300 == len(first + torn) - len(b"\n")
    assert ["whole", "whole again", "and again"] == [
        line["event"] for line in parse_lines(first + b"".join(rest))
    ]
    assert 1 == len(parse_lines(done.stderr))


def test_a_full_pipe_that_does_not_block_is_waited_for() -> None:
    """Direct delivery waits for its reader, also on a pipe that does not block."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    program = """
        configure_logging()
        for number in range(5):
            logging.warning("%s", "x" * 900_000)
    """
    with subprocess.Popen(command(program), stdout=write, env=clean_environment()) as process:
        os.close(write)
        with os.fdopen(read, "rb") as reader:
            output = reader.read()

    assert ["x" * 900_000] * 5 == [line["event"] for line in parse_lines(output)]
    assert 0 == process.returncode


def test_prints_that_a_full_pipe_did_not_take_come_first_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The application's own prints are waited for like a line."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    tried, tried_again = threading.Event(), threading.Event()
    taken: list[bytes] = []

    class Raw(io.FileIO):
        def write(self, data: Any, /) -> int | None:  # type: ignore[override]
            (tried_again if tried.is_set() else tried).set()
            return super().write(data)

    def take() -> None:
        assert tried_again.wait(SECONDS_TO_WAIT)
        with os.fdopen(read, "rb") as reader:
            taken.append(reader.read())

    for size in (1000, 1):  # to the last byte
        with suppress(BlockingIOError):
            while os.write(write, b"-" * size):
                pass
    configure_logging(log_format="json")
    taker = threading.Thread(target=take)
    taker.start()
    with io.TextIOWrapper(io.BufferedWriter(Raw(write, "w"))) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        stream.write("printed\n")
        logging.getLogger("a").warning("e")
        monkeypatch.undo()
    taker.join()

    printed, line = taken[0].lstrip(b"-").splitlines(keepends=True)
    assert b"printed\n" == printed
    assert ["e"] == [line["event"] for line in parse_lines(line)]


def test_a_stream_of_the_application_is_written_to_as_text() -> None:
    """A StringIO, a tee, an object with no more than `write`: they see each line."""
    done = run("""
        import io
        configure_logging(log_format="json")
        class Tee:
            seen = ""
            def write(self, text):
                self.seen += text
        class Fake(io.TextIOWrapper):
            pass
        real = sys.stdout
        string, tee, wrapper = io.StringIO(), Tee(), io.TextIOWrapper(io.BytesIO(), "ascii")
        for stream in (string, tee, wrapper, Fake(io.BytesIO(), "utf-8")):
            sys.stdout = stream
            logging.warning("gr\\u00fc\\u00dfe")
        sys.stdout = real
        sys.stdout.write(string.getvalue() + tee.seen)
        sys.stdout.flush()
        sys.stdout.buffer.write(wrapper.buffer.getvalue())
    """)

    assert ["grüße", "grüße", "gr??e"] == done.events


def test_standard_output_may_be_replaced_at_any_time() -> None:
    """Each line goes where `sys.stdout` points when it is written."""
    done = run("""
        import contextlib, io
        configure_logging()
        logging.warning("first")
        with contextlib.redirect_stdout(io.StringIO()) as elsewhere:
            logging.warning("elsewhere")
        logging.warning("last %d", elsewhere.getvalue().count("elsewhere"))
    """)

    assert ["first", "last 1"] == done.events


@pytest.mark.parametrize("real", [True, False], ids=["with a real stdout", "without one"])
def test_a_standard_output_that_logs_what_it_is_given_does_not_loop(*, real: bool) -> None:
    """Applications redirect `sys.stdout` to logging: prints become lines, and lines stay lines."""
    done = run(f"""
        configure_logging()
        class ToLogger:
            def write(self, text):
                if text.strip():
                    logging.getLogger("stdout").info(text.strip())
            def flush(self): pass
        sys.stdout = ToLogger()
        real, sys.__stdout__ = sys.__stdout__, sys.__stdout__ if {real} else None
        logging.warning("first")
        logging.warning("second")
        print("printed")
        sys.stdout, sys.__stdout__ = real, real
        logging.warning("last")
    """)

    expected = ["first", "second", "printed", "last"] if real else ["last"]
    assert expected == done.events


def test_what_finalizers_log_during_a_write_follows_it() -> None:
    """However many there are, on a stream of the application: none is lost, no loop suspected."""
    done = run("""
        import io
        configure_logging()
        class Nosy(io.StringIO):
            def write(self, text):
                for number in range(50 if '"outer"' in text else 0):
                    logging.info("inner %d", number)
                return super().write(text)
        real, sys.stdout = sys.stdout, Nosy()
        logging.warning("outer")
        logging.warning("after")
        seen, sys.stdout = sys.stdout.getvalue(), real
        sys.stdout.write(seen)
    """)

    assert ["outer", *(f"inner {number}" for number in range(50)), "after"] == done.events


def test_a_signal_handler_may_log_at_any_time() -> None:
    """In the middle of a line, or of a print of the application, every line is whole."""
    done = run("""
        import signal, threading
        configure_logging()
        count = 0
        def handler(*_):
            global count
            count += 1
            logging.info("signal")
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        written = 0
        while count < 200:
            logging.info("x" * 5000)
            written += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        logging.info("counts", extra={"signals": count, "written": written})
    """)

    counts = done.lines[-1]
    assert counts["signals"] == done.events.count("signal")
    assert counts["written"] == done.events.count("x" * 5000)


def test_a_line_in_the_middle_of_a_print_is_not_lost() -> None:
    """A signal handler or finalizer may run while the application's own buffer is being written."""
    done = run("""
        import io
        configure_logging(log_format="json")
        class Nosy(io.FileIO):
            def write(self, data):
                logging.info("inside")
                return super().write(data)
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(Nosy(1, "w", closefd=False)))
        print("printed", flush=True)
        logging.info("after")
    """)

    inside, printed, after = done.stdout.splitlines(keepends=True)
    assert (b"printed\n", b"") == (printed, done.stderr)
    assert ["inside", "after"] == [line["event"] for line in parse_lines(inside + after)]
