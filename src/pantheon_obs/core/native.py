"""Real threads, also where greenlets stand in for them; where none may start."""

from __future__ import annotations

import _thread
import sys
from importlib.machinery import BuiltinImporter
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def _original() -> Any:  # noqa: ANN401 - a module
    """Load a fresh copy of the module: it has the original functions, whoever has replaced them."""
    spec: Any = BuiltinImporter.find_spec("_thread")
    module = BuiltinImporter.create_module(spec)
    BuiltinImporter.exec_module(module)  # type: ignore[arg-type]  # of a spec that was found
    return module


thread: Any = _original()
"""The standard library's `_thread`."""


def threads_are_greenlets() -> bool:
    """Whether a thread that is started now would be a greenlet."""
    return not isinstance(_thread.start_new_thread, BuiltinFunctionType)


def is_forked_later(numbers: Mapping[str, Iterable[str]]) -> bool:
    """Whether this process only loads the application for the workers that a server forks in C.

    It does so without Python's hooks, whatever the threads here do. A worker in which one of them
    has the interpreter's lock, and did not survive the fork, never answers.

    Args:
        numbers: By the modules that only such servers have: the functions that return a worker's
            number, and 0 here.
    """
    for server, names in numbers.items():
        functions: list[Any] = [getattr(sys.modules.get(server), name, None) for name in names]
        if all(functions) and not any(function() for function in functions):
            return True
    return False
