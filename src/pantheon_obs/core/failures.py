"""One object per failure that knows where the failure was reported.

An escaping exception passes several places that would each log it: our event, the server, a
framework, an error tracker. The `Failure` that belongs to the exception makes all of that one
traceback and one event, and tells a late reader which trace it belongs to.

A failure is one *raise* of an exception, not the exception object: libraries raise one object
again and again. The object is the same failure within the trace in which it was raised, and in the
context that it escaped to from there. Anywhere else it is a new one.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING
from weakref import ref

from pantheon_obs.core.context import Trace, current_trace, current_trace_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import Context
    from logging import LogRecord

_ATTRIBUTE = "_pantheon_obs_failure"

_escaped: ContextVar[Failure | None] = ContextVar("pantheon_obs_escaped", default=None)
"""The failure that has escaped from a trace to this context last."""


class Failure:
    """Where one raise of an exception has been reported.

    Attributes:
        trace_id: The trace that it escaped from; None before it has escaped from one.
        logged: Whether a log line carries its traceback.
        covered: Whether the event of a request or task reports it, or is about to.
        sent: Whether an error tracker has got it.
        root: The exception that a framework has wrapped in this one; None without one.
        carried: Whether it has left a thread or pool that `carry` gave a trace: whoever asks for
            the result later gets the same failure, in whatever context.
    """

    __slots__ = (
        "_raised_in",
        "_repetition",
        "_traces",
        "carried",
        "covered",
        "logged",
        "root",
        "sent",
        "trace_id",
    )

    def __init__(self, trace: Trace | None) -> None:
        # Weakly: this context may remember the failure for longer than the request lasts.
        self._traces = tuple(map(ref, _with_outer(trace)))
        self._raised_in = "" if trace is None else trace.trace_id
        self._repetition: ref[LogRecord] | None = None
        self.trace_id: str | None = None
        self.logged = False
        self.covered = False
        self.sent = False
        self.root: BaseException | None = None
        self.carried = False

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Pickle as None: another process reports what it raises itself."""
        return type(None), ()

    def is_current(self) -> bool:
        """Whether this context is one in which the exception is still the same failure."""
        trace = current_trace.get()
        if trace is None or not trace.trace_id:
            return not self._traces or self.carried or _escaped.get() is self
        return self.is_of(trace)

    def has_id(self, trace_id: str) -> bool:
        """Whether it was raised in a trace with this id."""
        return trace_id != "" and trace_id == self._raised_in

    def is_of(self, trace: Trace) -> bool:
        """Whether it was raised within a trace, or within one that is nested in it."""
        return any(own() is trace for own in self._traces)


def known(error: BaseException | None) -> Failure | None:
    """Look up the failure of an exception; None where this raise of it is a new one."""
    failure = _stored(error)
    return failure if failure is not None and failure.is_current() else None


def note(error: BaseException) -> Failure:
    """Look up the failure of an exception, or begin one."""
    return known(error) or _store(error, Failure(_trace_here()))


def escape(error: BaseException, trace: Trace, *, covered: bool = False) -> Failure:
    """Record that an exception leaves a trace; of nested traces the innermost counts.

    Args:
        error: The exception.
        trace: The trace.
        covered: Whether the event of the trace reports it.

    Returns:
        The failure.
    """
    failure = _stored(error)
    if failure is None or not failure.is_of(trace):
        failure = _store(error, Failure(trace))
    if failure.trace_id is None:
        failure.trace_id = trace.trace_id
    failure.covered = failure.covered or covered
    _escaped.set(failure)
    return failure


def arrive(error: BaseException | None) -> None:
    """Record that an exception which has escaped from a trace has reached a server's log here.

    A server that runs the application in a thread logs in another context than it escaped to.
    """
    failure = _stored(error)
    if failure is not None and failure.trace_id is not None:
        _escaped.set(failure)


def leave(error: BaseException, context: Context, trace: Trace | None) -> None:
    """Record that an exception leaves a copied context: outside it is the same failure.

    Args:
        error: The exception.
        context: The copy in which it was raised.
        trace: The trace that the copy was made in; None outside of one.
    """
    if trace is not None and trace.trace_id:
        escape(error, trace).carried = True
        return
    failure = context.run(known, error)
    if failure is not None:
        failure.carried = True


def is_logged(error: BaseException | None) -> bool:
    """Whether a log line carries the traceback of this failure."""
    failure = known(error)
    return failure is not None and failure.logged


def is_sent(error: BaseException | None) -> bool:
    """Whether an error tracker has got this failure, or the same exception in the same trace.

    A server may log it in a context of its own that has the trace's id and nothing else of it.
    """
    failure = _stored(error)
    if failure is None or not failure.sent:
        return False
    return failure.is_current() or failure.has_id(current_trace_id.get())


def is_covered(error: BaseException | None) -> bool:
    """Whether the event of a request or task reports this failure, or is about to."""
    failure = known(error)
    return failure is not None and failure.covered


def root_of(error: BaseException) -> BaseException:
    """The exception that a framework has wrapped in this one, or the exception itself."""
    failure = known(error)
    return error if failure is None or failure.root is None else failure.root


def trace_of(error: BaseException | None) -> str | None:
    """The id of the trace that the exception escaped from, if it is known."""
    failure = known(error)
    return None if failure is None else failure.trace_id


def repeats(record: LogRecord) -> bool:
    """Whether a server's record says in text what the event of a trace has reported.

    Some servers log the traceback of an escaped exception as text, without the exception. Such a
    record is the first that comes after the exception has escaped to this context.

    Args:
        record: A record at ERROR without `exc_info`, of a logger that does so.
    """
    failure = _escaped.get()
    if failure is None or not failure.covered:
        return False
    if failure._repetition is None:  # noqa: SLF001 - our own class
        failure._repetition = ref(record)  # noqa: SLF001 - as above
    return failure._repetition() is record  # noqa: SLF001 - as above


def alone_in(error: BaseException) -> BaseException:
    """Unwrap exception groups of one: frameworks run the application in task groups."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def stems_from(error: BaseException, origin: BaseException | None) -> bool:
    """Whether an exception is another one, or was raised while that was handled."""
    return origin is not None and (
        origin is error or origin is error.__cause__ or origin is error.__context__
    )


def reset() -> None:
    """Forget what has escaped to this context (used by `pantheon_obs.testing.reset`)."""
    _escaped.set(None)


def _trace_here() -> Trace | None:
    trace = current_trace.get()
    return trace if trace is not None and trace.trace_id else None


def _with_outer(trace: Trace | None) -> Iterator[Trace]:
    while trace is not None:
        yield trace
        trace = trace.outer


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
    except Exception:  # noqa: BLE001 - then what is recorded of it is lost
        return {}
    return attributes if type(attributes) is dict else {}
