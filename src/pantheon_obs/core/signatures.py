"""Find out from its signature whether a callable can be called in a certain way."""

from __future__ import annotations

import inspect
from types import MemberDescriptorType
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Callable


def takes(function: object, *arguments: str) -> bool:
    """Whether an object can be called with these positional arguments.

    False if nobody can know it.
    """
    signature = _signature_of(function)
    return signature is not None and _fits(signature, arguments)


def cannot_take(function: object, *arguments: str) -> bool:
    """Whether it is known that a call with these positional arguments fails."""
    if not callable(function):
        return True
    signature = _signature_of(function)
    return signature is not None and not _fits(signature, arguments)


def is_plain(function: object, *arguments: str) -> TypeGuard[Callable[..., object]]:
    """Whether a call with these positional arguments may return a value at once."""
    waits = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return not (cannot_take(function, *arguments) or any(kind(function) for kind in waits))


def _signature_of(function: object) -> inspect.Signature | None:
    # An object may have its `__call__` in a slot, of which its class knows no signature.
    own = isinstance(vars(type(function)).get("__call__"), MemberDescriptorType)
    try:
        return inspect.signature(function.__call__ if own else function)  # type: ignore[operator,arg-type]
    except (TypeError, ValueError):
        return None


def _fits(signature: inspect.Signature, arguments: tuple[str, ...]) -> bool:
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True
