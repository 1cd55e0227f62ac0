"""Where a call's usage comes from: a future, an attribute, a callable, or the `usage=` option."""

from __future__ import annotations

from inspect import iscoroutine, iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple

from pantheon_obs.llm.parts import PLAIN, has, on_class, part
from pantheon_obs.llm.usage import Seen, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("usage_future", "usage")


class Found(NamedTuple):
    """What a search for the usage came to.

    Attributes:
        tokens: The counts, if there are any.
        pending: The future that they depend on, if it is not done yet.
        failed: Whether a future or callable that should have given them did not.
        error: What a callable raised, for the report.
    """

    tokens: Seen | None = None
    pending: Any = None
    failed: bool = False
    error: Exception | None = None


def is_future(value: Any) -> bool:
    """Whether this is a future or task, asyncio's or a thread pool's (or looks like one)."""
    kind = type(value)
    return (
        kind not in PLAIN
        and on_class(kind, "add_done_callback")
        and on_class(kind, "cancelled")
        and on_class(kind, "result")
    )


def error_of(future: Any) -> BaseException | None:
    """A finished future's exception.

    Read without the call that tells asyncio "the host has seen it": whether anybody looks at a
    failed task is for the host's own log to say.
    """
    if future.cancelled():
        return None
    missing = object()
    error = getattr(future, "_exception", missing)
    return future.exception() if error is missing else error  # type: ignore[no-any-return]


def handed_over(source: Any) -> Any:
    """What a returned object offers as its usage: a future, a callable, a value, or None."""
    for name in NAMES:
        offered = part(source, name)
        if offered is not None:
            return offered
    return None


def is_to_come(source: Any) -> bool:
    """Whether a returned object has a place for its usage with nothing to read in it yet."""
    offered = handed_over(source)
    if offered is None:
        return any(has(source, name) for name in NAMES)
    return is_future(offered) or callable(offered)


def find(read: Callable[[Any], Any] | None, source: Any, offered: Any) -> Found:
    """Look for the usage of a call that has ended.

    Args:
        read: The `usage=` option. It is given `source` and, where it finds nothing in it, what
            was offered: so one callable does for a response and for a bare usage object.
        source: The returned value, or the last chunk.
        offered: What the returned value offered as its usage.

    Returns:
        The counts, or the future that they depend on, or neither.
    """
    error: Exception | None = None
    if read is not None and source is not None:
        answer, error = _ask(read, source)
        tokens = tokens_of(answer)
        if tokens is not None:
            return Found(tokens)
        if is_future(answer):
            read, offered = None, answer
    if callable(offered) and not iscoroutinefunction(offered):
        offered, error = _ask(offered)
    if is_future(offered):
        if not offered.done():
            return Found(pending=offered)
        if offered.cancelled() or error_of(offered) is not None:
            return Found(failed=True)
        offered = offered.result()
    if read is not None and offered is not None:
        answer, error = _ask(read, offered)
        tokens = tokens_of(answer)
        if tokens is not None:
            return Found(tokens)
    return Found(tokens_of(offered), failed=error is not None, error=error)


def _ask(function: Callable[..., Any], *given: Any) -> tuple[Any, Exception | None]:
    try:
        answer = function(*given)
    except Exception as error:  # noqa: BLE001 - the host's callable may do as it likes
        return None, error
    if iscoroutine(answer):
        answer.close()  # never awaited by us; closed, it does not warn that nobody did
        return None, None
    return answer, None
