"""What has been said of an exception object, kept on the object itself.

An escaping exception passes several places that would each log it: our line, the server's, a
framework's. The marks make it one traceback, and tell a late reader which trace it belongs to.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_LOGGED = "_pantheon_obs_logged"  # when
_ESCAPED = "_pantheon_obs_escaped"  # when, and from which trace
_OWED = "_pantheon_obs_owed"
_SENT = "_pantheon_obs_sent"  # from which trace
_ROOT = "_pantheon_obs_root"

_LENGTH = 200
_texts: deque[str] = deque(maxlen=64)
"""The last exceptions that escaped from traces, for a server that repeats them as mere text."""


def mark_logged(error: BaseException) -> None:
    """Note that a line carries this exception's traceback."""
    _marks(error)[_LOGGED] = perf_counter()


def was_logged(error: BaseException | None) -> bool:
    """Whether a line already carries this exception's traceback."""
    return _LOGGED in _marks(error)


def mark_sent(error: BaseException, trace_id: str) -> None:
    """Note that an error tracker has got this exception, as one of this trace."""
    _marks(error)[_SENT] = trace_id


def was_sent(error: BaseException, trace_id: str) -> bool:
    """Whether an error tracker has got this exception already, as one of this trace."""
    return _marks(error).get(_SENT) == trace_id


def mark_owed(error: BaseException) -> None:
    """Note that a line to come carries this exception's traceback, or that one does."""
    _marks(error)[_OWED] = True


def is_owed(error: BaseException) -> bool:
    """Whether what a framework says of this exception by itself is said by a line of ours."""
    return _OWED in _marks(error)


def mark_root(error: BaseException, root: BaseException) -> None:
    """Note what a framework has wrapped in this exception."""
    _marks(error)[_ROOT] = root


def alone_in(error: BaseException) -> BaseException:
    """What a group of one holds, or the exception itself: frameworks run us in task groups."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def root_of(error: BaseException) -> BaseException:
    """The exception that was wrapped in this one, or itself."""
    root: BaseException = _marks(error).get(_ROOT, error)
    return root


def mark_trace(error: BaseException, trace_id: str, *, since: float) -> None:
    """Note the trace that the exception escaped from; of traces in one another the innermost.

    Args:
        error: The exception.
        trace_id: The trace.
        since: Clock time of the trace's start. Older marks are of an earlier raise of the same
            object: some libraries raise one exception again and again.
    """
    marks = _marks(error)
    if marks.get(_LOGGED, since) < since:
        del marks[_LOGGED]
    if _ESCAPED not in marks or marks[_ESCAPED][0] < since:
        marks[_ESCAPED] = (perf_counter(), trace_id)


def mark_escaped(error: BaseException, trace_id: str, *, since: float) -> None:
    """Note the trace, as `mark_trace`, and that a line of ours tells of the exception."""
    mark_trace(error, trace_id, since=since)
    with suppress(Exception):  # of a broken __str__
        _texts.append(f"{type(error).__qualname__}: {error}"[-_LENGTH:])


def has_escaped_as(text: str) -> bool:
    """Whether a text ends as an exception that has escaped from a trace: its line tells of it.

    Args:
        text: Ends in the class's name, a colon and the message.
    """
    return text.endswith(tuple(_texts))


def trace_of(error: BaseException | None) -> str | None:
    """The trace that the exception escaped from, if it is known."""
    marks = _marks(error)
    return str(marks[_ESCAPED][1]) if _ESCAPED in marks else None


def stems_from(error: BaseException, origin: BaseException | None) -> bool:
    """Whether an exception is another one, or was raised while that was handled."""
    return origin is not None and (
        origin is error or origin is error.__cause__ or origin is error.__context__
    )


def _marks(error: BaseException | None) -> dict[str, Any]:
    """The exception's own attributes; a class may refuse to have any."""
    try:
        marks = error.__dict__
    except Exception:  # noqa: BLE001 - then what is marked is forgotten
        return {}
    return marks if type(marks) is dict else {}
