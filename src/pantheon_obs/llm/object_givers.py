"""The methods of objects that give the answer, or a stream of it, later.

An SDK's stream manager sends the request when it is entered; its raw response is parsed when the
host asks for that. What they give is observed in their stead. An object that gives itself is the
answer, and lasts until it is left.
"""

from __future__ import annotations

from functools import partial
from inspect import iscoroutinefunction
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import current_call
from pantheon_obs.core.guard import Guard
from pantheon_obs.llm.nesting import leave
from pantheon_obs.llm.object_methods import closing, left
from pantheon_obs.llm.raw_bodies import read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pantheon_obs.llm.lifecycle import LlmCall
    from pantheon_obs.llm.objects import Methods, Swap
    from pantheon_obs.llm.parts import HostValue

_guard = Guard("llm raw response")


def _gives(method: Callable[..., Any], swap: Swap, *, starts: bool = False) -> Callable[..., Any]:
    """For a method that gives the answer, async or not; `starts` if that begins the call."""
    if iscoroutinefunction(method):

        async def observed_async(
            self: HostValue, *args: HostValue, **kwargs: HostValue
        ) -> HostValue:
            call = _called(swap, self, starts=starts)
            if call is None:
                return await method(self, *args, **kwargs)
            token = current_call.set(call)
            try:
                answer = await method(self, *args, **kwargs)
            except BaseException as error:
                _failed(swap, self, call, error)
                raise
            finally:
                leave(token)
            return _given(swap, self, call, answer)

        return observed_async

    def observed(self: HostValue, *args: HostValue, **kwargs: HostValue) -> HostValue:
        call = _called(swap, self, starts=starts)
        if call is None:
            return method(self, *args, **kwargs)
        token = current_call.set(call)
        try:
            answer = method(self, *args, **kwargs)
        except BaseException as error:
            _failed(swap, self, call, error)
            raise
        finally:
            leave(token)
        return _given(swap, self, call, answer)

    return observed


def _await(
    method: Callable[[Any], Generator[Any, Any, Any]], swap: Swap
) -> Callable[[Any], Generator[Any, Any, Any]]:
    def observed(self: HostValue) -> Generator[Any, Any, Any]:
        call = _called(swap, self)
        if call is None:
            return (yield from method(self))
        token = current_call.set(call)
        try:
            answer = yield from method(self)
        except BaseException as error:
            _failed(swap, self, call, error)
            raise
        finally:
            leave(token)
        return _given(swap, self, call, answer)

    return observed


def _called(swap: Swap, subject: HostValue, *, starts: bool = False) -> LlmCall | None:
    call = swap.open.get(id(subject))
    if call is not None and starts:
        call.started = perf_counter()
    return call


def _failed(swap: Swap, subject: HostValue, call: LlmCall, error: BaseException) -> None:
    call.failed(error)
    swap.settle(subject, call)


def _given(swap: Swap, subject: HostValue, call: LlmCall, answer: HostValue) -> HostValue:
    from pantheon_obs.llm.results import deliver  # noqa: PLC0415 - it needs this module, too

    if answer is subject:
        call.seen.content = True
        return answer
    swap.leave(subject)
    return deliver(answer, call)


def _exited(
    call: LlmCall, subject: HostValue, kind: object = None, error: object = None, *_: object
) -> None:
    """The consumer is done with what has given itself."""
    if error is None:
        call.end("ok")
    else:
        left(call, subject, kind, error)


def _raw_closed(call: LlmCall, subject: HostValue) -> None:
    """The consumer is done with a raw response: what was read of it tells how."""
    with _guard:
        if subject.http_response.is_closed:  # it was read to its end, and closed itself
            read_body(subject.http_response, call.seen)
            call.end("ok")
    call.left()


def _del(method: Callable[[Any], None], swap: Swap) -> Callable[[Any], None]:
    def observed(self: HostValue) -> None:
        call = swap.open.pop(id(self), None)
        if call is not None:
            call.end("closed" if call.seen.content else "not_consumed")
            call.settle()
        method(self)

    return observed


_exit = partial(closing, tell=_exited)
_close = partial(closing, tell=_raw_closed)

MANAGER: Methods = {
    "__enter__": partial(_gives, starts=True),
    "__aenter__": partial(_gives, starts=True),
    "__await__": _await,
    "__exit__": _exit,
    "__aexit__": _exit,
    "__del__": _del,
}

RAW: Methods = {
    "parse": _gives,
    "close": _close,
    "__del__": _close,
}
