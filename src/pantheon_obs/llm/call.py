"""`llm_call`: observe LLM calls with a decorator or a `with` statement."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pantheon_obs.core.errors import refuse
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.switch import is_off
from pantheon_obs.llm.cost.budgets import admit, catch_up
from pantheon_obs.llm.cost.costs import pricing_of
from pantheon_obs.llm.cost.list_loading import loader
from pantheon_obs.llm.hosts import client_starter
from pantheon_obs.llm.nesting import WithBlock, pop_block
from pantheon_obs.llm.observe.functions import observed_function
from pantheon_obs.llm.observe.values import SeveralAnswers
from pantheon_obs.llm.options import CallOptions, alias_finder
from pantheon_obs.llm.report import LlmCall
from pantheon_obs.llm.usage.find import attached_usage
from pantheon_obs.llm.usage.shapes import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.cost.costs import Prices
    from pantheon_obs.llm.observe.functions import Starter

Decorated = TypeVar(
    "Decorated", bound="Callable[..., Any] | staticmethod[..., Any] | classmethod[Any, ..., Any]"
)

# The attribute of a decorated function; `functools.wraps` copies it to wrappers around that.
OBSERVED = "_pantheon_obs_llm_call"

_guard = Guard("llm call")


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
        ConfigError: The decorated object is not a function, or `prices` are not accepted.
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
    options = CallOptions(operation or "", provider, usage, pricing_of(prices, provider))
    observer = LlmCallObserver(model, options)
    return observer if function is None else observer(function)


class LlmCallObserver:
    """A decorator, and a context manager for one call at a time."""

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
        decorated: Any = wraps(function)(observed_function(function, start))
        setattr(decorated, OBSERVED, True)
        return decorated  # type: ignore[no-any-return]

    def _starter(self, function: Callable[..., Any] | None, name: str) -> Starter:
        options = replace(self._options, operation=self._options.operation or name)
        find_alias = alias_finder(function, self._model)
        if options.method is not None:
            return client_starter(options, find_alias)
        return lambda args, kwargs: LlmCall(options, find_alias(args, kwargs), options.provider)

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
        self._end(error)

    def _end(self, error: BaseException | None) -> LlmCall:
        call: LlmCall = pop_block(self._entered).leave()
        if error is not None:
            call.failed(error)
        elif call.reported.finished is False:
            call.abandoned()  # before the terminal chunk, be it by choice or not
        else:
            call.end("ok")
        call.settle()
        return call

    async def __aenter__(self) -> LlmCallHandle:
        """Start a call, as `__enter__`."""
        call = self._starter(None, "call")((), {})
        if call.awaited:
            await admit(call)
        self._entered.append(WithBlock(call))
        return LlmCallHandle(call)

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """End the call, as `__exit__`."""
        call = self._end(error)
        if call.awaited:
            await catch_up(call)


class LlmCallHandle:
    """Records the progress of one call; none of its methods raises an `Exception`."""

    def __init__(self, call: LlmCall) -> None:
        self._call = call
        self._answers = SeveralAnswers(call.reported)
        self._results = 0
        self._attached: Any = None  # the usage that the first result carries

    def chunk(self, chunk: object) -> None:
        """Count a chunk of the answer.

        Args:
            chunk: The chunk. The times to the first one and to the first with content are taken,
                and the usage, model and finish reason that it reports are kept.
        """
        call = self._call
        call.begin_stream()
        call.recent.append(chunk)
        if len(call.recent) >= call.window:
            call.look()

    def usage(self, usage: object) -> None:
        """Set the usage.

        Args:
            usage: `(input_tokens, output_tokens)`, a usage object or a future of one.
        """
        self._call.attached = usage

    def result(self, result: object) -> None:
        """Read the usage, model and finish reason of a response. Several are added up.

        Args:
            result: The response.
        """
        call = self._call
        with _guard:
            if call.streamed:
                read(result, call.reported)
            else:
                self._results += 1
                self._answers.add(result)
            if self._results > 1:
                if call.attached is self._attached:
                    call.attached = None
            elif call.attached is None:
                call.attached = self._attached = attached_usage(result)
