"""Standard output in every state: the application runs on, and no line is torn."""

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
from pantheon_obs.sinks.logs import output
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
    "descriptor closed by the application": "import os; os.close(1)",
    "without a reader": """import os
read, write = os.pipe()
os.dup2(write, 1)
os.close(read); os.close(write)""",
    "a stream that raises": """class Raising:
    def write(self, text): raise OSError("broken")
    def flush(self): pass
sys.stdout = Raising()
configure_logging()""",
}


@pytest.mark.parametrize("breaking", BROKEN)
def test_the_application_runs_on_without_standard_output(breaking: str) -> None:
    """Nothing is raised, and one line on standard error reports the failure."""
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
    """The failure cannot be reported, and the application runs on."""
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
    """A line after a partial write, to a full disk for example, begins on its own."""
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


def test_a_full_pipe_that_does_not_block_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Direct delivery waits for a reader who begins only when the full pipe has refused a line."""
    read, write = full_pipe()
    refused = threading.Event()
    taken: list[bytes] = []
    real_write = os.write

    def observed_write(descriptor: int, data: bytes, /) -> int:
        try:
            return real_write(descriptor, data)
        except BlockingIOError:
            refused.set()
            raise

    def take() -> None:
        assert refused.wait(SECONDS_TO_WAIT)
        with os.fdopen(read, "rb") as reader:
            taken.append(reader.read())

    taker = threading.Thread(target=take)
    taker.start()
    with io.TextIOWrapper(io.FileIO(write, "w")) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(os, "write", observed_write)
        configure_logging(log_format="json")
        for _ in range(5):
            logging.getLogger("a").warning("%s", "x" * 900_000)
        monkeypatch.undo()
    taker.join()

    lines = parse_lines(taken[0].lstrip(b"-"))
    assert ["x" * 900_000] * 5 == [line["event"] for line in lines]


def full_pipe() -> tuple[int, int]:
    """Make a pipe that does not block, and fill it to the last byte."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    for size in (1000, 1):
        with suppress(BlockingIOError):
            while os.write(write, b"-" * size):
                pass
    return read, write


def test_prints_that_a_full_pipe_did_not_take_come_first_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The application's own prints are waited for like a line."""
    read, write = full_pipe()
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

    taker = threading.Thread(target=take)
    taker.start()
    with io.TextIOWrapper(io.BufferedWriter(Raw(write, "w"))) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        configure_logging(log_format="json")
        stream.write("printed\n")
        logging.getLogger("a").warning("e")
        monkeypatch.undo()
    taker.join()

    printed, line = taken[0].lstrip(b"-").splitlines(keepends=True)
    assert b"printed\n" == printed
    assert ["e"] == [line["event"] for line in parse_lines(line)]


def test_a_stream_of_the_application_is_written_to_as_text() -> None:
    """A StringIO, a tee and an object that only has `write`, set before us, get each line."""
    done = run("""
        import io
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
            configure_logging(log_format="json")
            logging.warning("gr\\u00fc\\u00dfe")
        sys.stdout = real
        sys.stdout.write(string.getvalue() + tee.seen)
        sys.stdout.flush()
        sys.stdout.buffer.write(wrapper.buffer.getvalue())
    """)

    assert ["grüße", "grüße", "gr??e"] == done.events


def test_lines_go_to_descriptor_1_whatever_becomes_of_sys_stdout() -> None:
    """A redirection, a closed stream and None take no lines; `dup2` does."""
    done = run("""
        import contextlib, io, os
        configure_logging()
        with contextlib.redirect_stdout(io.StringIO()) as elsewhere:
            logging.warning("while somebody redirects")
        logging.warning("elsewhere: %r", elsewhere.getvalue())
        sys.stdout = open(1, "w", closefd=False)
        logging.warning("through another object")
        read, write = os.pipe()
        kept = os.dup(1)
        os.dup2(write, 1)
        logging.warning("into the pipe")
        os.dup2(kept, 1)
        logging.warning("%d in the pipe", os.read(read, 1000).count(b"into the pipe"))
        sys.stdout = None
        logging.warning("without a stream")
        sys.__stdout__.close()
        logging.warning("after it was closed")
    """)

    assert [
        "while somebody redirects",
        "elsewhere: ''",
        "through another object",
        "1 in the pipe",
        "without a stream",
        "after it was closed",
    ] == done.events


def test_a_dup2_may_change_whether_the_output_is_shared(tmp_path: Path) -> None:
    """Lines go to a file in place of a pipe, and to a pipe again, with the pipe's lock."""
    done = run("""
        import fcntl, os
        configure_logging()
        pipe = os.dup(1)
        null = os.open("/dev/null", os.O_WRONLY)
        os.dup2(null, 1)
        logging.warning("nowhere")
        os.dup2(pipe, 1)
        logging.warning("short")
        locked = []
        lockf = fcntl.lockf
        fcntl.lockf = lambda *args: (locked.append(args), lockf(*args))
        logging.warning("long" + "g" * 5000)
        logging.warning("%d", bool(locked))
    """)

    assert ["short", "long" + "g" * 5000, "1"] == done.events


