"""Objects under observation: the very object comes back.

Its class is swapped for a subclass of the same name, which looks at what passes through some of its
methods, and is swapped back at the end. The object's own attributes stay as they are:
which call an object belongs to is kept here, by `id`, until the subclass's `__del__` at the latest.
"""

from __future__ import annotations

from functools import lru_cache, partial, wraps
from inspect import getattr_static
from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.object_givers import MANAGER, RAW
from pantheon_obs.llm.object_methods import STREAM
from pantheon_obs.llm.proxies import proxy_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.lifecycle import LlmCall
    from pantheon_obs.llm.parts import HostValue

    # What makes an observed method of the host's, by the method's name.
    Methods = dict[str, Callable[[Any, "Swap"], Any]]

_SWAP = "_pantheon_obs_swap"
# An object may hide its class behind a property of that name; this sets the real one.
_set_class: Callable[[object, type], None] = object.__dict__["__class__"].__set__


def observe_stream(subject: HostValue, call: LlmCall) -> HostValue:
    """Observe an object that is iterated and closed.

    Args:
        subject: The object.
        call: The call that it came from.

    Returns:
        The object; a proxy where its class cannot be swapped, as that of `map` and other types
        written in C.
    """
    return _observe(subject, call, _stream_swap)


def observe_manager(subject: HostValue, call: LlmCall) -> HostValue:
    """Observe an object that gives the answer when it is entered or awaited, as above."""
    return _observe(subject, call, _manager_swap)


def observe_raw(subject: HostValue, call: LlmCall) -> HostValue:
    """Observe an SDK's raw response that gives the answer when it is parsed, as above."""
    return _observe(subject, call, _raw_swap)


def _observe(subject: HostValue, call: LlmCall, swap_of: Callable[[type], Swap]) -> HostValue:
    kind: HostValue = type(subject)
    try:
        swap_of(kind).take(subject, call)
    except Exception:  # noqa: BLE001 - what the making of a subclass may raise is up to the class
        subject = proxy_of(subject)
        kind = type(subject)
        swap_of(kind).take(subject, call)
    return subject


class Swap:
    """A class of the host's, its observed subclass, and the open calls of their objects."""

    def __init__(self, kind: type, methods: Methods) -> None:
        self.kind = kind
        self.open: dict[int, LlmCall] = {}
        namespace: dict[str, Any] = {
            _SWAP: self,
            "__slots__": (),
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__doc__": kind.__doc__,
        }
        for name, observed in methods.items():
            method = getattr(kind, name, None)
            if callable(method) and not isinstance(
                getattr_static(kind, name), staticmethod | classmethod
            ):
                namespace[name] = wraps(method)(observed(method, self))
        namespace.setdefault("__del__", methods["__del__"](_nothing, self))
        namespace["__reduce_ex__"] = _reduce_ex
        if not any("__class__" in vars(base) for base in kind.__mro__[:-1]):
            namespace["__class__"] = property(lambda _: kind, _set_class)
        self.observed: type = type(kind)(kind.__name__, (kind,), namespace)

    def take(self, subject: HostValue, call: LlmCall) -> None:
        """Observe an object from now on."""
        _set_class(subject, self.observed)
        self.open[id(subject)] = call

    def leave(self, subject: HostValue) -> None:
        """Observe an object no more; it gets back the class that it had, unless it needs it."""
        self.open.pop(id(subject), None)
        kind = type(subject)
        while _SWAP in vars(kind) and id(subject) not in vars(kind)[_SWAP].open:
            kind = vars(kind)[_SWAP].kind
        _set_class(subject, kind)

    def settle(self, subject: HostValue, call: LlmCall) -> None:
        """Observe the object no more and report the call's end."""
        self.leave(subject)
        call.settle(subject)


# Bounded: classes that a function makes anew each time must not pile up.
_stream_swap = lru_cache(maxsize=512)(partial(Swap, methods=STREAM))
_manager_swap = lru_cache(maxsize=128)(partial(Swap, methods=MANAGER))
_raw_swap = lru_cache(maxsize=128)(partial(Swap, methods=RAW))


def _reduce_ex(subject: HostValue, protocol: HostValue) -> HostValue:
    """What pickles and copies an object: a copy belongs to no call, and has the host's class."""
    observed: HostValue = type(subject)
    kind = observed
    while _SWAP in vars(kind):
        kind = vars(kind)[_SWAP].kind
    reduced = kind.__reduce_ex__(subject, protocol)
    if not isinstance(reduced, tuple):
        return reduced
    make, given, *state = reduced
    return (make, tuple(kind if part is observed else part for part in given), *state)


def _nothing(_: object) -> None:
    """What a class without `__del__` does."""
