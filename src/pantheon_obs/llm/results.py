"""What to do with the value that a call came back with: decided by its type, once per type."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache, partial
from inspect import isawaitable
from types import (
    AsyncGeneratorType,
    CoroutineType,
    GeneratorType,
    MemberDescriptorType,
    NoneType,
)
from typing import TYPE_CHECKING, Any
from weakref import ref

from pantheon_obs.core.guard import Guard, report
from pantheon_obs.llm.holds import Hold
from pantheon_obs.llm.objects import observe_object
from pantheon_obs.llm.parts import part
from pantheon_obs.llm.sources import error_of, handed_over, is_future, is_to_come
from pantheon_obs.llm.streams import observe_async_generator, observe_generator
from pantheon_obs.llm.usage import read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from pantheon_obs.llm.lifecycle import LlmCall
    from pantheon_obs.llm.parts import HostValue

    Handler = Callable[[HostValue, LlmCall], HostValue]

_guard = Guard("llm result")
_PLAIN = (str, bytes, int, float, NoneType, list, dict, set, frozenset)
# A class with one of these gives its own parts when it is iterated, not the chunks of an answer.
_CONTAINER_MARKS = ("__len__", "__getitem__", "__pydantic_fields__", "__dataclass_fields__")


def deliver(result: HostValue, call: LlmCall) -> HostValue:
    """Observe what a call gave until it ends.

    Args:
        result: What the host's function returned.
        call: The call.

    Returns:
        What the host shall get: the same object, or one that does not differ from it in type or
        behaviour.
    """
    kind: HostValue = type(result)
    try:
        return _handler_of(kind)(result, call)
    except Exception as error:  # noqa: BLE001 - the guard, in a place that must return a value
        report("llm result", error)
        call.end("ok")
        call.settle()
        return result


def _value(result: HostValue, call: LlmCall) -> HostValue:
    call.end("ok")
    try:
        for value in result if isinstance(result, tuple) else (result,):
            read(value, call.seen)
    except Exception as error:  # noqa: BLE001 - the guard, without its cost per call
        report("llm result", error)
    found = call.options.usage is None and call.seen.usage_status == "reported"
    call.settle(None if found else result)
    return result


# --- what is read piece by piece


def _generator(result: HostValue, call: LlmCall) -> HostValue:
    if isawaitable(result):  # of a function decorated with `types.coroutine`
        return _coroutine(result, call)
    call.streamed = True
    return _named_as(result, observe_generator(result, Hold(call)))


def _async_generator(result: HostValue, call: LlmCall) -> HostValue:
    call.streamed = True
    return _named_as(result, observe_async_generator(result, Hold(call)))


def _stream(result: HostValue, call: LlmCall) -> HostValue:
    call.streamed = True
    _remember(result, call)
    return observe_object(result, call)


def _stream_handler_of(item: HostValue) -> Handler | None:
    kind: HostValue = type(item)
    handler = _handler_of(kind)
    return handler if handler in (_generator, _async_generator, _stream) else None


def _tuple(result: HostValue, call: LlmCall) -> HostValue:
    """A stream and its usage, as `(stream, usage_future)` or a named tuple."""
    for index, item in enumerate(result):
        handler = _stream_handler_of(item)
        if handler is not None:
            others = (*result[:index], *result[index + 1 :])
            call.offered = next(
                (other for other in others if is_future(other) or callable(other)), None
            )
            observed = handler(item, call)
            if observed is item:
                return result
            items = (*result[:index], observed, *result[index + 1 :])
            return tuple.__new__(type(result), items)
    return _value(result, call)


def _object(result: HostValue, call: LlmCall) -> HostValue:
    """A response; or, if its usage is still to come, perhaps the holder of a stream."""
    if is_to_come(result):
        for item, replace in _attributes(result):
            handler = _stream_handler_of(item)
            if handler is not None:
                _remember(result, call)
                observed = handler(item, call)
                if observed is not item:
                    replace(observed)
                return result
    return _value(result, call)


def _iterable_container(result: HostValue, call: LlmCall) -> HostValue:
    to_come = is_future(part(result, "usage_future"))
    return _stream(result, call) if to_come else _object(result, call)


def _remember(source: HostValue, call: LlmCall) -> None:
    """Note where the usage will be; only weakly, for letting the source go is an end."""
    if call.offered is None:
        offered = handed_over(source)
        call.offered = offered if is_future(offered) else None
    if call.source is None and hasattr(type(source), "__weakref__"):
        call.source = ref(source)


def _attributes(holder: HostValue) -> Iterator[tuple[Any, Callable[[Any], None]]]:
    """An object's attributes, each with what replaces it, be the object frozen or not."""
    own: dict[str, Any] = getattr(holder, "__dict__", {})
    for name, value in own.items():
        yield value, partial(own.__setitem__, name)
    for base in type(holder).__mro__:
        for member in vars(base).values():
            if isinstance(member, MemberDescriptorType):
                with suppress(AttributeError):  # a slot that nobody has filled
                    yield member.__get__(holder), partial(member.__set__, holder)


