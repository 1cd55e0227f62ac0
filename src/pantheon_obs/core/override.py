"""Override a method of one object without a reference cycle.

A bound method in an attribute of its own object is such a cycle: the object would be freed by the
garbage collector only, and not with its last reference. So the new method stands in a class of the
object's own, and calls the earlier one through a weak reference. A reference to the bound method
keeps the object alive, as before.
"""

from __future__ import annotations

from types import new_class
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable


class WeakMethod:
    """A method of an object that it does not keep alive."""

    def __init__(self, owner: object, name: str) -> None:
        self._owner = ref(owner)
        self._method = getattr(type(owner), name)

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401 - whatever the method takes and returns
        """Call the method."""
        return self._method(self._owner(), *arguments)


def own_method(owner: object, name: str) -> Any:  # noqa: ANN401 - a callable of any kind
    """A method as it is now: the object that was put in its place, or the class's own, weakly."""
    own = vars(owner)
    return own[name] if name in own else WeakMethod(owner, name)


def override(owner: Any, name: str, method: Callable[..., Any]) -> None:  # noqa: ANN401 - any object
    """Give an object a method of its own, a function that takes the object first."""
    kind = type(owner)
    namespace = {key: getattr(kind, key) for key in ("__module__", "__qualname__", "__doc__")}
    vars(owner).pop(name, None)
    namespace[name] = method
    owner.__class__ = new_class(
        kind.__name__, (kind,), exec_body=lambda body: body.update(namespace)
    )
