"""`llm_call`: observe LLM calls with a decorator or a `with` statement."""

from __future__ import annotations

from functools import partial, wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.guard import Guard
from pantheon_obs.llm.model_alias import alias_finder
from pantheon_obs.llm.nesting import WithBlock, pop_block
from pantheon_obs.llm.observe.functions import observed_function
from pantheon_obs.llm.prices import pricing_of
from pantheon_obs.llm.report import CallOptions, LlmCall
from pantheon_obs.llm.usage.find import attached_usage
from pantheon_obs.llm.usage.shapes import read

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pantheon_obs.llm.observe.functions import Starter
    from pantheon_obs.llm.prices import Prices

Decorated = TypeVar(
    "Decorated", bound="Callable[..., Any] | staticmethod[..., Any] | classmethod[Any, ..., Any]"
)

# The attribute of a decorated function; `functools.wraps` copies it to wrappers around that.
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
            not have, is the list of genai-prices, if it is installed.

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
    observer = LlmCallObserver(model, operation, provider, usage, prices)
    return observer if function is None else observer(function)


class LlmCallObserver:
    """A decorator, and a context manager for one call at a time."""

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
        self._entered: list[WithBlock] = []

    def __call__(self, function: Decorated, /) -> Decorated:
        """Decorate a function.

        Args:
            function: A function or method of any kind, or another callable.

        Returns:
            A function of the same signature and kind.

        Raises:
            ConfigError: The argument is not callable.
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

        def start(args: tuple[Any, ...], kwargs: dict[str, Any]) -> LlmCall:
            return LlmCall(options, find_alias(args, kwargs))

        return start

    def __enter__(self) -> LlmCallHandle:
        """Start a call.

        Returns:
            A handle that records chunks, usage and result.
        """
        options = CallOptions(self._operation or "call", self._provider, self._usage, self._pricing)
        call = LlmCall(options, alias_finder(None, self._model)((), {}))
        self._entered.append(WithBlock(call))
        return LlmCallHandle(call)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the call; an error passes."""
        call: LlmCall = pop_block(self._entered).leave()
        if error is not None:
            call.failed(error)
        elif call.reported.finished is False:
            call.abandoned()  # before the terminal chunk, be it by choice or not
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
    """Records the progress of one call; none of its methods raises an `Exception`."""

    def __init__(self, call: LlmCall) -> None:
        self._call = call

    def chunk(self, chunk: object) -> None:
        """Count a chunk of the answer.

        Args:
            chunk: The chunk. The times to the first one and to the first with content are taken,
                and the usage, model and finish reason that it reports are kept.
        """
        self._call.begin_stream()
        self._call.count(chunk, perf_counter())

    def usage(self, usage: object) -> None:
        """Set the usage.

        Args:
            usage: `(input_tokens, output_tokens)`, a usage object or a future of one.
        """
        self._call.attached = usage

    def result(self, result: object) -> None:
        """Read the usage, model and finish reason of a response.

        Args:
            result: The response.
        """
        with _guard:
            read(result, self._call.reported)
            attached = attached_usage(result)
            if attached is not None and self._call.attached is None:
                self._call.attached = attached
