"""Find a call's usage where no shape has it: in a future, a callable, an option, an exception."""

from __future__ import annotations

from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from pantheon_obs.llm.usage.answer import Reported, as_count
from pantheon_obs.llm.usage.fields import class_fields, field, has
from pantheon_obs.llm.usage.shapes import MESSAGES, first, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    UsageReader = Callable[[Any], object]

_NAMES = ("usage_future", "usage")
_PAIR = 2  # (input, output), as a `usage=` callable may return it


class Found(NamedTuple):
    """The result of a search for the usage."""

    tokens: Reported | None = None
    pending: Any = None  # the future that they depend on, if it is not done yet
    read: UsageReader | None = None  # the `usage=` option, if it has yet to read that
    failed: bool = False  # a future or callable failed to give them
    error: Exception | None = None  # of a callable, for the guard's report


def is_future(value: Any) -> bool:
    """Whether this is a future or task of asyncio's or a thread pool's, or looks like one."""
    kind: Any = type(value)
    return "add_done_callback" in class_fields[kind]


def error_of(future: Any) -> BaseException | None:
    """Return the exception of a future that is done and not cancelled.

    `exception()` would signal to asyncio that the application has retrieved it, and so suppress the
    log line "Task exception was never retrieved".
    """
    return future._exception if hasattr(future, "_exception") else future.exception()  # type: ignore[no-any-return] # noqa: SLF001


def attached_usage(source: Any) -> Any:
    """Return the usage that an object carries: a future, a callable, a value, or None."""
    for name in _NAMES:
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
        return any(has(source, name) for name in _NAMES)
    return is_future(attached) or callable(attached)


def counts_on(usage: Any) -> bool:
    """Whether a usage counts while the answer is read: a method, or counts that have not begun."""
    if callable(usage):
        return not is_future(usage)
    tokens = tokens_of(None if is_future(usage) else usage)
    return tokens is not None and _begun(tokens) is None


def usage_so_far(source: Any) -> Any:
    """Return the usage of an object as it is now; a property may have given an earlier one."""
    usage = attached_usage(source)
    return usage() if callable(usage) else usage


def find_usage(read: UsageReader | None, source: Any, attached: Any, *, complete: bool) -> Found:
    """Look for the usage of a call that has ended.

    The `usage=` option may `read` the returned value or last chunk, else the usage `attached` to
    it. Until the answer is `complete`, nothing attached is called: it might read the rest of a
    stream that the consumer has left.
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
    is_method = callable(attached)
    if is_method:
        attached, error = _call(attached) if complete else (None, None)
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
    tokens = tokens_of(attached)
    return Found(_begun(tokens) if is_method else tokens, failed=error is not None, error=error)


def _begun(tokens: Reported | None) -> Reported | None:
    """Return counts once one of them is above 0."""
    return tokens if tokens and (tokens.input_tokens or tokens.output_tokens) else None


def _call(function: Callable[..., object], *args: Any) -> tuple[Any, Exception | None]:
    try:
        answer = function(*args)
    except Exception as error:  # noqa: BLE001 - the application's callable may raise anything
        return None, error
    if iscoroutine(answer):
        answer.close()  # we never await it; once closed, Python does not warn about that
        return None, None
    return answer, None


def tokens_of(value: Any) -> Reported | None:
    """Return the counts in a response, a usage object or an `(input, output)` pair, if any."""
    if value is None:
        return None
    reported = Reported()
    if type(value) is tuple:
        if len(value) == _PAIR:
            reported.input_tokens, reported.output_tokens = as_count(value[0]), as_count(value[1])
    else:
        read(value, reported)
    return None if reported.usage_status == "missing" else reported


def read_billed(error: BaseException, reported: Reported, *, in_frames: bool) -> None:
    """Read the answer that an exception carries, else that in the frames through which it came.

    An SDK's `parse()` raises if an answer was cut or does not fit, and some of its exceptions do
    not carry the answer. A gateway raises its own exception from that. `in_frames` must be False
    for the application's own frames: these may contain the answers of other calls.
    """
    for each in _causes_of(error):
        for value in [*vars(each).values(), *(_locals_of(each) if in_frames else ())]:
            if _has_usage(value):
                read(value, reported)
                return


def _causes_of(error: BaseException) -> list[BaseException]:
    """Return an exception, and those that it was raised from."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and cause not in causes:
        causes.append(cause)
    return causes


def _locals_of(error: BaseException) -> Iterator[Any]:
    traceback = error.__traceback__
    while traceback is not None:
        yield from traceback.tb_frame.f_locals.values()
        traceback = traceback.tb_next


def _has_usage(value: Any) -> bool:
    """Whether a value is an answer that has counted tokens; an SDK may hold an empty one."""
    trial = Reported()
    if first(MESSAGES, value, trial) is False:
        return False
    read(value, trial)
    return _begun(trial) is not None