# --- what is awaited


def _coroutine(result: HostValue, call: LlmCall) -> HostValue:
    return _named_as(result, _awaited(result, _Unawaited(call, result)))


async def _awaited(coroutine: Awaitable[Any], hold: _Unawaited) -> HostValue:
    call = hold.call
    hold.coroutine = None
    try:
        result = await coroutine
    except BaseException as error:
        call.failed(error)
        call.settle()
        raise
    return deliver(result, call)


class _Unawaited:
    """Held by the coroutine that stands in for the host's, until it is awaited."""

    __slots__ = ("call", "coroutine")

    def __init__(self, call: LlmCall, coroutine: HostValue) -> None:
        self.call = call
        self.coroutine = coroutine

    def __del__(self) -> None:
        if self.coroutine is not None:
            self.call.end("not_consumed")
            self.call.settle()
            self.coroutine.close()  # Python warns that nobody awaited it: once is enough


def _future(result: HostValue, call: LlmCall) -> HostValue:
    """The very future: what it will give cannot be replaced, so it is read when it is there."""
    result.add_done_callback(_FutureHold(call).done)
    return result


class _FutureHold(Hold):
    """Held by the future that the host got, as a callback."""

    __slots__ = ()

    def done(self, future: HostValue) -> None:
        with _guard:
            if future.cancelled():
                self.call.end("cancelled", "CancelledError")
            elif (error := error_of(future)) is not None:
                self.call.failed(error)
            else:
                _value(future.result(), self.call)
            self.call.settle()


def _named_as(original: HostValue, observed: HostValue) -> HostValue:
    observed.__name__ = original.__name__
    observed.__qualname__ = original.__qualname__
    return observed


# --- which of them


_OF_TYPE: dict[type, Handler] = {
    GeneratorType: _generator,
    AsyncGeneratorType: _async_generator,
    CoroutineType: _coroutine,
}
# The first method that a class has decides.
_OF_METHOD: tuple[tuple[str, Handler], ...] = (
    ("__next__", _stream),
    ("__anext__", _stream),
    ("__aiter__", _stream),
    ("add_done_callback", _future),
    ("__await__", observe_object),
)


@lru_cache(maxsize=1024)  # bounded: a class that a function makes anew each time must not pile up
def _handler_of(kind: HostValue) -> Handler:
    if kind in _OF_TYPE:
        return _OF_TYPE[kind]
    if issubclass(kind, tuple):
        return _tuple
    if issubclass(kind, _PLAIN) or kind.__module__ == "unittest.mock":
        return _value  # a mock has every method, which says nothing of what it stands for
    for method, handler in _OF_METHOD:
        if hasattr(kind, method):
            return handler
    if hasattr(kind, "__iter__"):
        container = any(hasattr(kind, mark) for mark in _CONTAINER_MARKS)
        return _iterable_container if container else _stream
    return _object
