"""Objects under observation: the application gets the same object.

Its class is replaced with a subclass of the same name, which observes some of the methods, and is
restored at the end. The object's attributes stay as they are: the call that an object belongs to is
kept here by `id`, at the latest until the subclass's `__del__`.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial, wraps
from inspect import getattr_static
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any
from weakref import ref

from pantheon_obs.llm.usage.sources import attached_usage, is_future

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pantheon_obs.llm.report import LlmCall

    # Functions that make an observed method of the application's, by the method's name.
    Methods = dict[str, Callable[[Any, "ObservedClass"], Any]]

_OBSERVED = "_pantheon_obs_class"
# An object may hide its class behind a property of that name; this sets the real one.
_set_class: Callable[[object, type], None] = object.__dict__["__class__"].__set__


class ObservedClass:
    """A class of the application's, its observed subclass, and the open calls of their objects.

    `methods` has the methods to observe; `__del__` is one of them.
    """

    def __init__(self, kind: type, methods: Methods) -> None:
        self.kind = kind
        self.open: dict[int, LlmCall] = {}
        namespace: dict[str, Any] = {
            _OBSERVED: self,
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
        namespace.setdefault("__del__", methods["__del__"](lambda _: None, self))
        namespace["__reduce_ex__"] = _reduce_ex
        if not any("__class__" in vars(base) for base in kind.__mro__[:-1]):
            namespace["__class__"] = property(lambda _: kind, _set_class)
        self.subclass: type = type(kind)(kind.__name__, (kind,), namespace)

    def enter(self, subject: Any, call: LlmCall) -> None:
        """Observe an object from now on; `TypeError` if its class cannot be replaced."""
        _set_class(subject, self.subclass)
        self.open[id(subject)] = call

    def leave(self, subject: Any) -> None:
        """Stop observing an object: restore its class, unless another call needs it."""
        self.open.pop(id(subject), None)
        kind = type(subject)
        while _OBSERVED in vars(kind) and id(subject) not in vars(kind)[_OBSERVED].open:
            kind = vars(kind)[_OBSERVED].kind
        _set_class(subject, kind)

    def settle(self, subject: Any, call: LlmCall) -> None:
        """Stop observing the object and report the call's end."""
        self.leave(subject)
        call.settle(subject)


def keep_source(source: Any, call: LlmCall) -> None:
    """Keep where the usage will be; only weakly, because garbage collection is an end."""
    if call.attached is None:
        attached = attached_usage(source)
        call.attached = attached if is_future(attached) else None
    if call.source is None and hasattr(type(source), "__weakref__"):
        call.source = ref(source)


def attributes(holder: Any) -> Iterator[tuple[Any, Callable[[Any], None]]]:
    """Yield an object's attributes, each with a function that replaces it, even if frozen."""
    own: dict[str, Any] = getattr(holder, "__dict__", {})
    for name, value in own.items():
        yield value, partial(own.__setitem__, name)
    for base in type(holder).__mro__:
        for member in vars(base).values():
            if isinstance(member, MemberDescriptorType):
                with suppress(AttributeError):  # an empty slot
                    yield member.__get__(holder), partial(member.__set__, holder)


def _reduce_ex(subject: Any, protocol: Any) -> Any:
    """Pickle and copy an object as one of the application's class, which belongs to no call."""
    observed: Any = type(subject)
    kind = observed
    while _OBSERVED in vars(kind):
        kind = vars(kind)[_OBSERVED].kind
    reduced = kind.__reduce_ex__(subject, protocol)
    if not isinstance(reduced, tuple):
        return reduced
    make, given, *state = reduced
    return (make, tuple(kind if part is observed else part for part in given), *state)
