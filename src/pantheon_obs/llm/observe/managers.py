"""The methods of objects that give the answer, or a stream of it, later.

An SDK's stream manager sends the request when it is entered; its raw response is parsed when the
application asks for that. The value that they return is then observed in their place. A manager
that returns itself is the answer, which ends when the `with` statement does.
"""

from __future__ import annotations

from functools import partial
from inspect import iscoroutinefunction
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson

from pantheon_obs.core.calls import leave_context
from pantheon_obs.core.context import current_call
from pantheon_obs.core.guard import Guard
from pantheon_obs.llm.observe.streams import closing, record_close
from pantheon_obs.llm.usage.shapes import read

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pantheon_obs.llm.observe.objects import Methods, ObservedClass
    from pantheon_obs.llm.report import LlmCall
    from pantheon_obs.llm.usage.fields import Reported

    Deliver = Callable[[Any, LlmCall], Any]

_guard = Guard("llm raw response")


def manager_methods(deliver: Deliver) -> Methods:
    """Make the table of methods of managers; `deliver` observes the value that they return."""
    enter = partial(_giving, deliver=deliver, starts=True)
    exit_ = partial(closing, record=_record_exit)
    return {
        "__enter__": enter,
        "__aenter__": enter,
        "__await__": partial(_await, deliver=deliver),
        "__exit__": exit_,
        "__aexit__": exit_,
        "__del__": _del,
    }


def raw_methods(deliver: Deliver) -> Methods:
    """Make the table of methods of raw responses, as `manager_methods`."""
    close = partial(closing, record=_record_raw_close)
    return {"parse": partial(_giving, deliver=deliver), "close": close, "__del__": close}


def read_body(http_response: Any, reported: Reported) -> bool:
    """Read the body of a response of httpx's kind; return False if it has not arrived yet."""
    try:
        body = http_response.content
    except Exception:  # noqa: BLE001 - "not read yet" of httpx and httpx2
        return False
    try:
        read(orjson.loads(body), reported)
    except orjson.JSONDecodeError:
        return True  # server-sent events, for example
    return True


def _giving(
    method: Callable[..., Any], observed: ObservedClass, *, deliver: Deliver, starts: bool = False
) -> Callable[..., Any]:
    """Observe a method that returns the answer, async or not; `starts` if it starts the clock."""
    if iscoroutinefunction(method):

        async def observed_async(self: Any, *args: Any, **kwargs: Any) -> Any:
            call = _call_of(observed, self, starts=starts)
            if call is None:
                return await method(self, *args, **kwargs)
            token = current_call.set(call)
            try:
                answer = await method(self, *args, **kwargs)
            except BaseException as error:
                _failed(observed, self, call, error)
                raise
            finally:
                leave_context(token)
            return _given(observed, self, call, answer, deliver)

        return observed_async

    def observed_method(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = _call_of(observed, self, starts=starts)
        if call is None:
            return method(self, *args, **kwargs)
        token = current_call.set(call)
        try:
            answer = method(self, *args, **kwargs)
        except BaseException as error:
            _failed(observed, self, call, error)
            raise
        finally:
            leave_context(token)
        return _given(observed, self, call, answer, deliver)

    return observed_method


def _await(
    method: Callable[[Any], Generator[Any, Any, Any]], observed: ObservedClass, *, deliver: Deliver
) -> Callable[[Any], Generator[Any, Any, Any]]:
    def observed_await(self: Any) -> Generator[Any, Any, Any]:
        call = _call_of(observed, self)
        if call is None:
            return (yield from method(self))
        token = current_call.set(call)
        try:
            answer = yield from method(self)
        except BaseException as error:
            _failed(observed, self, call, error)
            raise
        finally:
            leave_context(token)
        return _given(observed, self, call, answer, deliver)

    return observed_await


def _call_of(observed: ObservedClass, subject: Any, *, starts: bool = False) -> LlmCall | None:
    call = observed.open.get(id(subject))
    if call is not None and starts:
        call.started = perf_counter()
    return call


def _failed(observed: ObservedClass, subject: Any, call: LlmCall, error: BaseException) -> None:
    call.failed(error)
    observed.settle(subject, call)


def _given(
    observed: ObservedClass, subject: Any, call: LlmCall, answer: Any, deliver: Deliver
) -> Any:
    if answer is subject:
        call.reported.content = True
        return answer
    observed.leave(subject)
    return deliver(answer, call)


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


def _del(method: Callable[[Any], None], observed: ObservedClass) -> Callable[[Any], None]:
    def observed_del(self: Any) -> None:
        call = observed.open.pop(id(self), None)
        if call is not None:
            call.end("closed" if call.reported.content else "not_consumed")
            call.settle()
        method(self)

    return observed_del
