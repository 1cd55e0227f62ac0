"""`llm_call`: makes an event of each LLM call, as a decorator or in a `with` statement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.guard import Guard
from pantheon_obs.llm.functions import observed_function
from pantheon_obs.llm.lifecycle import LlmCall
from pantheon_obs.llm.model_alias import alias_finder
from pantheon_obs.llm.nesting import Body, pop_body
from pantheon_obs.llm.prices import pricing_of
from pantheon_obs.llm.sources import handed_over
from pantheon_obs.llm.usage import read

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pantheon_obs.llm.functions import Starter
    from pantheon_obs.llm.parts import HostValue
    from pantheon_obs.llm.prices import Prices, Pricing

Decorated = TypeVar(
    "Decorated", bound="Callable[..., Any] | staticmethod[..., Any] | classmethod[Any, ..., Any]"
)

# The mark of a decorated function, and of what is wrapped around it as `functools.wraps` does.
OBSERVED = "_pantheon_obs_llm_call"

_guard = Guard("llm call")


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
    stream of its chunks; they keep their signature, their kind and what they return. Or observes
    the body of a `with` or `async with` statement.

    Args:
        function: The function to decorate, where there are no options.
        model: The alias by which the host knows the model, or a callable that gets the call's
            arguments and returns it. By default it is an argument, or an attribute of an argument,
            called `model_alias` or `model`, else the model that the response names.
        operation: Names the event; by default the function's name, and `call` for a `with`.
        provider: Names the vendor on the event.
        usage: Gets the returned value (of a generator: the last chunk) or, if it finds nothing
            there, the usage object or the usage future's result. Returns `(input_tokens,
            output_tokens)`, an object of a known shape, a future of one, or None. Needed only for
            shapes that are not known.
        prices: What a call costs where the vendor does not say: a mapping of model aliases to
            `(input, output[, cached_input])` in USD per million tokens, or to names of models that
            genai-prices lists; or a callable that gets the `LlmCallFinished` fact and returns USD,
            or None for no cost. By default, and for an alias that the mapping does not have,
            genai-prices is asked where it is installed.

    Returns:
        The function, decorated; with options, what decorates it or stands in a `with`.

    Raises:
        ConfigError: What is to be decorated is not a function, or `prices` are not as above.
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
    observer = LlmCallObserver(model, operation, provider, usage, prices)
    return observer if function is None else observer(function)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What is the same for all calls of one function.

    Attributes:
        operation: What the event is named after.
        provider: The vendor, if the host names it.
        usage: The `usage=` option.
        pricing: The `prices=` option.
    """

    operation: str
    provider: str | None = None
    usage: Callable[[HostValue], object] | None = None
    pricing: Pricing | None = None


class LlmCallObserver:
    """What `llm_call(…)` returns: a decorator, and a context manager for one call at a time."""

    def __init__(
        self,
        model: str | Callable[..., str | None] | None,
        operation: str | None,
        provider: str | None,
        usage: Callable[[Any], object] | None,
        prices: Prices | None = None,
    ) -> None:
        self._model = model
        self._operation = operation
        self._provider = provider
        self._usage = usage
        self._pricing = pricing_of(prices)
        self._entered: list[Body] = []

    def __call__(self, function: Decorated, /) -> Decorated:
        """Decorate a function.

        Args:
            function: A function or method of any kind, or another callable.

        Returns:
            A function of the same signature and kind.

        Raises:
            ConfigError: It is not callable.
        """
        decorated: Any
        if isinstance(function, staticmethod | classmethod):
            decorated = type(function)(self(function.__func__))
        elif callable(function):
            decorated = wraps(function)(observed_function(function, self._starter(function)))
            setattr(decorated, OBSERVED, True)
        else:
            msg = f"llm_call: {function!r} is not accepted: use a function; options go by name"
            raise ConfigError(msg)
        return decorated  # type: ignore[no-any-return]

    def _starter(self, function: Callable[..., Any]) -> Starter:
        named = function.func if isinstance(function, partial) else function
        name = getattr(named, "__name__", type(named).__name__)
        options = CallOptions(self._operation or name, self._provider, self._usage, self._pricing)
        find_alias = alias_finder(function, self._model)

        def start(args: tuple[HostValue, ...], kwargs: dict[str, HostValue]) -> LlmCall:
            return LlmCall(options, find_alias(args, kwargs))

        return start

    def __enter__(self) -> LlmCallHandle:
        """Start a call.

        Returns:
            What to tell of its chunks, its usage and its result.
        """
        options = CallOptions(self._operation or "call", self._provider, self._usage, self._pricing)
        call = LlmCall(options, alias_finder(None, self._model)((), {}))
        self._entered.append(Body(call))
        return LlmCallHandle(call)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the call; an error passes."""
        call = pop_body(self._entered).leave()
        if error is not None:
            call.failed(error)
        elif call.seen.finished is False:
            call.left()  # before the last chunk; whether by choice cannot be told from here
        else:
            call.end("ok")
        call.settle()

    async def __aenter__(self) -> LlmCallHandle:
        """Start a call, as `__enter__`."""
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the call, as `__exit__`."""
        self.__exit__(kind, error, traceback)


class LlmCallHandle:
    """What `with llm_call(…) as call` gives; none of its methods raises an `Exception`."""

    def __init__(self, call: LlmCall) -> None:
        self._call = call

    def chunk(self, chunk: object) -> None:
        """Count a chunk of the answer.

        Args:
            chunk: The chunk; the time to the first one and to the first with content is taken,
                and what it says of usage, model and finish reason is kept.
        """
        self._call.begin_stream()
        self._call.count(chunk, perf_counter())

    def usage(self, usage: object) -> None:
        """Say what was used.

        Args:
            usage: `(input_tokens, output_tokens)`, a usage object or a future of one.
        """
        self._call.offered = usage

    def result(self, result: object) -> None:
        """Show the response, for its usage, model and finish reason.

        Args:
            result: The response.
        """
        with _guard:
            read(result, self._call.seen)
            offered = handed_over(result)
            if offered is not None and self._call.offered is None:
                self._call.offered = offered
