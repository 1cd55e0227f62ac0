"""Where a failure was reported: one object per raise of an exception."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
from contextvars import Context
from threading import Thread

import pytest

from pantheon_obs import trace_context, untraced
from pantheon_obs.core import failures
from pantheon_obs.core.chains import stems_from
from pantheon_obs.core.context import Trace, begin, current_trace, end
from pantheon_obs.core.task import TaskRun


class RefusingError(KeyError):
    """Takes no attributes."""

    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]
        """Refuse."""
        raise AttributeError


def escape_from(trace_id: str, error: BaseException) -> None:
    """Let an exception escape from a trace of its own, its traceback logged on the way."""

    def fail() -> None:
        failures.note(error).logged = True
        raise error

    with pytest.raises(type(error)), trace_context(trace_id):
        fail()


def test_an_exception_is_remembered_as_logged() -> None:
    """The failure belongs to the object; an object that takes no attributes has none."""
    error, refusing = KeyError(), RefusingError()

    failures.note(refusing).logged = True
    failures.note(error).logged = True

    assert failures.is_logged(error)
    assert not failures.is_logged(refusing)
    assert not failures.is_logged(None)


def test_the_innermost_trace_of_an_exception_wins() -> None:
    """An exception that escapes from nested traces belongs to the inner one."""
    error = KeyError()
    outer, inner = Trace("outer"), Trace("inner")
    begin(outer)
    begin(inner)
    failures.escape(error, inner)
    end(inner)
    assert "inner" == failures.trace_id_of(error)

    failures.escape(error, outer)
    end(outer)

    assert "inner" == failures.trace_id_of(error)


def test_a_log_of_an_escaped_exception_in_the_same_context_finds_its_trace() -> None:
    """A server logs it right after the trace has ended, where its application was called."""
    error = KeyError()
    escape_from("first", error)

    assert "first" == failures.trace_id_of(error)
    assert failures.is_logged(error)


def test_an_exception_that_is_raised_in_another_trace_is_a_new_failure() -> None:
    """Libraries raise one object again and again."""
    error = KeyError()
    escape_from("first", error)

    with trace_context("second"):
        assert not failures.is_logged(error)
        assert failures.trace_id_of(error) is None
        failures.escape(error, current_trace.get() or Trace(""))

    assert "second" == failures.trace_id_of(error)


def test_two_traces_within_one_do_not_share_a_failure() -> None:
    """A batch whose items each fail with the same object has one failure per item."""
    error = KeyError()
    with trace_context("batch"):
        escape_from("one", error)
        with trace_context("two"):
            assert not failures.is_logged(error)

        assert failures.is_logged(error) is True


def test_an_exception_that_is_raised_outside_of_its_trace_is_a_new_failure() -> None:
    """A thread that raises a module's constant, which a request has raised before, has no trace."""
    error = ConnectionError("the pool is closed")
    escape_from("the-request", error)
    seen: list[object] = []

    def heartbeat() -> None:
        seen.extend((failures.trace_id_of(error), failures.is_logged(error)))

    thread = Thread(target=heartbeat)
    thread.start()
    thread.join()

    assert [None, False] == seen
    assert [None, False] == Context().run(
        lambda: [failures.trace_id_of(error), failures.is_logged(error)]
    )


def test_a_failure_that_nobody_has_reported_is_the_same_in_the_next_context() -> None:
    """A worker awaits its job in another task or thread, and logs its failure there, once."""
    error = LookupError("no such order")
    with pytest.raises(LookupError), trace_context("job-1"):
        raise error
    seen: list[object] = []

    def worker() -> None:
        seen.append(failures.trace_id_of(error))
        failures.note(error).logged = True
        seen.extend((failures.trace_id_of(error), failures.is_logged(error)))

    Context().run(worker)

    assert ["job-1", "job-1", True] == seen
    assert Context().run(failures.trace_id_of, error) is None


def test_an_exception_raised_because_of_a_failure_has_its_trace() -> None:
    """A worker reports a job that it has cancelled as one that took too long."""
    late = TimeoutError()
    late.__cause__ = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError), trace_context("job-1"):
        raise late.__cause__

    assert "job-1" == Context().run(failures.trace_id_of, late)


def test_the_failure_of_a_job_keeps_its_id_in_a_worker_that_has_a_trace() -> None:
    """A Django command has one for as long as it runs; the worker logs failures of its jobs."""
    error, own = LookupError("no such order"), LookupError("no more jobs")
    with trace_context("worker"), untraced(), trace_context("command"):
        with pytest.raises(LookupError), trace_context("job-1"), trace_context("part-1"):
            raise error
        assert "job-1" == failures.trace_id_of(error)
        assert failures.trace_id_of(own) is None


def test_an_error_of_the_trace_itself_has_its_id_whatever_was_handled_before() -> None:
    """A fallback fails after the failure of a nested trace, which is handled already."""
    fallback = OSError("no fallback")
    with trace_context("outer-1"):
        with pytest.raises(LookupError) as handled, trace_context("inner-1"):
            raise LookupError
        fallback.__context__ = handled.value
        assert failures.trace_id_of(fallback) is None


def test_a_request_reports_the_failure_of_its_part_under_its_own_id() -> None:
    """A trace that is nested in a request's is a part of it."""
    error = LookupError("no such order")
    request = TaskRun("t", "7", task="a", queue=None, retries=0, quiet=False, bound={})
    begin(request)
    with pytest.raises(LookupError), trace_context("batch"), trace_context("part-1"):
        raise error

    assert failures.trace_id_of(error) is None
    end(request)


def test_a_server_finds_the_failure_that_it_logs_in_another_context() -> None:
    """It may run the application in a thread, and logs only exceptions that have escaped."""
    error, unknown = KeyError(), KeyError()
    escape_from("first", error)

    def server() -> list[object]:
        failures.arrive(error)
        failures.arrive(unknown)
        return [failures.trace_id_of(error), failures.is_logged(error), failures.known(unknown)]

    assert ["first", True, None] == Context().run(server)


def test_an_exception_that_two_threads_raise_outside_of_traces_is_two_failures() -> None:
    """A constant of a module that no request has raised: each thread logs its own traceback."""
    error = ConnectionError("the pool is closed")
    seen: list[bool] = []

    def fail() -> None:
        seen.append(failures.is_logged(error))
        failures.note(error).logged = True
        seen.append(failures.is_logged(error))

    for _ in range(2):
        thread = Thread(target=fail)
        thread.start()
        thread.join()

    assert [False, True, False, True] == seen


def test_a_record_repeats_nothing_where_nothing_has_escaped() -> None:
    """A server's own error is its own."""
    assert not failures.repeats(logging.makeLogRecord({"levelno": logging.ERROR}))


def test_a_pickled_or_copied_exception_carries_no_failure() -> None:
    """It may be unpickled where the library is not installed, and is a failure of its own there."""
    error = KeyError("k")
    failures.note(error).logged = True

    for other in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):  # noqa: S301 - our own
        assert ("k",) == other.args
        assert not failures.is_logged(other)
    assert b"pantheon_obs.core" not in pickle.dumps(error)


def test_a_circle_of_causes_has_an_end() -> None:
    """Exceptions may be linked in a circle, in which another one is looked for in vain."""
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first

    assert not stems_from(first, KeyError())
    assert stems_from(first, second)
