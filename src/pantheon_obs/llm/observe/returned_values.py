"""Decide how to observe the value that a call returned: by its type, once per type."""

from __future__ import annotations

from functools import lru_cache, partial
from inspect import isawaitable
from types import AsyncGeneratorType, CoroutineType, GeneratorType, NoneType
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report
from pantheon_obs.llm.observe import deferred, generators
from pantheon_obs.llm.observe.observed_objects import ObservedClass, attributes, keep_source
from pantheon_obs.llm.observe.streams import STREAM
from pantheon_obs.llm.observe.whole_answers import (
    bare_value,
    done,
    list_of_answers,
    read_answer,
    scalar,
    whole_answer,
)
from pantheon_obs.llm.usage.answer import Reported
from pantheon_obs.llm.usage.fields import Memo
from pantheon_obs.llm.usage.sources import attached_usage, is_future, is_pending

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.report import LlmCall

    Handler = Callable[[Any, LlmCall], Any]


def deliver(result: Any, call: LlmCall) -> Any:
    """Observe a returned value until the call ends; return it, or one that behaves the same."""
    try:
        return _handler_of[type(result)](result, call)
    except Exception as error:  # noqa: BLE001 - the guard, in a place that must return a value
        report("llm result", error)
        return done(result, call)


# Bounded: a function may make a new class on each call.
_stream_class = lru_cache(maxsize=512)(partial(ObservedClass, methods=STREAM))
_manager_class = lru_cache(maxsize=128)(
    partial(ObservedClass, methods=deferred.manager_methods(deliver))
)
_raw_class = lru_cache(maxsize=128)(partial(ObservedClass, methods=deferred.raw_methods(deliver)))
_body_class = lru_cache(maxsize=128)(partial(ObservedClass, methods=deferred.BODY))


# --- results that come in chunks
def _generator(result: Any, call: LlmCall) -> Any:
    if isawaitable(result):  # of a function decorated with `types.coroutine`
        return _coroutine(result, call)
    call.begin_stream()
    return _named_as(result, generators.observe_generator(result, generators.CallFinalizer(call)))


def _async_generator(result: Any, call: LlmCall) -> Any:
    call.begin_stream()
    return _named_as(
        result, generators.observe_async_generator(result, generators.CallFinalizer(call))
    )


def _stream(result: Any, call: LlmCall) -> Any:
    if _observe(result, call, _stream_class):
        call.begin_stream()
        keep_source(result, call)
    return result


def _observe(result: Any, call: LlmCall, observed_class: Callable[[type], ObservedClass]) -> bool:
    """Observe an object's methods; if its class cannot be replaced, end the call."""
    kind: Any = type(result)
    try:
        observed_class(kind).enter(result, call)
    except Exception:  # noqa: BLE001 - the making of a subclass runs code of the class
        bare_value(result, call)
        return False
    return True


def _stream_handler_of(item: Any) -> Handler | None:
    handler = _handler_of[type(item)]
    return handler if handler in (_generator, _async_generator, _stream, _body) else None


def _tuple(result: Any, call: LlmCall) -> Any:
    """Observe a stream with its usage: `(stream, usage_future)` or a named tuple."""
    for index, item in enumerate(result):
        handler = _stream_handler_of(item)
        if handler is not None:
            others = (*result[:index], *result[index + 1 :])
            call.attached = next(
                (other for other in others if is_future(other) or callable(other)),
                others[-1] if others else None,
            )
            observed = handler(item, call)
            if observed is item:
                return result
            items = (*result[:index], observed, *result[index + 1 :])
            return tuple.__new__(type(result), items)
    return whole_answer(result, call)


def _mapping(result: Any, call: LlmCall) -> Any:
    """Observe a response, or the stream or body within one, as boto3 returns it."""
    complete = read_answer(result, call)
    for name, item in result.items():
        handler = _stream_handler_of(item)
        if handler is not None and (handler is _body or not complete):
            call.reported = call.reported if handler is _body else Reported()
            observed = handler(item, call)
            if observed is not item:
                dict.__setitem__(result, name, observed)
            return result
    return done(result, call, None if complete else result)


def _body(result: Any, call: LlmCall) -> Any:
    """End the call, and report it when the application has read the body, which has the usage."""
    call.end("ok")
    _observe(result, call, _body_class)
    return result


