"""Others change loggers, streams and processes in the middle of our work."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from pantheon_obs import configure_logging, get_logger
from pantheon_obs.core.undoable import Patch
from pantheon_obs.sinks.logs import muting, noticing, output, takeover
from pantheon_obs.sinks.logs.queued import Queued
from pantheon_obs.testing import capture_events
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bare_root() -> Iterator[logging.Logger]:
    """The root logger, with the handlers that it had before afterwards."""
    root = logging.getLogger()
    before = root.handlers[:]
    yield root
    root.handlers[:] = before


def test_a_call_that_logging_hides_writes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody watches it where structlog has the processors that it begins with."""
    structlog.reset_defaults()
    configure_logging(log_format="json", log_level="INFO")
    monkeypatch.setattr(logging.root.manager, "_disable", logging.INFO)  # as `logging.disable`

    get_logger("quiet").info("unseen")

    assert "" == capsys.readouterr().out


def test_a_method_of_loggers_that_another_library_has_replaced_since_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It calls ours, if it is well-behaved."""

    def filter_(self: logging.Logger, record: logging.LogRecord) -> bool:
        return True

    configure_logging(log_format="json")
    with monkeypatch.context() as patch:
        patch.setattr(logging.Logger, "filter", filter_)
        noticing.uninstall()
        assert logging.Logger.__dict__["filter"] is filter_


@pytest.mark.parametrize("name", ["_notice", "place_context"])
def test_a_failure_of_ours_beside_another_handler_loses_no_line(
    name: str, monkeypatch: pytest.MonkeyPatch, bare_root: logging.Logger
) -> None:
    """Both handlers get the record."""

    def fail(_: object) -> Any:
        raise ZeroDivisionError

    class Kept(logging.Handler):
        """Keeps the messages."""

        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    seen: list[str] = []
    configure_logging(log_format="json")
    logging.getLogger("meanwhile").addHandler(kept := Kept())
    with capture_events() as events:
        if name == "place_context":
            logging.getLogger("meanwhile").info("known")
        monkeypatch.setattr(noticing, name, fail)
        logging.getLogger("meanwhile").info("said")
    logging.getLogger("meanwhile").removeHandler(kept)

    assert "said" in seen
    assert {"said", "telemetry_failed"} <= {event["event"] for event in events}


def test_a_handler_that_is_gone_is_not_judged(capsys: pytest.CaptureFixture[str]) -> None:
    """Its last record may be handled while it goes."""

    class Gone(logging.Handler):
        """A handler with a way of its own to emit."""

        def emit(self, record: logging.LogRecord) -> None:
            """Do nothing."""

    configure_logging(log_format="json")
    handler = Gone()
    watching = muting._Watching(handler)  # noqa: SLF001 - its last record
    del handler
    collect_garbage()

    with watching(logging.makeLogRecord({"msg": "printed"})):
        sys.stdout.write("printed")

    assert "" == capsys.readouterr().out


def test_a_handler_that_prints_is_told_once(
    bare_root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """The records of its logger reach our handler from then on, and its later lines are muted."""

    class Printing(logging.Handler):
        """Prints each record."""

        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno:
                sys.stdout.write(f"{record.getMessage()}\n")

    configure_logging(log_format="json")
    logger = logging.getLogger("printing")
    logger.addHandler(handler := Printing())
    logger.propagate = False
    muting.mute(handler)
    record = logging.makeLogRecord({"msg": "printed words", "levelno": 20})

    handler.handle(record)
    assert logger.propagate
    logger.propagate = False
    handler.handle(record)
    handler.handle(logging.makeLogRecord({"msg": "kept for itself"}))
    assert not logger.propagate
    logger.removeHandler(handler)
    logger.propagate = True

    assert "" == capsys.readouterr().out


def test_a_method_of_a_stream_that_was_replaced_again_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only our own changes are taken back."""

    class Stream(io.StringIO):
        """Has attributes of its own."""

    stream = Stream()
    ours = Patch(stream, "write", str)
    stream.write = theirs = len  # type: ignore[method-assign,assignment]
    monkeypatch.setattr(muting, "_tapped", {(id(stream), "write"): ours})

    muting.reset()

    assert stream.write is theirs


