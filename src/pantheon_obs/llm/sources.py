"""Where a call's usage comes from: a future, an attribute, a callable, or the `usage=` option."""

from __future__ import annotations

from inspect import iscoroutine, iscoroutinefunction
from typing import TYPE_CHECKING, NamedTuple

from pantheon_obs.llm.parts import HostValue, class_parts, has, part
from pantheon_obs.llm.usage import Seen, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable

    UsageReader = Callable[[HostValue], object]

NAMES = ("usage_future", "usage")


class Found(NamedTuple):
    """What a search for the usage came to.

    Attributes:
        tokens: The counts, if there are any.
        pending: The future that they depend on, if it is not done yet.
        read: The `usage=` option, if it has yet to read the future's result.
        failed: Whether a future or callable that should have given them did not.
        error: What a callable raised, for the report.
    """

    tokens: Seen | None = None
    pending: HostValue = None
    read: UsageReader | None = None
    failed: bool = False
    error: Exception | None = None


def is_future(value: HostValue) -> bool:
    """Whether this is a future or task, asyncio's or a thread pool's (or looks like one)."""
    kind: HostValue = type(value)
    return "add_done_callback" in class_parts(kind)


def error_of(future: HostValue) -> BaseException | None:
    """The exception of a future that is done and not cancelled.

    Read without the call that tells asyncio "the host has seen it": whether anybody looks at a
    failed task is for the host's own log to say.
    """
    if hasattr(future, "_exception"):
        error: BaseException | None = getattr(future, "_exception", None)
    else:
        error = future.exception()
    return error


def handed_over(source: HostValue) -> HostValue:
    """What a returned object offers as its usage: a future, a callable, a value, or None."""
    for name in NAMES:
        try:
            offered = part(source, name)
        except Exception:  # noqa: BLE001, S112 - a property that raises: it is not there yet
            continue
        if offered is not None:
            return offered
    return None


def is_to_come(source: HostValue, offered: HostValue) -> bool:
    """Whether a returned object has a place for its usage with nothing to read in it yet."""
    if offered is None:
        return any(has(source, name) for name in NAMES)
    return is_future(offered) or callable(offered)


def find(
    read: UsageReader | None, source: HostValue, offered: HostValue, *, complete: bool
) -> Found:
    """Look for the usage of a call that has ended.

    Args:
        read: The `usage=` option. It is given `source` and, where it finds nothing in it, what
            was offered: so one callable does for a response and for a bare usage object.
        source: The returned value, or the last chunk.
        offered: What the returned value offered as its usage.
        complete: Whether the answer has come to its end. If not, a callable is not called: it might
            read on where the consumer did not want to.

    Returns:
        The counts, or the future that they depend on, or neither.
    """
    error: Exception | None = None
    answer: HostValue
    if read is not None and source is not None:
        answer, error = _ask(read, source)
        tokens = tokens_of(answer)
        if tokens is not None:
            return Found(tokens)
        if is_future(answer):
            read, offered = None, answer
    if callable(offered):
        may_ask = complete and not iscoroutinefunction(offered)
        offered, error = _ask(offered) if may_ask else (None, None)
    if is_future(offered):
        if not offered.done():
            return Found(pending=offered, read=read)
        if offered.cancelled() or error_of(offered) is not None:
            return Found(failed=True)
        offered = offered.result()
    if read is not None and offered is not None:
        answer, error = _ask(read, offered)
        tokens = tokens_of(answer)
        if tokens is not None:
            return Found(tokens)
    return Found(tokens_of(offered), failed=error is not None, error=error)


def _ask(function: Callable[..., object], *given: HostValue) -> tuple[HostValue, Exception | None]:
    try:
        answer = function(*given)
    except Exception as error:  # noqa: BLE001 - the host's callable may do as it likes
        return None, error
    if iscoroutine(answer):
        answer.close()  # never awaited by us; closed, it does not warn that nobody did
        return None, None
    return answer, None
