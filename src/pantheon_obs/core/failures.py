"""One object per failure that knows where the failure was reported.

An escaping exception passes several places that would each log it: our event, the server, a
framework, an error tracker. The `Failure` that belongs to the exception makes all of that one
traceback and one event, and shows a late reader which trace it belongs to.

A failure is one *raise* of an exception, not the exception object: libraries raise one object
again and again. The object is the same failure within the trace in which it was raised, in the
context that it escaped to from there, and where it is reported first. Anywhere else it is another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary, ref

from pantheon_obs.core.chains import chain_of
from pantheon_obs.core.context import Trace, current_trace, escaped_failure
from pantheon_obs.core.serving import is_of_request

if TYPE_CHECKING:
    from contextvars import Context
    from logging import LogRecord

_ATTRIBUTE = "_pantheon_obs_failure"


class Failure:
    """Where one raise of an exception has been reported."""

    trace_id: str | None = None  # of the trace that it escaped from, once it has
    logged = False  # whether a log line carries its traceback
    covered = False  # whether the event of a request or task reports it, or is about to
    sent = False  # whether an error tracker has got it
    root: BaseException | None = None  # the exception that a framework has wrapped in this one
    repeated = False  # whether a library has logged it in another context than it escaped to
    repetition: ref[LogRecord] | None = None  # the server's record that repeats it as text

    # Whether it has left a thread or pool that `carry` gave a trace: whoever asks for the result
    # later gets the same failure, in whatever context.
    carried = False
    over = False  # whether an error tracker has got the end of a thread or task by it

    def __init__(self, trace: Trace | None) -> None:
        # Weakly: this context may remember the failure for longer than the request lasts.
        self._traces: list[ref[Trace]] = []
        while trace is not None:
            self._traces.append(ref(trace))
            trace = trace.outer

    def settle(self) -> None:
        """Have nobody report it: the outcome of its request says it all."""
        self.logged = self.sent = True

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Pickle as None: another process reports its own exceptions itself."""
        return type(None), ()

    def is_current(self) -> bool:
        """Whether this context is one in which the exception is still the same failure."""
        trace = current_trace.get()
        if trace is None or not trace.trace_id:
            is_unreported = self.trace_id is not None and not self.logged
            return is_unreported or self.carried or escaped_failure.get() is self
        return self.is_of(trace)

    def is_of(self, trace: Trace) -> bool:
        """Whether it was raised within a trace, or within one that is nested in it."""
        return any(own() is trace for own in self._traces)


_offered: WeakValueDictionary[str, Failure] = WeakValueDictionary()  # by the id of the event


def known(error: BaseException | None) -> Failure | None:
    """Look up the failure of an exception; None where this raise of it is a new one."""
    failure = _stored(error)
    return failure if failure is not None and failure.is_current() else None


def note(error: BaseException) -> Failure:
    """Look up the failure of an exception, or begin one."""
    failure, trace = known(error), current_trace.get()
    here = trace if trace is not None and trace.trace_id else None
    if failure is None:
        failure = _store(error, Failure(here))
    if here is None:  # in this context it stays the same failure
        escaped_failure.set(failure)
    return failure


def escape(error: BaseException, trace: Trace, *, covered: bool = False) -> Failure:
    """Record that an exception leaves a trace; of nested traces the innermost counts.

    `covered` says whether the event of the trace reports it.
    """
    failure = _stored(error)
    if failure is None or not failure.is_of(trace):
        is_raised_again = failure is not None and failure.trace_id is not None
        failure = _store(error, Failure(trace))
        failure.sent = failure.sent and not is_raised_again
    if failure.trace_id is None:
        failure.trace_id = trace.trace_id
    failure.covered = failure.covered or covered
    escaped_failure.set(failure)
    return failure


def cover_text(trace: Trace) -> None:
    """Record here that the event of a trace reports a failure which a server may log as text."""
    failure = Failure(trace)
    failure.covered = True
    escaped_failure.set(failure)


def cover_everywhere(error: BaseException) -> None:
    """Record that an event reports an exception of no trace, wherever a server repeats it."""
    failure = note(error)
    failure.covered = failure.carried = True


