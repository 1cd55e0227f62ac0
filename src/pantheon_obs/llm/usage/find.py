"""Find a call's usage: in a future, an attribute or a callable, or by the `usage=` option."""

from __future__ import annotations

from inspect import iscoroutine, iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple

from pantheon_obs.llm.usage.fields import class_fields, field, has
from pantheon_obs.llm.usage.shapes import tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.usage.fields import Reported

    UsageReader = Callable[[Any], object]

NAMES = ("usage_future", "usage")


class Found(NamedTuple):
    """The result of a search for the usage.

    Attributes:
        tokens: The counts, if there are any.
        pending: The future that they depend on, if it is not done yet.
        read: The `usage=` option, if it has yet to read the future's result.
        failed: Whether a future or callable failed to give them.
        error: The exception of a callable, for the guard's report.
    """

    tokens: Reported | None = None
    pending: Any = None
    read: UsageReader | None = None
    failed: bool = False
    error: Exception | None = None


def is_future(value: Any) -> bool:
    """Whether this is a future or task of asyncio's or a thread pool's, or looks like one."""
    kind: Any = type(value)
    return "add_done_callback" in class_fields(kind)


def error_of(future: Any) -> BaseException | None:
    """Return the exception of a future that is done and not cancelled.

    `exception()` would tell asyncio that the application has retrieved it, and so suppress the log
    line "Task exception was never retrieved".
    """
    if hasattr(future, "_exception"):
        error: BaseException | None = getattr(future, "_exception", None)
    else:
        error = future.exception()
    return error


def attached_usage(source: Any) -> Any:
    """Return the usage that an object carries: a future, a callable, a value, or None."""
    for name in NAMES:
        try:
            attached = field(source, name)
        except Exception:  # noqa: BLE001, S112 - a property that raises has no value yet
            continue
        if attached is not None:
            return attached
    return None


def is_pending(source: Any, attached: Any) -> bool:
    """Whether an object has an attribute for its usage without a value to read yet."""
    if attached is None:
        return any(has(source, name) for name in NAMES)
    return is_future(attached) or callable(attached)


def find(read: UsageReader | None, source: Any, attached: Any, *, complete: bool) -> Found:
    """Look for the usage of a call that has ended.

    Args:
        read: The `usage=` option. It is given `source` and, if it finds nothing there, `attached`:
            so one callable works for a response and for a bare usage object.
        source: The returned value, or the last chunk.
        attached: The usage that the returned value carries.
        complete: Whether the whole answer has arrived. If not, no callable is called: it might
            read the rest of a stream that the consumer has left.

    Returns:
        The counts, or the future that they depend on, or neither.
    """
    error: Exception | None = None
    answer: Any
    if read is not None and source is not None:
        answer, error = _call(read, source)
        tokens = tokens_of(answer)
        if tokens is not None:
            return Found(tokens)
        if is_future(answer):
            read, attached = None, answer
    if callable(attached):
        may_call = complete and not iscoroutinefunction(attached)
        attached, error = _call(attached) if may_call else (None, None)
    if is_future(attached):
        if not attached.done():
            return Found(pending=attached, read=read)
        if attached.cancelled() or error_of(attached) is not None:
            return Found(failed=True)
        attached = attached.result()
    if read is not None and attached is not None:
        answer, error = _call(read, attached)
        tokens = tokens_of(answer)
        if tokens is not None:
            return Found(tokens)
    return Found(tokens_of(attached), failed=error is not None, error=error)


def _call(function: Callable[..., object], *args: Any) -> tuple[Any, Exception | None]:
    try:
        answer = function(*args)
    except Exception as error:  # noqa: BLE001 - the application's callable may raise anything
        return None, error
    if iscoroutine(answer):
        answer.close()  # we never await it; once closed, Python does not warn about that
        return None, None
    return answer, None
