"""Observe every client of an SDK, at the functions that all of them call."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, reduce
from inspect import getattr_static, unwrap
from operator import attrgetter
from threading import Lock
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from pantheon_obs.core.calls import call_here
from pantheon_obs.core.guard import report
from pantheon_obs.core.late_imports import forget, when_imported
from pantheon_obs.llm.call import has_observer
from pantheon_obs.llm.nesting import is_part, outer_call
from pantheon_obs.llm.replaced_code import Redirect, copy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pantheon_obs.core.undoable import Undoable
    from pantheon_obs.llm.sdks import Sdk

_lock = Lock()
_watched: dict[FunctionType, _Watched] = {}
_waiting: list[LateWatch] = []


class _Watched:
    """A watched function; the first of its watchers that knows a client observes the call."""

    def __init__(self, function: FunctionType) -> None:
        self.watchers: list[Watcher] = []
        self._original = copy_of(function)
        self.redirect = Redirect(function, self._choose)

    def _choose(self, args: tuple[Any, ...]) -> Any:
        """Return the function to call: the original one, or that with its observer."""
        try:
            subject = args[0] if args else None
            if not has_observer(subject):  # as a resource of an observed client has
                for watcher in self.watchers:
                    in_resource = "." in watcher.path
                    client = getattr(subject, "_client", None) if in_resource else subject
                    if client is None or isinstance(client, watcher.kind):
                        if is_part(outer_call(call_here()), watcher.sdk):
                            break
                        observers = watcher.observers_of(subject if client is None else client)
                        return observers[watcher.path](self._original)
        except Exception as error:  # noqa: BLE001 - the guard, in a place that must return a value
            report("instrument_llm", error)
        return self._original


@dataclass(eq=False)
class Watcher:
    """Observes the calls of a function by the clients of a class, until `undo()`.

    `observers_of` returns the observers of a client or resource, by path. An `automatic` watcher
    stands behind the watchers that the application has asked for.
    """

    function: Any
    kind: type
    sdk: Sdk
    path: str
    observers_of: Callable[[Any], Mapping[str, Callable[[Any], Any]]]
    automatic: bool

    def __post_init__(self) -> None:
        """Begin to watch."""
        with _lock:
            watched = _watched.get(self.function)
            if watched is None:
                watched = _watched[self.function] = _Watched(self.function)
            watched.watchers = sorted((*watched.watchers, self), key=attrgetter("automatic"))

    def undo(self) -> None:
        """Observe the calls no more."""
        with _lock, suppress(KeyError):  # a second time
            watched = _watched[self.function]
            watched.watchers = [other for other in watched.watchers if other is not self]
            if not watched.watchers:
                _watched.pop(self.function).redirect.undo()


@dataclass(eq=False)
class LateWatch:
    """Watches more functions when an SDK has imported the module that has them, until `undo()`.

    `watch` begins to watch them.
    """

    module: str
    watch: Callable[[], Undoable]
    begun: Undoable | None = None

    def __post_init__(self) -> None:
        """Begin to wait."""
        _waiting.append(self)
        when_imported(self.module, self)

    def __call__(self) -> None:
        """The module has been imported."""
        self.begun = self.watch()

    def undo(self) -> None:
        """Wait and watch no more."""
        forget(self.module, self)
        with suppress(ValueError):  # it waits no more
            _waiting.remove(self)
        if self.begun is not None:
            self.begun.undo()


def is_watched(sdk: Sdk) -> bool:
    """Whether a class or the module of an SDK is observed."""
    return any(watcher.sdk is sdk for each in [*_watched.values()] for watcher in each.watchers)


def reset() -> None:
    """Observe no class or module any more (used by `pantheon_obs.testing.reset`)."""
    while _waiting:
        _waiting.pop().undo()
    with _lock:
        while _watched:
            _watched.popitem()[1].redirect.undo()


def functions_at(subject: Any, sdk: Sdk, path: str) -> list[tuple[type, FunctionType]]:
    """List the functions that the clients of a class, or of a module's classes, call by a path.

    Each has the class of the objects that call it; `object` stands for the functions of the module
    itself, and for the objects that the clients make.
    """
    classes = [subject]
    found: list[tuple[type, Any]] = []
    functions: list[tuple[type, Any]] = []
    if path == sdk.factory:
        with suppress(AttributeError):  # half of the package is imported
            found = [(object, attrgetter(path)(sys.modules.get(sdk.package)))]
        classes = []
    elif isinstance(subject, ModuleType):
        functions = [(object, layer) for layer in _layers_of(vars(subject).get(path), sdk)]
        classes = _classes_in(subject, sdk)
    for kind in classes:
        found.append((kind, _method_at(kind, path, sdk)))
        made = (_result_of(kind, maker, sdk) for maker in sdk.makers)
        found += ((object, _method_at(result, path, sdk)) for result in made)
    functions += [(kind, _function_of(method, sdk)) for kind, method in found]
    return [(kind, function) for kind, function in functions if isinstance(function, FunctionType)]


def _classes_in(module: ModuleType, sdk: Sdk) -> list[Any]:
    """List the classes of clients that a module has, or else its package as far as imported."""
    names = dict.fromkeys((*sdk.names, *(f"Async{name}" for name in sdk.names)))
    classes = [kind for name in names if (kind := getattr(module, name, None))]
    if not classes:
        modules = [other for name, other in [*sys.modules.items()] if sdk.has(name)]
        found = (getattr(other, name, None) for other in modules for name in names)
        classes = [*dict.fromkeys(kind for kind in found if isinstance(kind, type))]
    return classes


def _method_at(kind: Any, path: str, sdk: Sdk) -> Any:
    *resources, name = path.split(".")
    return getattr_static(_kind_at(kind, resources, sdk), name, None)


def _result_of(kind: Any, path: str, sdk: Sdk) -> Any:
    """Return the class of a method's result, if its annotation names it."""
    *resources, _ = path.split(".")
    with suppress(Exception):
        result = get_type_hints(_method_at(kind, path, sdk))["return"]
        if isinstance(result, TypeVar):  # of a generic base of the resource
            owner = _kind_at(kind, resources, sdk)
            (reference,) = get_args(owner.__orig_bases__[0])
            result = vars(sys.modules[owner.__module__])[reference.__forward_arg__]
        return result
    return None


