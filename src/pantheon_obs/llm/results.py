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

from pantheon_obs.core.guard import report
from pantheon_obs.llm.awaitables import FutureHold, Unawaited, awaited
from pantheon_obs.llm.holds import Hold
from pantheon_obs.llm.objects import observe_manager, observe_raw, observe_stream
from pantheon_obs.llm.parts import has
from pantheon_obs.llm.raw_bodies import read_body
from pantheon_obs.llm.sources import NAMES, handed_over, is_future, is_to_come
from pantheon_obs.llm.streams import observe_async_generator, observe_generator
from pantheon_obs.llm.usage import Seen, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.llm.lifecycle import LlmCall
    from pantheon_obs.llm.parts import HostValue

    Handler = Callable[[HostValue, LlmCall], HostValue]

# A class with one of these gives its own parts when it is iterated, not the chunks of an answer.
_CONTAINER_MARKS = ("__len__", "__getitem__", "__dataclass_fields__")
# One with one of these is there already, an image for example: a `with` only closes it.
_RESOURCE_MARKS = ("close", "aclose")


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


def _bare_value(result: HostValue, call: LlmCall) -> HostValue:
    """An answer that says nothing of the call, unless to the `usage=` option."""
    call.end("ok")
    call.settle(None if call.options.usage is None else result)
    return result


def _value(result: HostValue, call: LlmCall) -> HostValue:
    """An answer in one piece."""
    told = _tells_all(result, call)
    call.end("ok")
    call.settle(None if told else result)
    return result


def _tells_all(result: HostValue, call: LlmCall) -> bool:
    """Read an answer; whether nothing remains to be found out about its usage."""
    call.seen.content = True  # all of it: not to be looked for
    try:
        if isinstance(result, tuple):
            for value in result:
                read(value, call.seen)
        else:
            read(result, call.seen)
    except Exception as error:  # noqa: BLE001 - the guard, without its cost per call
        report("llm result", error)
    return call.options.usage is None and call.seen.usage_status == "reported"


# --- what is read piece by piece


def _generator(result: HostValue, call: LlmCall) -> HostValue:
    if isawaitable(result):  # of a function decorated with `types.coroutine`
        return _coroutine(result, call)
    call.begin_stream()
    return _named_as(result, observe_generator(result, Hold(call)))


def _async_generator(result: HostValue, call: LlmCall) -> HostValue:
    call.begin_stream()
    return _named_as(result, observe_async_generator(result, Hold(call)))


def _stream(result: HostValue, call: LlmCall) -> HostValue:
    call.begin_stream()
    _remember(result, call)
    return observe_stream(result, call)


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
                (other for other in others if is_future(other) or callable(other)),
                others[-1] if others else None,
            )
            observed = handler(item, call)
            if observed is item:
                return result
            items = (*result[:index], observed, *result[index + 1 :])
            return tuple.__new__(type(result), items)
    return _value(result, call)


def _object(result: HostValue, call: LlmCall) -> HostValue:
    """A response; or, if its usage is still to come, perhaps the holder of a stream."""
    if _tells_all(result, call):
        call.end("ok")
        call.settle()
        return result
    call.seen = Seen()
    return _response(result, call, handed_over(result), _value)


def _manager(result: HostValue, call: LlmCall) -> HostValue:
    """What is entered before it gives anything; or a response with some cleaning up to do."""
    if any(has(result, name) for name in NAMES):
        return _object(result, call)
    return observe_manager(result, call)


def _raw_response(result: HostValue, call: LlmCall) -> HostValue:
    """An HTTP response that an SDK has yet to parse."""
    if not read_body(result.http_response, call.seen):
        return observe_raw(result, call)
    call.end("ok")
    call.settle(result)
    return result


def _iterable_container(result: HostValue, call: LlmCall) -> HostValue:
    """The same; but if it has a usage future, its own iteration may be the stream."""
    offered = handed_over(result)
    return _response(result, call, offered, _stream if is_future(offered) else _value)


def _response(
    result: HostValue, call: LlmCall, offered: HostValue, otherwise: Handler
) -> HostValue:
    if is_to_come(result, offered):
        for item, replace in _attributes(result):
            handler = _stream_handler_of(item)
            if handler is not None:
                _remember(result, call)
                observed = handler(item, call)
                if observed is not item:
                    replace(observed)
                return result
    return otherwise(result, call)


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
    return _named_as(result, awaited(result, Unawaited(call, result), deliver))


def _future(result: HostValue, call: LlmCall) -> HostValue:
    """The very future: what it will give cannot be replaced, so it is read when it is there."""
    result.add_done_callback(FutureHold(call, _value).done)
    return result


def _named_as(original: HostValue, observed: HostValue) -> HostValue:
    observed.__name__ = original.__name__
    observed.__qualname__ = original.__qualname__
    return observed


# --- which of them


# The first that the type derives from decides, …
_OF_TYPE: tuple[tuple[type | tuple[type, ...], Handler], ...] = (
    (GeneratorType, _generator),
    (AsyncGeneratorType, _async_generator),
    (CoroutineType, _coroutine),
    (tuple, _tuple),
    (dict, _value),
    ((str, bytes, int, float, NoneType, list, set, frozenset), _bare_value),
)
# … else the first of its methods.
_OF_METHOD: tuple[tuple[str, Handler], ...] = (
    ("__next__", _stream),
    ("__anext__", _stream),
    ("__aiter__", _stream),
    ("add_done_callback", _future),
    ("__await__", observe_manager),
)


@lru_cache(maxsize=1024)  # bounded: a class that a function makes anew each time must not pile up
def _handler_of(kind: HostValue) -> Handler:
    for bases, handler in _OF_TYPE:
        if issubclass(kind, bases):
            return handler
    if kind.__module__ == "unittest.mock":
        return _bare_value  # it has every method, which says nothing of what it stands for
    for method, handler in _OF_METHOD:
        if hasattr(kind, method):
            return handler
    if hasattr(kind, "http_request") and hasattr(kind, "parse"):
        return _raw_response
    if hasattr(kind, "__iter__") and not hasattr(kind, "__pydantic_fields__"):
        container = any(hasattr(kind, mark) for mark in _CONTAINER_MARKS)
        return _iterable_container if container else _stream
    entered = hasattr(kind, "__enter__") or hasattr(kind, "__aenter__")
    resource = any(hasattr(kind, mark) for mark in _RESOURCE_MARKS)
    return _manager if entered and not resource else _object
