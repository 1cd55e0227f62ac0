"""Coroutines, futures, and objects that give the answer, or a stream of it, later.

An SDK's stream manager sends the request when it is entered; its raw response is parsed when the
application asks for that. The value that they return is then observed in their place. A manager
that returns itself is the answer, which ends when the `with` statement does.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard
from pantheon_obs.llm.cost.budget_checks import admit, catch_up
from pantheon_obs.llm.nesting import OwnCode
from pantheon_obs.llm.observe.generators import CallFinalizer
from pantheon_obs.llm.observe.streams import closing, dropping, observed_method, record_close
from pantheon_obs.llm.usage.shapes import read_json
from pantheon_obs.llm.usage.sources import attached_usage, counts_on, error_of, usage_so_far

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import CoroutineType

    from pantheon_obs.llm.observe.observed_objects import Methods, ObservedClass
    from pantheon_obs.llm.report import LlmCall
    from pantheon_obs.llm.usage.answer import Reported

    Deliver = Callable[[Any, LlmCall], Any]
    Method = Callable[..., Any]

_guard_future = Guard("llm future")
_guard = Guard("llm raw response")


async def await_and_deliver(
    coroutine: CoroutineType[Any, Any, Any], finalizer: CoroutineFinalizer, deliver: Deliver
) -> Any:
    """Await the application's coroutine, and let `deliver` observe its result."""
    call = finalizer.call
    finalizer.coroutine = None
    if call.awaited:
        try:
            await admit(call)
        except BaseException:
            coroutine.close()  # else Python warns that it was never awaited
            raise
    with OwnCode(call):
        result = await coroutine
    result = deliver(result, call)
    if call.awaited:
        await catch_up(call)
    return result


class CoroutineFinalizer:
    """Ends a call when its coroutine is garbage-collected without being awaited."""

    __slots__ = ("call", "coroutine")

    def __init__(self, call: LlmCall, coroutine: Any) -> None:
        self.call = call
        self.coroutine = coroutine

    def __del__(self) -> None:
        if self.coroutine is not None:
            self.call.end("not_consumed")
            self.call.settle()
            self.coroutine.close()  # Python warns about our coroutine: one warning is enough


class FutureFinalizer(CallFinalizer):
    """Ends a call when its future is done or garbage-collected: the future's callback."""

    __slots__ = ("answer",)

    def __init__(self, call: LlmCall, answer: Deliver) -> None:
        super().__init__(call)
        self.answer = answer

    def done(self, future: Any) -> None:
        """The future has a result or an exception, or was cancelled."""
        with _guard_future:
            if future.cancelled():
                self.call.end("cancelled", "CancelledError")
            elif (error := error_of(future)) is not None:
                self.call.failed(error)
            else:
                self.answer(future.result(), self.call)
                return
            self.call.settle()


def manager_methods(deliver: Deliver) -> Methods:
    """Make the table of methods of managers; `deliver` observes the value that they return."""
    end = partial(_given, deliver=deliver)
    enter = partial(observed_method, begin=_restart, end=end, sends=True)
    exit_ = partial(closing, begin=_record_exit)
    return {
        "__enter__": enter,
        "__aenter__": enter,
        "__await__": partial(_await, end=end),
        "__exit__": exit_,
        "__aexit__": exit_,
        "__del__": _drop,
    }


def raw_methods(deliver: Deliver) -> Methods:
    """Make the table of methods of raw responses, as `manager_methods`."""
    parse = partial(observed_method, end=partial(_given, deliver=deliver))
    close = partial(closing, begin=_record_raw_close)
    return {"parse": parse, "close": close, "__del__": close}


def _body_read(observed: ObservedClass, body: Any, call: LlmCall, data: Any) -> Any:
    """Report a body that was read in one piece, or the end of one that was read in several."""
    with _guard:
        if not data or (isinstance(data, bytes) and read_json(data, call.reported)):
            observed.settle(body, call)
    return data


def read_body(http_response: Any, reported: Reported) -> bool:
    """Read the body of a response of httpx's kind; return False if it has not arrived yet."""
    try:
        body = http_response.content
    except Exception:  # noqa: BLE001 - "not read yet" of httpx and httpx2
        return False
    read_json(body, reported)
    return True


def _end_dropped(call: LlmCall, _subject: Any) -> None:
    call.end("closed" if call.reported.content else "not_consumed")
    call.settle()


_drop = partial(dropping, end=_end_dropped)

BODY: Methods = {
    "read": partial(observed_method, end=_body_read),
    "close": closing,
    "__exit__": closing,
    "__aexit__": closing,
    "__del__": _drop,
}


def _await(method: Method, observed: ObservedClass, *, end: Method) -> Method:
    def observed_await(self: Any) -> Generator[Any, Any, Any]:
        call = observed.open.get(id(self))
        if call is None:
            return (yield from method(self))
        with OwnCode(call, partial(observed.settle, self, call)):
            answer = yield from method(self)
        return end(observed, self, call, answer)

    return observed_await


def _restart(call: LlmCall, *_: object) -> None:
    call.started = perf_counter()


def _given(
    observed: ObservedClass, subject: Any, call: LlmCall, answer: Any, *, deliver: Deliver
) -> Any:
    """Observe the value that a manager or a raw response has returned, in its place."""
    if answer is subject:
        call.reported.content = True
        return answer
    if counts_on(attached_usage(answer)) and not _iterates(answer):
        # It counts while the application reads by methods of its own, within the `with`.
        call.reported.content = True
        call.attached = partial(usage_so_far, answer)
        return answer
    observed.leave(subject)
    return deliver(answer, call)


def _iterates(answer: Any) -> bool:
    return any(hasattr(type(answer), name) for name in ("__next__", "__anext__", "__aiter__"))


def _record_exit(
    call: LlmCall, subject: Any, kind: object = None, error: object = None, *_: object
) -> None:
    """Record the end of a manager that has returned itself."""
    if error is None:
        call.end("ok")
    else:
        record_close(call, subject, kind, error)


def _record_raw_close(call: LlmCall, subject: Any) -> None:
    """Record the end of a raw response: `ok` if its body was read to the end."""
    with _guard:
        if subject.http_response.is_closed:  # it closes itself at the end of its body
            read_body(subject.http_response, call.reported)
            call.end("ok")
    call.abandoned()
