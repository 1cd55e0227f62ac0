"""Stand-ins for objects whose class cannot be swapped: `map`, `iter([])`, what is written in C."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.parts import HostValue

# What a proxy does itself, or what would make another object of it.
_OWN = frozenset(
    {"__class__", "__new__", "__init__", "__init_subclass__", "__subclasshook__", "__del__"}
    | {"__getattribute__", "__getattr__", "__setattr__", "__delattr__", "__class_getitem__"}
)
_CLOSERS = ("close", "aclose")


class _Proxy:
    """Passes everything on to its target."""

    __slots__ = ("_pantheon_obs_target",)

    def __getattr__(self, name: str) -> HostValue:
        return getattr(_target(self), name)

    def __setattr__(self, name: str, value: HostValue) -> None:
        setattr(_target(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_target(self), name)


_slot: Any = vars(_Proxy)["_pantheon_obs_target"]


def proxy_of(target: HostValue) -> HostValue:
    """A stand-in for an object, an instance of its class as far as `isinstance` can tell."""
    kind: HostValue = type(target)
    proxy = _proxy_class(kind)()
    _slot.__set__(proxy, target)
    return proxy


def _target(proxy: HostValue) -> HostValue:
    return _slot.__get__(proxy)


@lru_cache(maxsize=512)
def _proxy_class(kind: type) -> type:
    namespace: dict[str, Any] = {
        name: _forward(name)
        for name in (*dir(kind), *_CLOSERS)
        if (name in _CLOSERS or name.startswith("__"))
        and name not in _OWN
        and callable(getattr(kind, name, None))
    }
    namespace |= {"__slots__": (), "__class__": property(lambda _: kind), "__doc__": kind.__doc__}
    return type(kind.__name__, (_Proxy,), namespace)


def _forward(name: str) -> Callable[..., Any]:
    def forward(self: HostValue, *args: HostValue, **kwargs: HostValue) -> HostValue:
        target = _target(self)
        answer = getattr(target, name)(*args, **kwargs)
        return self if answer is target else answer  # what gives itself gives its proxy

    return forward
