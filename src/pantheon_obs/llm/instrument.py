"""`instrument_llm`: observe the calls of a client's or gateway's methods. The setting `llm`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.errors import ConfigError, refuse
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.installed import imported
from pantheon_obs.core.switch import is_off
from pantheon_obs.llm.call import LlmCallObserver, has_observer
from pantheon_obs.llm.cost.call_cost import pricing_of
from pantheon_obs.llm.cost.price_list_loader import loader
from pantheon_obs.llm.every_client import functions_at, is_watched
from pantheon_obs.llm.hosts import vendor_of
from pantheon_obs.llm.one_client import LlmInstrumentation, on_path, title_of
from pantheon_obs.llm.options import CallOptions, name_of, refuse_unless_names
from pantheon_obs.llm.sdks import SDK_NAMES, SDKS, sdk_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pantheon_obs.llm.cost.call_cost import Prices
    from pantheon_obs.llm.one_client import Observe, Observers
    from pantheon_obs.llm.sdks import Sdk

# The default methods of a gateway, with their operations.
_GATEWAY = {"generate": "generate", "stream": "stream"}

_guard = Guard("instrument_llm")
_imported: dict[str, LlmInstrumentation] = {}  # by the names of the SDKs


def instrument_llm(
    client_or_gateway: object,
    methods: Iterable[str] | None = None,
    *,
    provider: str | None = None,
    usage: Callable[[Any], object] | None = None,
    prices: Prices | None = None,
) -> LlmInstrumentation:
    """Make one `llm.<operation>` event of each call of an object's methods, as `llm_call` does.

    The object is changed in place: an SDK's client, sync or async, with its copies and raw
    responses; or any object, class or module of the application's. A class or module of an SDK
    stands for all its clients, made before or after, those that frameworks make included. No SDK is
    imported. A method that is observed already, by this or by `llm_call`, is left alone.

    Args:
        client_or_gateway: A client of an SDK: openai, anthropic, google-genai, groq, mistralai,
            cohere, ollama, together, xai-sdk, lm15, boto3 (Bedrock's) or claude-agent-sdk;
            litellm's router; the class of such clients, or the SDK's module, litellm and dspy
            included; or the application's own object.
        methods: The names of the methods to observe, or the paths to them
            (`"chat.completions.create"`). The default for an SDK's client is all methods that call
            a model, with operations such as `chat`, `responses`, `messages`, `generate_content`
            and `embeddings`; for another object it is `generate` and `stream`, if it has them.
            Other operations are named after the method.
        provider: Names the vendor on the event. The default for an SDK's client is the vendor of
            its base URL; a client of an unknown host has no vendor, and its calls no list price.
        usage: As for `llm_call`.
        prices: As for `llm_call`.

    Returns:
        An object whose `undo()` takes the change back; also a context manager.

    Raises:
        ConfigError: A method does not exist, the object has none of the default methods or cannot
            be changed, or an option is not accepted.
        MissingExtraError: As for `llm_call`.

    Example:
        >>> from pantheon_obs import instrument_llm
        >>> class Gateway:
        ...     def generate(self, prompt, *, model):
        ...         return {"text": prompt, "usage": {"input_tokens": 1, "output_tokens": 2}}
        >>> gateway = Gateway()
        >>> instrumentation = instrument_llm(gateway)
        >>> gateway.generate("Hi", model="fast")["text"]
        'Hi'
        >>> instrumentation.undo()
    """
    refuse_unless_names(provider=provider)
    vendor = name_of(provider)
    options = CallOptions("", vendor, usage, pricing_of(prices, vendor))
    return instrumented(client_or_gateway, methods, options, automatic=False)


def is_observed(client: object, sdk: Sdk) -> bool:
    """Whether the calls of a client of an SDK are events."""
    found = (on_path(client, path) or [None] for path in sdk.operations)
    return is_watched(sdk) or any(has_observer(each[-1]) for each in found)


def instrumented(
    subject: object,
    methods: Iterable[str] | None,
    options: CallOptions,
    *,
    automatic: bool,
    is_late: bool = False,
) -> LlmInstrumentation:
    """Do the same as `instrument_llm`; an `automatic` change stands behind all others.

    It `is_late` if the SDK has just imported the rest of its methods.
    """
    loader.prepare()
    sdk = sdk_of(subject)
    all_clients = sdk if isinstance(subject, type | ModuleType) else None
    if all_clients is not None and all_clients.factory:
        observe = partial(instrumented, methods=methods, options=options, automatic=automatic)
        return _observe_made(all_clients, subject, observe, automatic=automatic)
    makers = () if sdk is None or all_clients or methods is not None else sdk.makers
    exists: Callable[[str], object] = partial(on_path, subject)
    if all_clients is not None:
        exists = partial(functions_at, subject, all_clients)
    elif makers:  # some are methods of the objects that they make
        exists = bool
    wanted = _wanted(subject, sdk, methods, exists)
    observers_of = _observers_finder(wanted, replace(options, sdk=sdk))
    instrumentation = LlmInstrumentation(observers_of, sdk, makers)
    if is_off():
        return instrumentation
    try:
        if all_clients is None:
            instrumentation.observe(subject)
        else:
            instrumentation.watch(all_clients, wanted, subject, automatic=automatic)
            late = all_clients.late if methods is None and not is_late else ""
            if late and imported(late) is None:
                again = partial(instrumented, subject, None, options, automatic=automatic)
                instrumentation.watch_late(late, partial(again, is_late=True))
    except ConfigError:
        instrumentation.undo()
        raise
    return instrumentation


def _observe_made(
    sdk: Sdk, subject: object, observe: Callable[[Any], LlmInstrumentation], *, automatic: bool
) -> LlmInstrumentation:
    """Watch the factory of an SDK, and observe each client that it makes from now on."""
    observers: dict[str, Observe] = {}
    instrumentation = LlmInstrumentation(lambda _: observers, sdk, ())
    observers[sdk.factory] = partial(instrumentation.making, observe)
    if not is_off():
        instrumentation.watch(sdk, observers, subject, automatic=automatic)
    return instrumentation


def _observers_finder(
    wanted: Mapping[str, str], options: CallOptions
) -> Callable[[Any], Observers]:
    """Make a function that returns the observers of an object's methods, by their paths."""
    provider, sdk = options.provider, options.sdk

    @cache
    def observers_for(vendor: str | None) -> Observers:
        observers: dict[str, Observe] = {}
        for path, name in wanted.items():
            method = None if provider else path
            own = replace(options, operation=name, provider=vendor, method=method)
            observe = LlmCallObserver(None, own)
            # A class's function is the same for all clients, and copies are frequent.
            observers[path] = observe if sdk is None else cache(observe)
        return observers

    return lambda client: observers_for(
        vendor_of(client, sdk) if provider is None and sdk is not None else provider
    )


def _wanted(
    subject: object,
    sdk: Sdk | None,
    methods: Iterable[str] | None,
    exists: Callable[[str], object],
) -> dict[str, str]:
    """Map the paths to the methods to observe to their operations.

    Raises:
        ConfigError: There are none.
    """
    known = _GATEWAY if sdk is None else {**sdk.operations, **sdk.functions}
    if methods is None:
        wanted = {path: known[path] for path in known if exists(path)}
    else:
        given: Any = [methods] if isinstance(methods, str) else methods
        paths: list[Any] = [*given] if isinstance(given, Iterable) else []
        if not paths or not all(isinstance(path, str) for path in paths):
            refuse("methods", methods, "the names of methods, or the paths to them")
        wanted = {path: known.get(path) or path.rpartition(".")[2] for path in paths}
    if not wanted:
        msg = (
            f"instrument_llm: {title_of(subject)} has no method {' or '.join(known)}: name those "
            f"that call the model, methods=(…), or pass a client of {SDK_NAMES}, or the class of "
            "such clients or the SDK's module, where their methods can be told without a client"
        )
        raise ConfigError(msg)
    return wanted


def instrument_imported() -> None:
    """Instrument each SDK that is imported by now, once. One that cannot be is left alone."""
    for sdk in SDKS:
        module = imported(sdk.package)
        if module is not None and sdk.package not in _imported:
            with _guard:
                _imported[sdk.package] = instrumented(module, None, CallOptions(), automatic=True)


def reset() -> None:
    """Undo `instrument_imported` (used by `pantheon_obs.testing.reset`)."""
    while _imported:
        _imported.popitem()[1].undo()
