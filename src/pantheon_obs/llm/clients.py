"""`instrument_llm`: each call of a client's or gateway's methods becomes an event."""

from __future__ import annotations

from copy import copy
from functools import cache, wraps
from inspect import getattr_static
from types import MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.undoable import Undoable
from pantheon_obs.llm.call import OBSERVED, llm_call
from pantheon_obs.llm.patches import Patch
from pantheon_obs.llm.sdks import sdk_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pantheon_obs.llm.parts import HostValue
    from pantheon_obs.llm.prices import Prices

    Observers = Mapping[str, Callable[[Any], Any]]

# What a gateway's methods are called, where nothing else is said.
_GATEWAY = {"generate": "generate", "stream": "stream"}
_COPIERS = ("copy", "with_options")
# A resource of an SDK makes these once, of the methods that it has then.
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

    The object stays what it is, and is changed in place: an SDK's client, be it sync or async, with
    its copies and raw responses; or any object, class or module of the host's. No SDK is imported.
    A method that is observed already, by this or by `llm_call`, is left alone.

    Args:
        client_or_gateway: A client of OpenAI (Azure's, too), Anthropic (Bedrock's and Vertex's,
            too) or google-genai; or the host's own object.
        methods: The names of the methods to observe, or the paths to them
            (`"chat.completions.create"`). By default those of an SDK's client that call a model:
            the operations are `chat`, `responses`, `messages`, `generate_content` and `embeddings`;
            of another object `generate` and `stream`, where it has them. Other operations
            are called after the method.
        provider: Names the vendor on the event; known for an SDK's client, but a client of OpenAI's
            may well talk to somebody else.
        usage: As for `llm_call`.
        prices: As for `llm_call`.

    Returns:
        What undoes it: by `undo()`, or as a context manager.

    Raises:
        ConfigError: A method is not there, none is to be found, the object cannot be changed, or
            `prices` are not what `llm_call` takes.
        MissingExtraError: As of `llm_call`.

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
    sdk = sdk_of(client_or_gateway)
    known = _GATEWAY if sdk is None else sdk.operations
    if methods is None:
        wanted = {path: known[path] for path in known if _find(client_or_gateway, path)}
    else:
        paths = [methods] if isinstance(methods, str) else list(methods)
        wanted = {path: known.get(path, path.rpartition(".")[2]) for path in paths}
    if not wanted:
        msg = (
            f"instrument_llm: {_name(client_or_gateway)} has no method "
            f"{' or '.join(known)}: name those that call the model, methods=(…)"
        )
        raise ConfigError(msg)
    if provider is None and sdk is not None:
        named = sdk.provider
        provider = named if isinstance(named, str) else named(client_or_gateway)
    observers: Observers = {
        path: llm_call(operation=operation, provider=provider, usage=usage, prices=prices)
        for path, operation in wanted.items()
    }
    if sdk is not None:  # of a class's function the same for all clients: copies are made often
        observers = {path: cache(observe) for path, observe in observers.items()}
    instrumentation = LlmInstrumentation(observers, of_sdk=sdk is not None)
    try:
        instrumentation.observe(client_or_gateway)
    except ConfigError:
        instrumentation.undo()
        raise
    return instrumentation


class LlmInstrumentation(Undoable):
    """What `instrument_llm` did: `undo()` takes it back, as does the end of a `with`."""

    def __init__(self, observers: Observers, *, of_sdk: bool) -> None:
        self._observers = observers
        self._of_sdk = of_sdk
        self._patches: list[Patch] = []
        self._owners: list[HostValue] = []
        self._copies: WeakSet[LlmInstrumentation] = WeakSet()

    def undo(self) -> None:
        """Give the object and its copies back their own methods."""
        for patch in reversed(self._patches):
            patch.undo()
        self._patches.clear()
        self._forget_wrapped()
        for instrumentation in tuple(self._copies):
            instrumentation.undo()

    def observe(self, subject: HostValue) -> None:
        """Observe an object's methods.

        Args:
            subject: The client or gateway.

        Raises:
            ConfigError: A method is not there, or the object cannot be changed.
        """
        for path, observe in self._observers.items():
            found = _find(subject, path)
            if found is None:
                msg = f"instrument_llm: {_name(subject)} has no method {path!r}"
                raise ConfigError(msg)
            *owners, method = found
            if getattr(method, OBSERVED, None) is not True:
                self._patch(owners, path.rpartition(".")[2], method, observe)
        self._forget_wrapped()
        for name in _COPIERS if self._of_sdk else ():
            method = getattr(subject, name, None)
            if callable(method) and getattr(method, OBSERVED, None) is not True:
                self._patches.append(Patch(subject, name, self._copying(method)))

    def _patch(
        self,
        owners: list[HostValue],
        name: str,
        method: HostValue,
        observe: Callable[[Any], Any],
    ) -> None:
        owner = owners[-1]
        if isinstance(owner, type):
            observed = observe(getattr_static(owner, name))
        elif type(method) is MethodType:  # and not somebody's wrapper that poses as one
            within = self._of_sdk and len(owners) > 1
            holder = _twin(method.__self__) if within else method.__self__
            observed = MethodType(observe(method.__func__), holder)
        else:
            observed = observe(method)
        self._patches.append(Patch(owner, name, observed))
        if self._of_sdk:
            self._owners += owners

    def _forget_wrapped(self) -> None:
        """Let the SDK wrap the methods anew that there are now."""
        for owner in self._owners:
            own: HostValue = vars(owner)
            for name in _MADE_ONCE:
                own.pop(name, None)

    def _copying(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def copying(*args: HostValue, **kwargs: HostValue) -> HostValue:
            client = method(*args, **kwargs)
            with _guard:
                instrumentation = LlmInstrumentation(self._observers, of_sdk=True)
                instrumentation.observe(client)
                self._copies.add(instrumentation)  # it lives as long as the copy's own copy()
            return client

        setattr(copying, OBSERVED, True)
        return copying


def _find(subject: HostValue, path: str) -> list[HostValue] | None:
    """The object, what lies on the path from it, and the method at its end, if that is there."""
    found = [subject]
    for name in path.split("."):
        found.append(getattr(found[-1], name, None))
    return found if callable(found[-1]) else None


def _twin(resource: HostValue) -> HostValue:
    """A resource of an SDK with methods that are not observed.

    They call one another: run on this, they find the others as the SDK made them, so that one call
    of the host's is one event.
    """
    twin: HostValue = copy(resource)
    own: HostValue = vars(twin)
    for name in [name for name, value in own.items() if getattr(value, OBSERVED, None) is True]:
        del own[name]
    return twin


def _name(subject: HostValue) -> str:
    named = subject if isinstance(subject, type) else type(subject)
    return named.__name__
