"""Objects that iterate, under observation: the very object comes back.

Its class is swapped for a subclass of the same name, which looks at what passes through iteration,
`close` and `with`, and is swapped back at the end. The object's own attributes stay as they are:
which call an object belongs to is kept here, by `id`, until the subclass's `__del__` at the latest.
"""

from __future__ import annotations

from functools import lru_cache, wraps
from inspect import getattr_static
from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.object_methods import METHODS
from pantheon_obs.llm.proxies import proxy_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.lifecycle import LlmCall
    from pantheon_obs.llm.parts import HostValue

_SWAP = "_pantheon_obs_swap"
# An object may hide its class behind a property of that name; this sets the real one.
_set_class: Callable[[object, type], None] = object.__dict__["__class__"].__set__


def observe_object(subject: HostValue, call: LlmCall) -> HostValue:
    """Observe an object that is iterated, closed, entered or awaited.

    Args:
        subject: The object.
        call: The call that it came from.

    Returns:
        The object; a proxy where its class cannot be swapped, as that of `map` and other types
        written in C.
    """
    kind: HostValue = type(subject)
    try:
        _swap_of(kind).take(subject, call)
    except Exception:  # noqa: BLE001 - what the making of a subclass may raise is up to the class
        subject = proxy_of(subject)
        kind = type(subject)
        _swap_of(kind).take(subject, call)
    return subject


class Swap:
    """A class of the host's, its observed subclass, and the open calls of their objects."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.open: dict[int, LlmCall] = {}
        namespace: dict[str, Any] = {
            _SWAP: self,
            "__slots__": (),
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__doc__": kind.__doc__,
        }
        for name, observed in METHODS.items():
            method = getattr(kind, name, None)
            if callable(method) and not isinstance(
                getattr_static(kind, name), staticmethod | classmethod
            ):
                namespace[name] = wraps(method)(observed(method, self))
        namespace.setdefault("__del__", METHODS["__del__"](_nothing, self))
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


@lru_cache(maxsize=512)  # bounded: a class that a function makes anew each time must not pile up
def _swap_of(kind: type) -> Swap:
    return Swap(kind)


def _nothing(_: object) -> None:
    """What a class without `__del__` does."""