def test_handlers_are_stripped_while_ours_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing adopts their filters then."""
    configure_logging(log_format="json")
    monkeypatch.setattr(takeover, "_ours", None)
    logger = logging.getLogger("stripped")
    logger.addHandler(logging.StreamHandler(sys.stdout))

    assert takeover._strip(logger)  # noqa: SLF001 - a reset in another thread

    assert [] == logger.handlers


def queue_of_nothing() -> Queued:
    """Make a queue that writes nothing."""
    return Queued(
        lambda line: None, lambda line: True, 1000, lambda dropped: b"", lambda failure: None
    )


def test_a_fork_behind_pythons_back_is_noticed_by_the_process_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """uWSGI forks in C: the locks and the queue are the parent's."""
    out = output.Output()
    queue = queue_of_nothing()
    queue.close()
    lock, lanes = out._lock, queue._lanes  # noqa: SLF001 - of the parent

    monkeypatch.setattr(os, "getpid", lambda: -1)
    with ThreadPoolExecutor(1) as pool:  # a thread that does not survive a fork
        pool.submit(lock.acquire).result()
        out.write(b"")
    queue._notice_fork()  # noqa: SLF001 - as each line does

    assert out._lock is not lock  # noqa: SLF001 - as above
    assert queue._lanes is not lanes  # noqa: SLF001 - as above


def test_a_line_that_is_dropped_while_the_thread_takes_it_is_not_taken_twice() -> None:
    """The oldest one may go to make room; the next one stays in its place."""
    queue = queue_of_nothing()
    queue.close()

    class Racing(deque[Any]):
        """Its first item is dropped after the look at it."""

        looked = False

        def __getitem__(self, index: Any) -> Any:
            found = super().__getitem__(index)
            if not self.looked:
                self.looked = True
                self.popleft()
            return found

    lane = Racing([(1, 20, b"dropped"), (2, 20, b"kept")])
    queue._lanes = [lane]  # noqa: SLF001 - a race

    assert b"kept" == queue._take()  # noqa: SLF001 - as the thread does


def test_a_stream_without_flush_gets_its_lines() -> None:
    """`print` asks for no more than `write`."""

    class Bare:
        """Has one method."""

        def write(self, text: str) -> int:
            return len(text)

    class Failing(Bare):
        """Has a flush that fails in its own way."""

        def flush(self) -> None:
            raise AttributeError

    output._flush_patiently(Bare())  # noqa: SLF001 - as a write does

    with pytest.raises(AttributeError):
        output._flush_patiently(Failing())  # noqa: SLF001 - as above


def test_a_line_is_written_where_the_system_refuses_the_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A `dup2` may have put something else there since."""

    class Refusing:
        """Locks nothing."""

        LOCK_EX = 0

        def lockf(self, *_: object) -> None:
            raise OSError

    reading, writing = os.pipe()
    out = output.Output()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        out._look_at(stream)  # noqa: SLF001 - as the first line does
        monkeypatch.setattr(output, "_locks", Refusing())
        out.write(b"line\n")
        monkeypatch.undo()
    read = os.read(reading, 100)
    os.close(reading)

    assert b"line\n" == read


def test_the_stream_that_celery_puts_in_place_of_stdout_is_passed_by() -> None:
    """The stream logs each text that is written to it."""

    class Logging(io.StringIO):
        """A stream that logs, like Celery's."""

    Logging.__module__ = "celery.utils.log"
    out = output.Output()

    out._look_at(Logging())  # type: ignore[arg-type] # noqa: SLF001 - as the first line does

    assert out._stream is sys.__stdout__  # noqa: SLF001 - as above
