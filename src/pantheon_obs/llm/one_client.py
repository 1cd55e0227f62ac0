"""The change that `instrument_llm` makes to a client, a gateway or an SDK, and its undoing."""

from __future__ import annotations

from copy import copy
from functools import wraps
from inspect import getattr_static, iscoroutinefunction
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.undoable import Patch, Undoable
from pantheon_obs.llm.call import OBSERVED, has_observer
from pantheon_obs.llm.every_client import LateWatch, Watcher, functions_at
from pantheon_obs.llm.sdks import sdk_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pantheon_obs.llm.sdks import Sdk

    Observe = Callable[[Any], Any]
    Observers = Mapping[str, Observe]

_COPIERS = ("copy", "with_options")
# An SDK's resource makes these once, from the methods that it has at the time.
_MADE_ONCE = ("with_raw_response", "with_streaming_response")

_KEPT = "_pantheon_obs_instrumentation"

_guard = Guard("instrument_llm")


class LlmInstrumentation(Undoable):
    """The change that `instrument_llm` has made."""

    def __init__(
        self, observers_of: Callable[[Any], Observers], sdk: Sdk | None, makers: tuple[str, ...]
    ) -> None:
        self._observers_of = observers_of
        self._sdk = sdk
        self._makers = makers
        self._patches: list[Patch | Watcher | LateWatch] = []
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

    def watch(self, sdk: Sdk, paths: Iterable[str], subject: Any, *, automatic: bool) -> None:
        """Observe all clients of an SDK's class, or of its module.

        Raises:
            ConfigError: A method does not exist.
        """
        for path in paths:
            functions = functions_at(subject, sdk, path)
            if not functions:
                raise _no_method(subject, path)
            self._patches += (
                Watcher(function, kind, sdk, path, self._observers_of, automatic)
                for kind, function in functions
            )

    def watch_late(self, module: str, again: Callable[[], LlmInstrumentation]) -> None:
        """Watch `again` when an SDK has imported the module with the rest of its methods."""
        self._patches.append(LateWatch(module, again))

    def making(
        self, observe: Callable[[Any], LlmInstrumentation], make: Callable[..., Any]
    ) -> Callable[..., Any]:
        """Wrap the factory of an SDK, so that each client of a model is observed."""

        def kept(client: Any) -> Any:
            with _guard:
                if sdk_of(client) is self._sdk:  # and not a client of another service
                    instrumentation = observe(client)
                    vars(client)[_KEPT] = instrumentation  # it lives as long as the client
                    self._copies.add(instrumentation)
            return client

        async def making_async(*args: Any, **kwargs: Any) -> Any:
            return kept(await make(*args, **kwargs))

        def making(*args: Any, **kwargs: Any) -> Any:
            return kept(make(*args, **kwargs))

        return making_async if iscoroutinefunction(make) else making

    def observe(self, subject: Any) -> None:
        """Observe the methods of a client or gateway.

        Raises:
            ConfigError: A method does not exist, or the object cannot be changed.
        """
        if self._sdk:
            _release(subject)
        for path, observe in self._observers_of(subject).items():
            found = on_path(subject, path)
            if found is None and self._makers:
                continue  # a method of the objects that they make
            if found is None:
                raise _no_method(subject, path)
            *owners, method = found
            if not has_observer(method):
                self._patch(owners, path.rpartition(".")[2], method, observe)
        self._forget_made_once()
        for path in (*_COPIERS, *self._makers) if self._sdk else ():
            *owners, method = on_path(subject, path) or (None,)
            if method is not None and not has_observer(method):
                name = path.rpartition(".")[2]
                self._patches.append(Patch(owners[-1], name, self._copying(method)))

    def _patch(self, owners: list[Any], name: str, method: Any, observe: Observe) -> None:
        owner = owners[-1]
        if isinstance(owner, type):
            observed = observe(getattr_static(owner, name))
        elif type(method) is MethodType:  # and not somebody's wrapper with its `__class__`
            resource = self._sdk and len(owners) > 1
            own = _unobserved(method.__self__) if resource else method.__self__
            observed = MethodType(observe(method.__func__), own)
        else:
            observed = observe(method)
        self._patches.append(Patch(owner, name, observed))
        if self._sdk:
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
                instrumentation = LlmInstrumentation(self._observers_of, self._sdk, self._makers)
                instrumentation.observe(client)
                self._copies.add(instrumentation)  # it lives as long as the copy's own copy()
            return client

        setattr(copying, OBSERVED, True)
        return copying


def on_path(subject: Any, path: str) -> list[Any] | None:
    """Return the object, those on the path from it, and the method at its end, if it exists."""
    found = [subject]
    for name in path.split("."):
        found.append(getattr(found[-1], name, None))
    return found if callable(found[-1]) else None


def _release(client: Any) -> None:
    """Observe a client that a factory has made no more: the application has options for it."""
    own = getattr(client, "__dict__", None)
    kept = own.pop(_KEPT, None) if type(own) is dict else None
    if kept is not None:
        kept.undo()


def _unobserved(resource: Any) -> Any:
    """Copy a resource of an SDK without the observed methods.

    Its methods call one another: so one call of the application's is one event.
    """
    unobserved: Any = copy(resource)
    own: Any = vars(unobserved)
    for name in [name for name, value in own.items() if has_observer(value)]:
        del own[name]
    own[OBSERVED] = True  # the watchers of its class leave it alone
    return unobserved


def _no_method(subject: Any, path: str) -> ConfigError:
    return ConfigError(f"instrument_llm: {title_of(subject)} has no method {path!r}")


def title_of(subject: Any) -> str:
    """Name an object in a message."""
    if isinstance(subject, ModuleType):
        return f"the module {subject.__name__}"
    return (subject if isinstance(subject, type) else type(subject)).__name__