def test_a_file_that_was_standard_output_and_is_closed_gets_no_more_lines(tmp_path: Path) -> None:
    """Its descriptor may belong to another file; lines go to the file that is there now."""
    done = run(f"""
        import contextlib
        with open({str(tmp_path / "out")!r}, "w") as file, contextlib.redirect_stdout(file):
            configure_logging(log_format="json")
            logging.warning("into the file")
        logging.warning("out again")
        logging.warning("and again")
        with open({str(tmp_path / "out")!r}, "a") as sys.stdout:
            configure_logging(log_format="json")
        sys.stdout.close()
        logging.warning("lost")
    """)

    assert ["out again", "and again"] == [line["event"] for line in parse_lines(done.stdout)]
    assert "into the file" == parse_lines((tmp_path / "out").read_bytes())[0]["event"]
    assert ["ValueError"] == [line["error_type"] for line in parse_lines(done.stderr)]


def test_a_capture_of_the_same_maker_takes_the_place_of_an_earlier_one() -> None:
    """pytest has another object for each test; a redirection to any other object takes nothing."""
    done = run("""
        import contextlib, io
        class Capture(io.StringIO):
            pass
        real, first, second = sys.stdout, Capture(), Capture()
        sys.stdout = first
        configure_logging(log_format="json")
        logging.warning("first")
        with contextlib.redirect_stdout(io.StringIO()):
            logging.warning("first")
        sys.stdout = second
        logging.warning("second")
        second.close()
        sys.stdout = third = io.StringIO()
        logging.warning("third")
        real.write(first.getvalue() + third.getvalue())
    """)

    assert ["first", "first", "third"] == done.events


@pytest.mark.parametrize("real", [True, False], ids=["with a real stdout", "without one"])
def test_a_standard_output_that_logs_its_text_does_not_loop(*, real: bool) -> None:
    """Applications may redirect `sys.stdout` to logging; prints become lines then."""
    done = run(f"""
        class ToLogger:
            def write(self, text):
                if text.strip():
                    logging.getLogger("stdout").info(text.strip())
            def flush(self): pass
        sys.stdout = ToLogger()
        real, sys.__stdout__ = sys.__stdout__, sys.__stdout__ if {real} else None
        configure_logging()
        logging.warning("first")
        logging.warning("second")
        print("printed")
        sys.stdout, sys.__stdout__ = real, real
        logging.warning("last")
    """)

    expected = ["first", "second", "printed", "last"] if real else ["last"]
    assert expected == done.events


def test_lines_of_finalizers_during_a_write_follow_it() -> None:
    """Many lines of finalizers on an application's stream are no loop, and none is lost."""
    done = run("""
        import io
        class Nosy(io.StringIO):
            def write(self, text):
                for number in range(50 if '"outer"' in text else 0):
                    logging.info("inner %d", number)
                return super().write(text)
        real, sys.stdout = sys.stdout, Nosy()
        configure_logging(log_format="json")
        logging.warning("outer")
        logging.warning("after")
        seen, sys.stdout = sys.stdout.getvalue(), real
        sys.stdout.write(seen)
    """)

    assert ["outer", *(f"inner {number}" for number in range(50)), "after"] == done.events


def test_a_signal_handler_may_log_at_any_time() -> None:
    """No line is torn, even if the handler logs during a line or a print."""
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
        class Nosy(io.FileIO):
            def write(self, data):
                logging.info("inside")
                return super().write(data)
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(Nosy(1, "w", closefd=False)))
        configure_logging(log_format="json")
        print("printed", flush=True)
        logging.info("after")
    """)

    inside, printed, after = done.stdout.splitlines(keepends=True)
    assert (b"printed\n", b"") == (printed, done.stderr)
    assert ["inside", "after"] == [line["event"] for line in parse_lines(inside + after)]


def test_a_stream_that_is_being_flushed_already_is_left_alone() -> None:
    """Python refuses to flush a stream in the middle of a flush, as in a signal handler."""

    class Busy(io.StringIO):
        """A stream in the middle of a flush."""

        def flush(self) -> None:
            """Refuse, as `io.BufferedWriter` does."""
            msg = "reentrant call"
            raise RuntimeError(msg)

    output.Output()._flush_again(Busy())  # noqa: SLF001 - the moment cannot be hit by a test


def test_a_flush_that_a_full_pipe_refuses_is_tried_again() -> None:
    """It waits until the pipe takes more."""
    read, write = os.pipe()

    class Full(io.StringIO):
        """A stream whose pipe is full at first."""

        refuses = True

        def fileno(self) -> int:
            """Return the pipe that is waited for."""
            return write

        def flush(self) -> None:
            """Refuse once."""
            refuses, self.refuses = self.refuses, False
            if refuses:
                raise BlockingIOError

    stream = Full()
    output.Output()._flush_again(stream)  # noqa: SLF001 - as above
    os.close(read)
    os.close(write)
    assert not stream.refuses
