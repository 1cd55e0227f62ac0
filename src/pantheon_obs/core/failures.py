"""What has been said of an exception object, kept on the object itself.

An escaping exception passes several places that would each log it: our line, the server's, a
framework's. The marks make it one traceback, and tell a late reader which trace it belongs to.
"""

from __future__ import annotations

_LOGGED = "_pantheon_obs_logged"
_TRACE = "_pantheon_obs_trace_id"


def mark_logged(error: BaseException) -> None:
    """Note that a line carries this exception's traceback."""
    _set(error, _LOGGED, value=True)


def was_logged(error: BaseException | None) -> bool:
    """Whether a line already carries this exception's traceback."""
    return getattr(error, _LOGGED, False) is True


def mark_trace(error: BaseException, trace_id: str) -> None:
    """Note the trace that the exception escaped from; the innermost wins."""
    if trace_of(error) is None:
        _set(error, _TRACE, value=trace_id)


def trace_of(error: BaseException | None) -> str | None:
    """The trace that the exception escaped from, if it is known."""
    found = getattr(error, _TRACE, None)
    return found if isinstance(found, str) else None


def _set(error: BaseException, name: str, *, value: object) -> None:
    try:
        setattr(error, name, value)
    except Exception:  # noqa: BLE001, S110 - a class may refuse attributes: then it has no mark
        pass