def _object(result: Any, call: LlmCall) -> Any:
    """Observe a response, or an object that has a stream if its usage is still pending."""
    if read_answer(result, call):
        return done(result, call)
    call.reported = Reported()
    return _response(result, call, attached_usage(result), whole_answer)


def _iterable_container(result: Any, call: LlmCall) -> Any:
    """Observe a container; with a usage future, its own iteration may be the stream."""
    attached = attached_usage(result)
    return _response(result, call, attached, _stream if is_future(attached) else whole_answer)


def _response(result: Any, call: LlmCall, attached: Any, otherwise: Handler) -> Any:
    if is_pending(result, attached):
        for item, replace in attributes(result):
            handler = _stream_handler_of(item)
            if handler is not None:
                keep_source(result, call)
                observed = handler(item, call)
                if observed is not item:
                    replace(observed)
                return result
    return otherwise(result, call)


# --- results that give the answer later
def _manager(result: Any, call: LlmCall) -> Any:
    """Observe an object that is entered first, unless it is a response that cleans up."""
    return (_object if is_pending(result, None) else _entered)(result, call)


def _entered(result: Any, call: LlmCall) -> Any:
    _observe(result, call, _manager_class)
    return result


def _raw_response(result: Any, call: LlmCall) -> Any:
    """Observe an HTTP response that the SDK has not parsed yet."""
    if deferred.read_body(result.http_response, call.reported):
        return done(result, call, result)
    _observe(result, call, _raw_class)
    return result


def _coroutine(result: Any, call: LlmCall) -> Any:
    return _named_as(
        result,
        deferred.await_and_deliver(result, deferred.CoroutineFinalizer(call, result), deliver),
    )


def _future(result: Any, call: LlmCall) -> Any:
    """Read a future's result when it is done; it cannot be replaced."""
    result.add_done_callback(deferred.FutureFinalizer(call, whole_answer).done)
    return result


def _named_as(original: Any, observed: Any) -> Any:
    observed.__name__ = original.__name__
    observed.__qualname__ = original.__qualname__
    return observed


# --- the handler of a type: by its bases, else by its methods; the first row that fits

_BY_BASE: tuple[tuple[type | tuple[type, ...], Handler], ...] = (
    (GeneratorType, _generator),
    (AsyncGeneratorType, _async_generator),
    (CoroutineType, _coroutine),
    (tuple, _tuple),
    (dict, _mapping),
    ((str, int, float, NoneType), scalar),
    (list, list_of_answers),
    ((bytes, set, frozenset), bare_value),
)
_BY_METHODS: tuple[tuple[tuple[str, ...], Handler], ...] = (
    (("read", "iter_chunks", "iter_lines"), _body),  # of a response of botocore's
    (("__next__",), _stream),
    (("__anext__",), _stream),
    (("__aiter__",), _stream),
    (("add_done_callback",), _future),
    (("__await__",), _entered),
    (("http_request", "parse"), _raw_response),
)
# A class with one of these is a container: iterating it yields its parts, not chunks of an answer.
_CONTAINER_MARKS = ("__len__", "__getitem__", "__dataclass_fields__")
# A class with one of these is a model of pydantic 2 or 1: iterating it yields its fields.
_MODEL_MARKS = ("__pydantic_fields__", "__fields__")
# A class with one of these is a resource, an image for example, that a `with` only closes.
_RESOURCE_MARKS = ("close", "aclose")


def _choose_handler(kind: Any) -> Handler:
    def has_any(*names: str) -> bool:
        return any(hasattr(kind, name) for name in names)

    for bases, handler in _BY_BASE:
        if issubclass(kind, bases):
            return handler
    if kind.__module__ == "unittest.mock":
        return bare_value  # a mock has every method, whatever it stands for
    for names, handler in _BY_METHODS:
        if all(hasattr(kind, name) for name in names):
            return handler
    if hasattr(kind, "__iter__") and not has_any(*_MODEL_MARKS):
        return _iterable_container if has_any(*_CONTAINER_MARKS) else _stream
    is_entered = has_any("__enter__", "__aenter__") and not has_any(*_RESOURCE_MARKS)
    return _manager if is_entered else _object


_handler_of = Memo(_choose_handler)
