"""`log_delivery="queue"`: the application never waits, and each lost line is counted."""

from __future__ import annotations

import ast
import logging
import os
import select
import signal
import subprocess
import sys
import threading
from collections import Counter, deque
from contextlib import contextmanager
from textwrap import dedent
from typing import IO, TYPE_CHECKING, Any

import pytest

from pantheon_obs import configure_logging
from pantheon_obs.sinks.logs import delivery, queued
from pantheon_obs.sinks.logs.queued import Queued
from tests.logs.running import SECONDS_TO_WAIT, clean_environment, command, run
from tests.support import uwsgi
from tests.support.lines import parse_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# On a busy machine it may take a while until the test reads.
PATIENT = """
from pantheon_obs.sinks.logs import queued
queued.PATIENCE = 60
"""


@contextmanager
def unread(program: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start a program whose pipe nobody reads yet; return it with the pipe's other end."""
    read, write = os.pipe()
    with (
        open(read, "rb") as reader,  # noqa: PTH123 - a descriptor
        subprocess.Popen(
            command(PATIENT + dedent(program)),
            stdin=subprocess.PIPE,
            stdout=write,
            stderr=subprocess.PIPE,
            env=clean_environment(),
        ) as process,
    ):
        os.close(write)
        try:
            yield process, reader
        finally:
            process.kill()


def says(process: subprocess.Popen[bytes], word: bytes) -> None:
    """Wait until the program prints this on standard error, where we write nothing."""
    assert process.stderr is not None
    ready, _, _ = select.select([process.stderr], [], [], SECONDS_TO_WAIT)
    assert ready
    assert word == process.stderr.readline().strip()


def test_lines_come_out_in_order() -> None:
    """All lines are written in order, the last ones at exit."""
    done = run("""
        configure_logging(log_delivery="queue")
        in_trace = trace_context("t-1")  # its first line starts the thread
        in_trace.__enter__()
        for number in range(2000):
            logging.info("%d", number)
    """)

    assert [str(number) for number in range(2000)] == done.events


def test_nobody_waits_for_the_reader_and_dropped_lines_are_reported() -> None:
    """With a full pipe and a full queue the application goes on; one line counts the lost ones."""
    program = """
        configure_logging(log_delivery="queue", log_queue_bytes=100_000)
        in_trace = trace_context("t-1")  # its first line starts the thread
        in_trace.__enter__()
        for number in range(1000):
            logging.info("%d", number, extra={"x": "x" * 1000})
        for number in range(50):
            get_logger("a").error("%d", number, x="x" * 1000)
        sys.stderr.write("not stopped\\n"); sys.stderr.flush()
        sys.stdin.readline()
        logging.warning("after")
    """
    with unread(program) as (process, reader):
        says(process, b"not stopped")
        # Read as much as was written, then let it go on, and read the rest.
        first = os.read(reader.fileno(), 50_000)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        lines = parse_lines(first + reader.read())
        assert 0 == process.wait(SECONDS_TO_WAIT)

    reports = [line for line in lines if line["event"] == "log_lines_dropped"]
    missing = Counter[str]()
    for report in reports:
        assert ("pantheon_obs.logs", "warning") == (report["logger"], report["level"])
        assert report["dropped"] == sum(report["dropped_by_level"].values())
        missing.update(report["dropped_by_level"])
    kept = Counter(line["level"] for line in lines if line["event"].isdigit())
    assert {"info": 1000, "error": 50} == missing + kept - Counter(["warning"])
    assert missing["info"] > 0
    assert ["50", "after"] == [str(kept["error"]), lines[-1]["event"]]
    numbers = [int(line["event"]) for line in lines if line["level"] == "info"]
    assert numbers == sorted(numbers)
    assert 999 == numbers[-1]


def test_requests_are_answered_while_the_collector_hangs() -> None:
    """A pipe whose reader has stopped reading keeps no request waiting, and no exit."""
    program = """
        import asyncio
        from pantheon_obs import instrument
        from pantheon_obs.sinks.logs import queued
        queued.PATIENCE = 0.2
        async def app(scope, receive, send):
            logging.info("asked", extra={"x": "x" * 1000})
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})
        app = instrument(app, log_delivery="queue", log_queue_bytes=50_000)
        statuses = []
        async def requests():
            async def send(message):
                statuses.append(message.get("status"))
            scope = dict(type="http", method="GET", path="/", query_string=b"", headers=[])
            for _ in range(300):
                await app(scope.copy(), None, send)
        asyncio.run(requests())
        sys.stderr.write(f"answered {statuses.count(200)}\\n"); sys.stderr.flush()
    """
    with unread(program) as (process, _reader):
        says(process, b"answered 300")
        assert 0 == process.wait(SECONDS_TO_WAIT)


def test_the_report_comes_without_a_further_line() -> None:
    """The report is written as soon as there is room, not only with the next line."""
    program = """
        configure_logging(log_delivery="queue", log_queue_bytes=100_000)
        in_trace = trace_context("t-1")  # its first line starts the thread
        in_trace.__enter__()
        for number in range(1000):
            logging.info("%d", number, extra={"x": "x" * 1000})
        sys.stderr.write("not stopped\\n"); sys.stderr.flush()
        sys.stdin.readline()
    """
    with unread(program) as (process, reader):
        says(process, b"not stopped")
        while b'"event":"log_lines_dropped"' not in reader.readline():
            pass


def test_an_exit_that_nobody_reads_does_not_hang() -> None:
    """Draining ends after a while, and the exit status is the program's own."""
    program = """
        from pantheon_obs.sinks.logs import queued
        queued.PATIENCE = 0.2
        configure_logging(log_delivery="queue")
        in_trace = trace_context("t-1")  # its first line starts the thread
        in_trace.__enter__()
        for number in range(1000):
            logging.info("%d", number, extra={"x": "x" * 1000})
        class AtTheEnd:
            def __del__(self):
                logging.info("never read")
        kept = AtTheEnd()
        sys.exit(7)
    """
    with unread(program) as (process, _reader):
        assert 7 == process.wait(SECONDS_TO_WAIT)


TERMINATED = """
import signal, time
configure_logging(log_delivery="queue")
for number in range(1000):
    logging.info("%d", number, extra={"x": "x" * 1000})
sys.stderr.write("ready\\n"); sys.stderr.flush()
while True:
    time.sleep(60)
"""


def test_sigterm_drains_and_kills() -> None:
    """A plain script writes its queued lines, and its status says that the signal ended it."""
    with unread(TERMINATED) as (process, reader):
        says(process, b"ready")
        process.send_signal(signal.SIGTERM)
        lines = parse_lines(reader.read())
        status = process.wait(SECONDS_TO_WAIT)

    assert [str(number) for number in range(1000)] == [line["event"] for line in lines]
    assert -signal.SIGTERM == status


def test_a_signal_handler_of_the_application_still_runs() -> None:
    """An earlier handler is called, and its lines are written however it ends the process."""
    handler = """
import signal
def handler(number, frame):
    logging.warning("shutting down")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
signal.signal(signal.SIGTERM, handler)
"""
    with unread(handler + TERMINATED) as (process, reader):
        says(process, b"ready")
        process.send_signal(signal.SIGTERM)
        lines = parse_lines(reader.read())
        status = process.wait(SECONDS_TO_WAIT)

    assert "shutting down" == lines[-1]["event"]
    assert (1001, -signal.SIGTERM) == (len(lines), status)


def test_queued_lines_are_written_before_a_signal_handler_of_the_application_runs() -> None:
    """Queued lines are written first, because the handler may end the process at once."""
    handler = """
import os, signal
signal.signal(signal.SIGTERM, lambda number, frame: os._exit(7))
"""
    with unread(handler + TERMINATED) as (process, reader):
        says(process, b"ready")
        process.send_signal(signal.SIGTERM)
        lines = parse_lines(reader.read())
        status = process.wait(SECONDS_TO_WAIT)

    assert (1000, 7) == (len(lines), status)


def test_an_ignored_sigterm_stays_ignored() -> None:
    """We do not replace SIG_IGN, and off the main thread we replace no handler."""
    done = run("""
        import signal, threading
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        configure_logging(log_delivery="queue")
        in_trace = trace_context("t-1")  # its first line starts the thread
        in_trace.__enter__()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        thread = threading.Thread(target=configure_logging, kwargs={"log_delivery": "queue"})
        thread.start()
        thread.join()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        logging.info("e")
    """)

    assert ["e"] == done.events


def test_direct_delivery_after_the_queue_restores_everything() -> None:
    """Queued lines are written first, and the application's signal handler is restored."""
    done = run("""
        import signal, threading
        before = signal.getsignal(signal.SIGTERM)
        configure_logging(log_delivery="queue")
        in_trace = trace_context("t-1")  # its first line starts the thread
        in_trace.__enter__()
        assert signal.getsignal(signal.SIGTERM) is not before
        for number in range(100):
            logging.info("%d", number)
        configure_logging(log_delivery="direct")
        logging.info("direct")
        assert signal.getsignal(signal.SIGTERM) is before
        configure_logging(log_delivery="queue")
        in_trace = trace_context("t-1")  # its first line starts the thread
        in_trace.__enter__()
        handler = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        configure_logging(log_delivery="direct")
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert [t.name for t in threading.enumerate() if t.is_alive()].count("MainThread") == 1
    """)

    assert [*map(str, range(100)), "direct"] == done.events


def test_a_forked_child_has_a_queue_of_its_own() -> None:
    """Lines of both are written once; the parent writes the lines that it had queued."""
    done = run("""
        import os, multiprocessing
        configure_logging(log_delivery="queue")
        in_trace = trace_context("t-1")  # its first line starts the thread
        in_trace.__enter__()
        for number in range(100):
            logging.info("parent", extra={"number": number})
        def child():
            for number in range(100):
                logging.info("child", extra={"number": number})
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        logging.info("end")
    """)

    events = done.events
    assert (100, 100, 1) == tuple(events.count(word) for word in ("parent", "child", "end"))


@pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
def test_a_child_of_multiprocessing_that_configures_logging_drains_its_queue(
    start_method: str, tmp_path: Path
) -> None:
    """Such a child ends without its exit functions, and its queue is made after the fork."""
    program = tmp_path / "work.py"
    program.write_text(
        dedent("""
            import logging, multiprocessing, sys
            from pantheon_obs import configure_logging

            def child():
                configure_logging(log_format="json", log_delivery="queue")
                for number in range(100):
                    logging.info("%d", number)

            if __name__ == "__main__":
                process = multiprocessing.get_context(sys.argv[1]).Process(target=child)
                process.start()
                process.join()
        """)
    )

    done = subprocess.run(
        [sys.executable, program, start_method],
        env=clean_environment(),
        capture_output=True,
        check=True,
        timeout=SECONDS_TO_WAIT,
    )

    assert [*map(str, range(100))] == [line["event"] for line in parse_lines(done.stdout)]


@pytest.mark.parametrize("imports", ["os", "os, multiprocessing.util"])
@pytest.mark.parametrize("delivery", ["direct", "queue"])
def test_a_plainly_forked_child_drains_when_it_leaves_in_order(delivery: str, imports: str) -> None:
    """`sys.exit` in the child drains its queue."""
    done = run(f"""
        import {imports}, warnings
        # Since Python 3.12 it says that a process with threads was forked.
        warnings.simplefilter("ignore", DeprecationWarning)
        configure_logging(log_delivery={delivery!r})
        logging.info("parent")
        if (pid := os.fork()) == 0:
            logging.info("child")
            sys.exit(0)
        os.waitpid(pid, 0)
    """)

    assert {"parent", "child"} == set(done.events)
    assert 2 == len(done.events)


def test_a_signal_handler_may_log_while_a_line_is_queued() -> None:
    """The handler does not block, and no line is lost."""
    done = run("""
        import signal
        configure_logging(log_delivery="queue", log_queue_bytes=100_000_000)
        in_trace = trace_context("t-1")  # its first line starts the thread
        in_trace.__enter__()
        count = written = 0
        def handler(*_):
            global count
            count += 1
            logging.info("signal")
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        while count < 200:
            logging.info("line")
            written += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        logging.info("counts", extra={"signals": count, "written": written})
    """)

    counts = done.lines[-1]
    assert counts["signals"] == done.events.count("signal")
    assert counts["written"] == done.events.count("line")


def test_a_broken_standard_output_is_reported_once() -> None:
    """The thread and the application run on."""
    done = run("""
        import os
        configure_logging(log_delivery="queue")
        in_trace = trace_context("t-1")  # its first line starts the thread
        in_trace.__enter__()
        read, write = os.pipe()
        os.dup2(write, 1)
        os.close(read); os.close(write)
        for number in range(100):
            logging.info("%d", number)
        sys.exit(7)
    """)

    [line] = parse_lines(done.stderr)
    assert ("log output", "BrokenPipeError", 7) == (
        line["site"],
        line["error_type"],
        done.status,
    )


class Pipe:
    """Takes lines once the test allows it."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()
        self.reported = threading.Event()
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        """Wait until it is allowed, and take the line."""
        self.begun.set()
        assert self.open.wait(SECONDS_TO_WAIT)
        self.lines.append(line)
        if line.startswith(b"{"):
            self.reported.set()


def never(_line: bytes) -> bool:
    """Say that a line would have to wait for the reader."""
    return False


def queue_into(pipe: Pipe, limit: int) -> Queued:
    """Make a queue that reports drops as the text of their counts."""
    failures: list[Exception] = []
    return Queued(pipe.write, never, limit, lambda dropped: str(dropped).encode(), failures.append)


def filled(pipe: Pipe, limit: int) -> Queued:
    """Make a queue whose thread waits with a first line in its hands."""
    queue = queue_into(pipe, limit)
    queue.write(b"first", logging.INFO)
    assert pipe.begun.wait(SECONDS_TO_WAIT)
    return queue


def test_a_line_longer_than_the_queue_is_still_taken() -> None:
    """An empty queue takes one line of any length, and a newer line takes its place."""
    pipe = Pipe()
    queue = filled(pipe, 1024)

    queue.write(b"x" * 5000, logging.INFO)
    queue.write(b"y" * 5000, logging.INFO)
    pipe.open.set()

    assert queue.drain()
    assert [b"first", b"y" * 5000, b"{'info': 1}"] == pipe.lines
    queue.close()


@pytest.mark.parametrize(
    ("levels", "kept"),
    [
        ("IIIII", "IIII"),
        ("DIIIID", "IIID"),
        ("EIIIIE", "EIIE"),
        ("EEEEI", "EEEE"),
        ("EEEEE", "EEEE"),
        ("WEIEWE", "EEWE"),
        ("CEEEC", "CEEC"),
        ("CCCCE", "CCCC"),
        ("WIWIWW", "WWWW"),
    ],
)
def test_a_full_queue_drops_the_oldest_lines_of_the_lowest_level(levels: str, kept: str) -> None:
    """The newest line is kept unless all others have higher levels; the order stays."""
    pipe = Pipe()
    queue = filled(pipe, 400)
    numbers = {"D": 10, "I": 20, "W": 30, "E": 40, "C": 50}

    for number, level in enumerate(levels):
        queue.write(f"{level}{number}".encode().ljust(100), numbers[level])
    pipe.open.set()
    assert queue.drain()
    queue.write(b"after", logging.INFO)

    assert queue.drain()
    first, *lines, after = pipe.lines
    [report] = [line for line in lines if line.startswith(b"{")]
    lines.remove(report)
    assert kept == "".join(chr(line[0]) for line in lines)
    assert lines == sorted(lines, key=lambda line: line[1:])
    names = {"D": "debug", "I": "info", "W": "warning", "E": "error", "C": "critical"}
    dropped = Counter(names[level] for level in levels) - Counter(names[level] for level in kept)
    assert dict(dropped) == ast.literal_eval(report.decode())
    assert (b"first", b"after") == (first, after)
    queue.close()


def test_a_process_after_sigterm_drains_after_each_line() -> None:
    """Each line is drained, because any line may be the last one."""
    pipe = Pipe()
    pipe.open.set()
    queue = queue_into(pipe, 1000)

    queue.end()
    queue.write(b"line", logging.INFO)

    assert [b"line"] == pipe.lines
    queue.close()


def test_dropped_lines_are_reported_as_soon_as_the_queue_is_empty() -> None:
    """The report needs neither another line nor draining."""
    pipe = Pipe()
    queue = queue_into(pipe, 1000)

    for _ in range(12):
        queue.write(b"x" * 100, logging.INFO)
    pipe.open.set()

    assert pipe.reported.wait(SECONDS_TO_WAIT)
    queue.close()


def test_lines_are_written_directly_where_no_thread_can_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A container limits its processes and threads; the next line tries again."""
    pipe = Pipe()
    pipe.open.set()
    queue = queue_into(pipe, 1000)

    def refuse(_thread: threading.Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        queue.write(b"direct", logging.INFO)
        assert [b"direct"] == pipe.lines
    queue.write(b"queued", logging.INFO)

    assert queue.drain()
    assert [b"direct", b"queued"] == pipe.lines
    queue.close()


def test_a_child_without_lines_has_nothing_to_drain() -> None:
    """A forked child has no thread until it logs a line."""
    pipe = Pipe()
    queue = queue_into(pipe, 1000)
    queue.close()
    queue.after_fork()

    assert queue.drain()
    queue.close()


@pytest.mark.parametrize("patience", [1.0, 0.0])
def test_lines_of_the_very_end_are_written_directly(
    monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    """The thread has ended by then; a line is written directly, unless nobody reads."""
    pipe = Pipe()
    pipe.open.set()
    queue = queue_into(pipe, 1000)
    queue.close()
    monkeypatch.setattr(queue, "_patience", patience)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "is_finalizing", lambda: True)
        queue.write(b"last", logging.INFO)

    assert ([b"last"] if patience else []) == pipe.lines


def test_sigterm_by_default_drains_and_then_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process blocks the signal, and sees it arrive after the lines."""
    before: Any = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        configure_logging(log_delivery="queue")
        ours: Any = signal.getsignal(signal.SIGTERM)
        ours(signal.SIGTERM, None)
        assert signal.SIGTERM in signal.sigpending()
        assert signal.SIG_DFL is signal.getsignal(signal.SIGTERM)
        signal.sigwait({signal.SIGTERM})
        delivery.close()
        ours(signal.SIGTERM, None)
        signal.sigwait({signal.SIGTERM})
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def test_a_handler_that_outlives_the_queue_passes_the_signal_on() -> None:
    """Off the main thread it cannot be removed, and then only calls the application's handler."""
    done = run("""
        import os, signal, threading
        signal.signal(signal.SIGTERM, lambda *_: logging.info("theirs"))
        configure_logging(log_delivery="queue")
        thread = threading.Thread(target=configure_logging, kwargs={"log_delivery": "direct"})
        thread.start()
        thread.join()
        os.kill(os.getpid(), signal.SIGTERM)
    """)

    assert ["theirs"] == done.events


@pytest.mark.parametrize("delivery", ["direct", "queue"])
def test_a_worker_that_a_server_in_c_has_forked_writes_its_lines(delivery: str) -> None:
    """Python's own functions for forks are not run then, and another thread may hold a lock."""
    done = run(f"""
        import ctypes, os, threading
        from pantheon_obs.sinks.logs import delivery
        configure_logging(log_delivery={delivery!r})
        logging.info("loaded")
        if delivery._queue is not None:
            delivery._queue.drain()
        held, forked = threading.Event(), threading.Event()
        def hold():
            with (delivery._queue or delivery._output)._lock:
                held.set()
                forked.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        pid = ctypes.PyDLL(None).fork()
        if pid == 0:
            for number in range(3):
                logging.info("request")
            if delivery._queue is not None:
                delivery._queue.drain()
            os._exit(0)
        os.waitpid(pid, 0)
        forked.set()
        thread.join()
        logging.info("the worker has ended")
    """)

    assert ["loaded", *["request"] * 3, "the worker has ended"] == done.events


def test_no_thread_runs_before_the_first_trace() -> None:
    """A server in C that forks meanwhile would leave the child an interpreter that never runs."""
    done = run("""
        import threading
        from pantheon_obs import trace_context
        configure_logging(log_delivery="queue")
        for number in range(3):
            logging.info("%d", number, extra={"threads": threading.active_count()})
        with trace_context("t-1"):
            logging.info("served")
        logging.info("after", extra={"threads": threading.active_count()})
    """)

    assert [*"012", "served", "after"] == done.events
    assert [1, 1, 1, None, 2] == [line.get("threads") for line in done.lines]


def test_waiting_lines_take_little_more_memory_than_their_bytes() -> None:
    """The encoder's buffers, which are larger than its lines, are not kept."""
    program = """
        import resource
        configure_logging(log_delivery="queue")
        def memory():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        logging.info("first")
        before = memory()
        for number in range(50_000):
            logging.info("%d", number)
        sys.stderr.write(f"{memory() / before}\\n"); sys.stderr.flush()
    """
    with unread(program) as (process, _reader):
        assert process.stderr is not None
        growth = float(process.stderr.readline())

    assert growth < 2  # 5 MB of lines, with their places in the queue


def test_a_long_line_in_a_file_starts_no_thread(tmp_path: Path) -> None:
    """A file is always ready, and takes a line of any length."""
    program = """
        import threading
        configure_logging(log_delivery="queue")
        logging.info("x" * 100_000)
        sys.stderr.write(f"{threading.active_count()}")
    """
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run(
            command(program),
            stdout=out,
            stderr=subprocess.PIPE,
            check=True,
            env=clean_environment(),
        )

    assert b"1" == done.stderr


@pytest.mark.parametrize("line", ["x" * 100_000, "x"])
def test_a_line_that_would_wait_for_the_reader_starts_the_thread(line: str) -> None:
    """A pipe takes a long line in parts, and none once it is full."""
    program = f"""
        import threading
        configure_logging(log_delivery="queue")
        while threading.active_count() == 1:
            logging.info({line!r})
        sys.stderr.write("started\\n"); sys.stderr.flush()
    """
    with unread(program) as (process, reader):
        says(process, b"started")
        assert {line} == {each["event"] for each in parse_lines(reader.read())}


def test_sigterm_under_gevent_does_not_stop_the_greenlets() -> None:
    """The application's handler runs at once, and the lines are written at the exit."""
    pytest.importorskip("gevent")
    program = """
        import gevent.monkey
        gevent.monkey.patch_all()
        import gevent, os, signal
        finished = []
        def handler(number, frame):
            sys.stderr.write("terminating\\n"); sys.stderr.flush()
        signal.signal(signal.SIGTERM, handler)
        configure_logging(log_delivery="queue")
        for number in range(1000):
            logging.info("%d", number, extra={"x": "x" * 1000})
        def request():
            gevent.spawn(os.kill, os.getpid(), signal.SIGTERM)
            gevent.sleep(0.01)
            logging.info("answered")
            sys.stderr.write("answered\\n"); sys.stderr.flush()
        gevent.spawn(request).join()
    """
    with unread(program) as (process, reader):
        says(process, b"terminating")
        says(process, b"answered")
        lines = parse_lines(reader.read())
        assert 0 == process.wait(SECONDS_TO_WAIT)

    assert [*map(str, range(1000)), "answered"] == [line["event"] for line in lines]


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say who handles a signal")
def test_a_handler_of_sigterm_that_python_does_not_know_stays() -> None:
    """gevent's `signal_handler`, for example, by which an application ends its requests."""
    done = run("""
        import faulthandler, os, signal
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # coverage has a handler
        faulthandler.register(signal.SIGTERM, file=open(os.devnull, "w"))
        configure_logging(log_delivery="queue")
        os.kill(os.getpid(), signal.SIGTERM)
        logging.info("alive")
    """)

    assert ["alive"] == done.events


@pytest.mark.parametrize("status", ["", None], ids=["other contents", "no such file"])
def test_a_system_that_does_not_say_who_handles_a_signal(
    status: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then Python's answer counts, and our handler is installed."""
    path = tmp_path / "status"
    if status is not None:
        path.write_text(f"Name:\tpython\n{status}")
    monkeypatch.setattr(delivery, "_STATUS", path)
    before: Any = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        configure_logging(log_delivery="queue")
        assert signal.SIG_DFL is not signal.getsignal(signal.SIGTERM)
        delivery.close()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_process_that_uwsgi_forks_has_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker hangs for good if a thread of its parent was at work when it was forked."""
    be_worker = uwsgi.load(monkeypatch)
    written: list[tuple[bytes, str]] = []

    def write(line: bytes) -> None:
        written.append((line, threading.current_thread().name))

    queue = Queued(write, never, 1000, lambda _: b"", lambda failure: pytest.fail(str(failure)))
    queue.write(b"loaded", logging.INFO)
    assert [(b"loaded", threading.current_thread().name)] == written

    be_worker()
    queue.write(b"served", logging.INFO)
    queue.close()
    assert (b"served", "pantheon-obs-logs") == written[-1]


def test_a_queue_that_stays_full_reports_its_drops_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reader that is always too slow does not hide how much is missing."""
    monkeypatch.setattr(queued, "_REPORT_AFTER", -1.0)
    pipe = Pipe()
    queue = filled(pipe, 400)

    for _ in range(5):
        queue.write(b"x" * 100, logging.INFO)
    pipe.open.set()

    assert queue.drain()
    assert [b"first", b"{'info': 1}", *[b"x" * 100] * 4] == pipe.lines
    queue.close()


def test_a_line_that_is_dropped_at_the_moment_it_is_taken_leaves_the_order_as_it_is() -> None:
    """The thread takes no lock: lines may be dropped while it looks for the next one."""

    class Dropping(deque[tuple[int, int, Any]]):
        """A lane whose first lines are dropped after somebody has looked at them."""

        drops = 0

        def __getitem__(self, index: Any) -> Any:
            found = super().__getitem__(index)
            if self.drops:
                self.drops -= 1
                super().popleft()
            return found

    pipe = Pipe()
    queue = filled(pipe, 10_000)
    lane = Dropping([(5, 20, b"a"), (6, 20, b"b"), (8, 20, b"d")])
    lane.drops = 1
    warnings = deque([(7, 30, b"c")])
    alone = Dropping([(4, 50, b"z")])
    alone.drops = 1
    lanes = queue._lanes  # noqa: SLF001 - the moment cannot be hit by a test
    lanes[0], lanes[1], lanes[3] = lane, warnings, alone
    pipe.open.set()

    assert queue.drain()
    assert [b"b", b"c", b"d"] == sorted(pipe.lines[1:])
    queue.close()