class _Unset:
    """A base of a client that its constructor did not run for: the attributes that it lacks."""

    def __getattr__(self, name: str) -> None:
        """Return None."""


def _kind_at(kind: Any, resources: list[str], sdk: Sdk) -> Any:
    """Return the class of a resource that the instances of a class have, if it is known."""
    # The properties that make resources need no more of a client than its methods, and what the
    # constructor sets: its configuration, which they pass on, and None for each resource.
    bases = (kind,) if sdk.late else (kind, _Unset)
    with suppress(Exception):
        client: Any = object.__new__(type(kind.__name__, bases, {}))
        vars(client)[sdk.url.partition(".")[0]] = None
        resource = reduce(getattr, resources, client)
        if resource is not None:
            return type(resource)
    late: Any = sys.modules.get(sdk.late)
    return reduce(partial(_annotated, vars(late) if late else {}), resources, kind)


def _annotated(late: dict[str, Any], kind: Any, name: str) -> Any:
    """Return the class of an attribute by its annotation; `late` has more names that it may use."""
    made = getattr_static(kind, name, None)
    maker = getattr(made, "fget", None) or getattr(made, "func", None)
    with suppress(Exception):
        return get_type_hints(maker or kind, localns=late)["return" if maker else name]
    return None


def _function_of(method: Any, sdk: Sdk) -> Any:
    """Return the SDK's own function, below the wrappers of other libraries."""
    return unwrap(
        method,
        stop=lambda layer: (
            isinstance(layer, FunctionType) and sdk.has(layer.__globals__["__name__"])
        ),
    )


def _layers_of(function: Any, sdk: Sdk) -> list[Any]:
    """Return a function of a module, and the SDK's functions that it wraps.

    Other parts of the SDK, and imports of its inner modules, call the inner ones.
    """
    layers = [_function_of(function, sdk)]
    while inner := getattr(layers[-1], "__wrapped__", None):
        layers.append(inner)
    return layers
