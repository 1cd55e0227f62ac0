"""`instrument_llm`: observe the calls of a client's or gateway's methods."""

from __future__ import annotations

from functools import cache, partial, wraps
from inspect import getattr_static
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.switch import is_off
from pantheon_obs.core.undoable import Patch, Undoable
from pantheon_obs.llm.call import OBSERVED, LlmCallObserver
from pantheon_obs.llm.every_client import Watcher
from pantheon_obs.llm.options import CallOptions
from pantheon_obs.llm.prices import pricing_of
from pantheon_obs.llm.sdks import SDK_NAMES, functions_at, sdk_of, unobserved, vendor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pantheon_obs.llm.prices import Prices, Pricing
    from pantheon_obs.products import Sdk

    Observe = Callable[[Any], Any]
    Observers = Mapping[str, Observe]

# The default methods of a gateway, with their operations.
_GATEWAY = {"generate": "generate", "stream": "stream"}
_COPIERS = ("copy", "with_options")
# An SDK's resource makes these once, from the methods that it has at the time.
_MADE_ONCE = ("with_raw_response", "with_streaming_response")

_guard = Guard("instrument_llm")


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
        client_or_gateway: A client of OpenAI (also Azure's and Bedrock's), Anthropic (also
            Bedrock's, Foundry's and Vertex's) or google-genai; the class of such clients, or the
            SDK's module; or the application's own object.
        methods: The names of the methods to observe, or the paths to them
            (`"chat.completions.create"`). The default for an SDK's client is all methods that call
            a model, with the operations `chat`, `responses`, `messages`, `generate_content` and
            `embeddings`; for another object it is `generate` and `stream`, if it has them. Other
            operations are named after the method.
        provider: Names the vendor on the event. The default for an SDK's client is the vendor of
            its base URL; a client of an unknown host has no vendor, and its calls no list price.
        usage: As for `llm_call`.
        prices: As for `llm_call`.

    Returns:
        An object whose `undo()` takes the change back; also a context manager.

    Raises:
        ConfigError: A method does not exist, the object has none of the default methods or cannot
            be changed, or `prices` are not accepted.
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
    return instrumented(
        client_or_gateway, methods, provider, usage, pricing_of(prices, provider), automatic=False
    )


def instrumented(  # noqa: PLR0913 - the options of `instrument_llm`
    subject: object,
    methods: Iterable[str] | None = None,
    provider: str | None = None,
    usage: Callable[[Any], object] | None = None,
    pricing: Pricing | None = None,
    *,
    automatic: bool,
) -> LlmInstrumentation:
    """Do what `instrument_llm` does; an `automatic` change stands behind all others."""
    sdk = sdk_of(subject)
    known = _GATEWAY if sdk is None else sdk.operations
    find: Callable[[str], Any] = partial(_find, subject)
    if sdk is not None and isinstance(subject, type | ModuleType):
        find = partial(functions_at, subject, sdk)
    if methods is None:
        wanted = {path: known[path] for path in known if find(path)}
    else:
        paths = [methods] if isinstance(methods, str) else list(methods)
        wanted = {path: known.get(path, path.rpartition(".")[2]) for path in paths}
    if not wanted:
        msg = (
            f"instrument_llm: {_name(subject)} has no method {' or '.join(known)}: name those that "
            f"call the model, methods=(…), or pass a client, client class or module of {SDK_NAMES}"
        )
        raise ConfigError(msg)

    @cache
    def observers_for(vendor: str | None) -> Observers:
        observers: dict[str, Observe] = {
            path: LlmCallObserver(None, CallOptions(name, vendor, usage, pricing, sdk))
            for path, name in wanted.items()
        }
        if sdk is None:
            return observers
        # A class's function is the same for all clients, and copies are frequent.
        return {path: cache(observe) for path, observe in observers.items()}

    def observers_of(client: object) -> Observers:
        return observers_for(vendor_of(client, sdk) if provider is None and sdk else provider)

    instrumentation = LlmInstrumentation(observers_of, of_sdk=sdk is not None)
    if is_off():
        return instrumentation
    try:
        if sdk is not None and isinstance(subject, type | ModuleType):
            instrumentation.watch(subject, sdk, wanted, automatic=automatic)
        else:
            instrumentation.observe(subject)
    except ConfigError:
        instrumentation.undo()
        raise
    return instrumentation


class LlmInstrumentation(Undoable):
    """The change that `instrument_llm` has made."""

    def __init__(self, observers_of: Callable[[Any], Observers], *, of_sdk: bool) -> None:
        self._observers_of = observers_of
        self._of_sdk = of_sdk
        self._patches: list[Patch | Watcher] = []
        self._owners: list[Any] = []
        self._copies: WeakSet[LlmInstrumentation] = WeakSet()

    def undo(self) -> None:
        """Restore the methods of the object and of its copies."""
        for patch in reversed(self._patches):
            patch.undo()
        self._patches.clear()
        self._forget_made_once()
        for instrumentation in tuple(self._copies):
            instrumentation.undo()

    def watch(self, subject: Any, sdk: Sdk, paths: Iterable[str], *, automatic: bool) -> None:
        """Observe all clients of an SDK's class, or of its module.

        Raises:
            ConfigError: A method does not exist.
        """
        for path in paths:
            functions = functions_at(subject, sdk, path)
            if not functions:
                raise _no_method(subject, path)
            self._patches += (
                Watcher(function, kind, sdk, path, self._observers_of, automatic=automatic)
                for kind, function in functions
            )

    def observe(self, subject: Any) -> None:
        """Observe the methods of a client or gateway.

        Raises:
            ConfigError: A method does not exist, or the object cannot be changed.
        """
        for path, observe in self._observers_of(subject).items():
            found = _find(subject, path)
            if found is None:
                raise _no_method(subject, path)
            *owners, method = found
            if getattr(method, OBSERVED, None) is not True:
                self._patch(owners, path.rpartition(".")[2], method, observe)
        self._forget_made_once()
        for name in _COPIERS if self._of_sdk else ():
            method = getattr(subject, name, None)
            if callable(method) and getattr(method, OBSERVED, None) is not True:
                self._patches.append(Patch(subject, name, self._copying(method)))

    def _patch(self, owners: list[Any], name: str, method: Any, observe: Observe) -> None:
        owner = owners[-1]
        if isinstance(owner, type):
            observed = observe(getattr_static(owner, name))
        elif type(method) is MethodType:  # and not somebody's wrapper with its `__class__`
            resource = self._of_sdk and len(owners) > 1
            own = unobserved(method.__self__) if resource else method.__self__
            observed = MethodType(observe(method.__func__), own)
        else:
            observed = observe(method)
        self._patches.append(Patch(owner, name, observed))
        if self._of_sdk:
            self._owners += owners

    def _forget_made_once(self) -> None:
        """Make the SDK's resources wrap the methods that they have now."""
        for owner in self._owners:
            own: Any = vars(owner)
            for name in _MADE_ONCE:
                own.pop(name, None)

    def _copying(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def copying(*args: Any, **kwargs: Any) -> Any:
            client = method(*args, **kwargs)
            with _guard:
                instrumentation = LlmInstrumentation(self._observers_of, of_sdk=True)
                instrumentation.observe(client)
                self._copies.add(instrumentation)  # it lives as long as the copy's own copy()
            return client

        setattr(copying, OBSERVED, True)
        return copying


def _find(subject: Any, path: str) -> list[Any] | None:
    """Return the object, those on the path from it, and the method at its end, if it exists."""
    found = [subject]
    for name in path.split("."):
        found.append(getattr(found[-1], name, None))
    return found if callable(found[-1]) else None


def _no_method(subject: Any, path: str) -> ConfigError:
    return ConfigError(f"instrument_llm: {_name(subject)} has no method {path!r}")


def _name(subject: Any) -> str:
    if isinstance(subject, ModuleType):
        return f"the module {subject.__name__}"
    return (subject if isinstance(subject, type) else type(subject)).__name__
