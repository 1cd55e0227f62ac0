"""`llm_call`: observe LLM calls with a decorator or a `with` statement."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pantheon_obs.core.calls import leave_context
from pantheon_obs.core.context import current_call
from pantheon_obs.core.errors import refuse
from pantheon_obs.core.switch import is_off
from pantheon_obs.llm.cost.budget_checks import admit, catch_up
from pantheon_obs.llm.cost.call_cost import pricing_of
from pantheon_obs.llm.cost.price_list_loader import loader
from pantheon_obs.llm.hosts import place_finder
from pantheon_obs.llm.observe import generators
from pantheon_obs.llm.observe.returned_values import deliver
from pantheon_obs.llm.options import CallOptions, alias_finder, name_of, refuse_unless_names
from pantheon_obs.llm.report import LlmCall
from pantheon_obs.llm.with_block import LlmCallHandle, WithBlock, end_block

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.cost.call_cost import Prices

    Starter = Callable[[tuple[Any, ...], dict[str, Any]], LlmCall]

Decorated = TypeVar(
    "Decorated", bound="Callable[..., Any] | staticmethod[..., Any] | classmethod[Any, ..., Any]"
)

# The attribute of a decorated function; `functools.wraps` copies it to wrappers around that.
OBSERVED = "_pantheon_obs_llm_call"


def has_observer(function: object) -> bool:
    """Whether the calls of a function are observed already."""
    return getattr(function, OBSERVED, None) is True


@overload
def llm_call(function: Decorated, /) -> Decorated: ...


@overload
def llm_call(
    *,
    model: str | Callable[..., str | None] | None = None,
    operation: str | None = None,
    provider: str | None = None,
    usage: Callable[[Any], object] | None = None,
    prices: Prices | None = None,
) -> LlmCallObserver: ...


def llm_call(  # noqa: PLR0913 - options, each with a name and a default
    function: Any = None,
    /,
    *,
    model: str | Callable[..., str | None] | None = None,
    operation: str | None = None,
    provider: str | None = None,
    usage: Callable[[Any], object] | None = None,
    prices: Prices | None = None,
) -> Any:
    """Time and count LLM calls: one `llm.<operation>` event for each, however it ends.

    Decorates functions and methods of every kind, sync and async, that return an answer or a
    stream of its chunks; they keep their signature, kind and result. It also observes the body of a
    `with` or `async with` statement.

    Args:
        function: The function to decorate, if there are no options.
        model: The application's alias for the model, or a callable that gets the call's arguments
            and returns it. The default is an argument, or an attribute of an argument, called
            `model_alias` or `model`, else the model that the response names.
        operation: Names the event. The default is the function's name, and `call` for a `with`.
        provider: Names the vendor on the event.
        usage: A callable that gets the returned value (of a generator: the last chunk) or, if it
            finds nothing there, the usage object or the usage future's result. It returns
            `(input_tokens, output_tokens)`, an object of a known shape, a future of one, or None.
            Needed only for unknown shapes.
        prices: The prices of calls for which the vendor reports no cost: a mapping from model
            aliases to `(input, output[, cached_input])` in USD per million tokens, or to names of
            models that genai-prices lists; or a callable that gets the `LlmCallFinished` fact and
            returns USD, or None for no cost. The default, also for an alias that the mapping does
            not have, is the list of genai-prices, if it is installed. A `UserWarning` reports
            prices below 0.0001, which look like prices per token, and models that are not listed.

    Returns:
        The decorated function; with options, a decorator that is also a context manager.

    Raises:
        ConfigError: The decorated object is not a function, or an option is not accepted.
        MissingExtraError: `prices` name a model, and genai-prices is not installed.

    Example:
        >>> from pantheon_obs import llm_call
        >>> class Gateway:
        ...     @llm_call
        ...     def generate(self, prompt, *, model):
        ...         return {"text": prompt, "usage": {"input_tokens": 1, "output_tokens": 2}}
        >>> Gateway().generate("Hi", model="fast")["text"]
        'Hi'
        >>> with llm_call(model="fast", operation="summarise") as call:
        ...     call.usage((120, 30))
    """
    loader.prepare()
    vendor = name_of(provider)
    options = CallOptions(name_of(operation) or "", vendor, usage, pricing_of(prices, vendor))
    observer = LlmCallObserver(model, options)
    observer.names = (model, operation, provider)
    return observer if function is None else observer(function)


class LlmCallObserver:
    """A decorator, and a context manager for one call at a time."""

    names: tuple[object, ...] = ()  # `model`, `operation` and `provider`, as they were given

    def __init__(self, model: str | Callable[..., str | None] | None, options: CallOptions) -> None:
        self._model = model
        self._options = options
        self._entered: list[WithBlock] = []

    def __call__(self, function: Decorated, /) -> Decorated:
        """Decorate a function.

        Args:
            function: A function or method of any kind, or another callable.

        Returns:
            A function of the same signature and kind; the function itself if the library is off.

        Raises:
            ConfigError: The argument is a class, or is not callable.
        """
        refuse_unless_names(*self.names)
        if isinstance(function, staticmethod | classmethod):
            method: Any = type(function)(self(function.__func__))
            return method  # type: ignore[no-any-return]
        if isinstance(function, type):
            instead = f"llm_call on its methods, or instrument_llm({function.__name__})"
            refuse("function", function, instead)
        if not callable(function):
            refuse("function", function, "a function; options go by name")
        if is_off():
            return function
        named: Any = function.func if isinstance(function, partial) else function
        start = self._starter(function, getattr(named, "__name__", type(named).__name__))
        decorated: Any = wraps(function)(_observed(function, start))
        setattr(decorated, OBSERVED, True)
        return decorated  # type: ignore[no-any-return]

    def _starter(self, function: Callable[..., Any] | None, name: str) -> Starter:
        options = replace(self._options, operation=self._options.operation or name)
        find_alias = alias_finder(function, self._model)
        if options.method is None:
            return lambda args, kwargs: LlmCall(options, find_alias(args, kwargs), options.provider)
        place_of = place_finder(options)

        def start(args: tuple[Any, ...], kwargs: dict[str, Any]) -> LlmCall:
            vendor, is_regional = place_of(args, kwargs)
            call = LlmCall(options, find_alias(args, kwargs), vendor)
            if is_regional:
                call.reported.served = {"place": "regional"}
            return call

        return start

    def __enter__(self) -> LlmCallHandle:
        """Start a call.

        Returns:
            A handle that records chunks, usage and result.
        """
        call = self._starter(None, "call")((), {})
        self._entered.append(WithBlock(call))
        return LlmCallHandle(call)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """End the call; an error passes."""
        end_block(self._entered, error)

    async def __aenter__(self) -> LlmCallHandle:
        """Start a call, as `__enter__`."""
        call = self._starter(None, "call")((), {})
        if call.awaited:
            await admit(call)
        self._entered.append(WithBlock(call))
        return LlmCallHandle(call)

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """End the call, as `__exit__`."""
        call = end_block(self._entered, error)
        if call.awaited:
            await catch_up(call)


def _observed(function: Callable[..., Any], start: Starter) -> Callable[..., Any]:
    """Wrap a function in one of its own kind; `start` starts a call, given the arguments."""

    def open_inner(*args: Any, **kwargs: Any) -> tuple[Any, generators.CallFinalizer]:
        # At the first step: a generator that never starts has called nothing.
        inner = function(*args, **kwargs)
        call = start(args, kwargs)
        call.begin_stream()
        return inner, generators.CallFinalizer(call)

    async def observed_async(*args: Any, **kwargs: Any) -> Any:
        call = start(args, kwargs)
        if call.awaited:
            await admit(call)
        token = current_call.set(call)  # in place: `OwnCode` costs more, and this runs per call
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            call.settle()
            raise
        finally:
            leave_context(token)
        result = deliver(result, call)
        if call.awaited:
            await catch_up(call)
        return result

    def observed(*args: Any, **kwargs: Any) -> Any:
        call = start(args, kwargs)
        token = current_call.set(call)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            call.settle()
            raise
        finally:
            current_call.reset(token)
        return deliver(result, call)

    if inspect.isasyncgenfunction(function):
        return generators.async_generator_observer(open_inner)
    code = getattr(function, "__code__", None)
    is_awaitable = code is not None and code.co_flags & inspect.CO_ITERABLE_COROUTINE
    if inspect.isgeneratorfunction(function) and not is_awaitable:
        return generators.generator_observer(open_inner)
    return observed_async if inspect.iscoroutinefunction(function) else observed