def arrive(error: BaseException | None) -> None:
    """Record that an exception has reached the log of a server that called the trace elsewhere."""
    failure = _stored(error)
    if failure is not None and failure.trace_id is not None:
        escaped_failure.set(failure)


def is_repeated(error: BaseException) -> bool:
    """Whether code that logs this exception outside of every trace repeats the line of a trace.

    It does in the context that the exception escaped to. A server may log it elsewhere, from a
    thread or a callback: there the next report is the same failure, and any later one a new raise.
    """
    failure, trace = _stored(error), current_trace.get()
    is_within = trace is not None and trace.trace_id
    if is_within or failure is None or failure.trace_id is None or not failure.logged:
        return False
    if escaped_failure.get() is failure:
        return True
    first, failure.repeated = not failure.repeated, True
    return first


def escape_context(error: BaseException, context: Context, trace: Trace | None) -> None:
    """Record that an exception, as the same failure, leaves a context copied in a trace or not."""
    if trace is not None and trace.trace_id:
        escape(error, trace).carried = True
        return
    if (failure := context.run(known, error)) is not None:
        failure.carried = True


def is_logged(error: BaseException | None) -> bool:
    """Whether a log line carries the traceback of this failure."""
    failure = known(error)
    return failure is not None and failure.logged


def is_sent(error: BaseException | None) -> bool:
    """Whether an error tracker has got this failure."""
    failure = _stored(error)
    return failure is not None and failure.sent and failure.is_current()


def offer(error: BaseException, event_id: str) -> None:
    """Record that an error tracker has made an event of this failure, which may yet be dropped."""
    note(root_of(error))
    _offered[event_id] = note(error)


def handed_over(event_id: str) -> None:
    """Record that the event has been sent, and so has the failure that was offered with it."""
    failure = _offered.pop(event_id, None)
    if failure is not None:
        failure.sent = True
        root = _stored(failure.root)
        if root is not None:
            root.sent = True


def is_covered(error: BaseException | None) -> bool:
    """Whether the event of a request or task reports this failure, or is about to."""
    failure = known(error)
    return failure is not None and failure.covered


def is_from(error: BaseException | None, trace: Trace) -> bool:
    """Whether the last raise of an exception that was recorded was within a trace."""
    failure = _stored(error)
    return failure is not None and failure.is_of(trace)


def wrap(root: BaseException, raised: BaseException) -> None:
    """Record that a framework or server has wrapped an exception in another one."""
    note(raised).root = root


def root_of(error: BaseException) -> BaseException:
    """The exception that a framework has wrapped in this one, or the exception itself."""
    failure = known(error)
    return error if failure is None or failure.root is None else failure.root


def share_log(root: BaseException, raised: BaseException) -> None:
    """Mark the exception that a framework has wrapped around another one, if that is logged."""
    if is_logged(root):
        note(raised).logged = True


def trace_id_of(error: BaseException | None) -> str | None:
    """The id of the trace that it (outside of traces, a cause) escaped from; None in a request."""
    trace = current_trace.get()
    chain = (error,) if trace is not None and trace.trace_id else chain_of(error)
    ids = (failure.trace_id for failure in map(known, chain) if failure is not None)
    return None if is_of_request(trace) else next(filter(None, ids), None)


def repeats(record: LogRecord) -> bool:
    """Whether a server's record repeats in text a failure that a trace's event has reported.

    Some servers log the traceback of an escaped exception as text, without the exception. Such a
    record is the first that comes after the exception has escaped to this context.
    """
    failure = escaped_failure.get()
    if not isinstance(failure, Failure) or not failure.covered:
        return False
    if failure.repetition is None:
        failure.repetition = ref(record)
    return failure.repetition() is record


def _stored(error: BaseException | None) -> Failure | None:
    failure = _attributes(error).get(_ATTRIBUTE)
    return failure if type(failure) is Failure else None


def _store(error: BaseException, failure: Failure) -> Failure:
    failure.sent = is_sent(error)
    _attributes(error)[_ATTRIBUTE] = failure
    return failure


def _attributes(error: BaseException | None) -> dict[str, object]:
    """The exception's own attributes; a class may refuse to have any."""
    try:
        attributes = error.__dict__
    except Exception:  # noqa: BLE001 - then the facts recorded on it are lost
        return {}
    return attributes if type(attributes) is dict else {}
