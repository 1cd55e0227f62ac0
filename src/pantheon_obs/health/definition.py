"""Refuse what cannot be a check: it would fail, or pass, at every probe."""

from __future__ import annotations

import inspect
from typing import Any

from pantheon_obs.core.errors import refuse


def refuse_unless_check(name: str, function: Any) -> None:
    """Refuse an object that does not check anything when it is called without arguments."""
    if not callable(function):
        accepted = "a callable without arguments: a function itself, not what it returns"
    elif _is_generator_function(function):
        accepted = "a function that returns: a generator's code runs only if it is iterated over"
    elif inspect.isclass(function) and any("__call__" in vars(base) for base in function.__mro__):
        accepted = f"an instance: {function.__name__}()"
    elif _needs_arguments(function):
        called = getattr(function, "__name__", type(function).__name__)
        called = name if called == "<lambda>" else called
        accepted = f"a callable without arguments: lambda: {called}(…), or what {called}(…) returns"
    else:
        return
    refuse(name, function, accepted)


def _is_generator_function(function: Any) -> bool:
    calls = (function, getattr(type(function), "__call__", None))  # noqa: B004 - to look at its code
    return any(inspect.isgeneratorfunction(c) or inspect.isasyncgenfunction(c) for c in calls)


def _needs_arguments(function: Any) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some callables of C have none
        return False
    try:
        signature.bind()
    except TypeError:
        return True
    return False
