"""Prove that `testing.reset()` resets the library: compare the state of its modules."""

from __future__ import annotations

import sys
from collections import deque
from contextvars import ContextVar
from functools import cache
from re import Pattern
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary, WeakSet

from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable

State: TypeAlias = dict[tuple[str, str], tuple[object, object]]

PACKAGE = "pantheon_obs"
_PLAIN = frozenset({bool, bytes, float, frozenset, int, str, tuple, type(None), Guard, Pattern})

MAY_STAY = {
    "core.foreign._ask": "registered once per process by whatever begins traces",
    "core.foreign.bound": "registered once per process by whatever begins traces",
    "core.foreign.clear": "registered once per process by whatever begins traces",
    "core.foreign.tracer": "registered once per process by whatever begins traces",
    "core.late_imports._waiting": "whatever begins traces waits for a module once per process",
    "core.finalizers._collecting": "whether the garbage collector runs at this moment",
    "core.structured.in_flight": "a record that a thread logs leaves it when its handlers have run",
    "core.task.running": "a task that runs leaves it by itself, after its line",
    "_instrument._of": "weak; the applications stay instrumented",
    "core.guard._from_signals": "the signal handlers of Celery stay in the process",
    "propagation.prepare._prepared": "the classes of event loops; they stay watched",
    "propagation.prepare.prepare_process": "called once per process",
    "adapters.asgi_relays._known": "facts about code objects, which do not change",
    "adapters.celery_tasks.patch": "Celery's build_tracer stays wrapped: the tasks stay traced",
    "llm.cost.price_list_loader.loader": "the price list is loaded once per process",
    "sinks.logs.configure._level_before": "only read while a handler is installed",
    "sinks.logs.configure._settings": "only read while a handler is installed",
    "sinks.logs.delivery._output": "remembers the file of the standard output",
    "sinks.logs.entry.placed": "weak; the records belong to those who keep them",
    "sinks.logs.noticing.placed": "the same collection",
    "sinks.logs.hooks._before": "our hooks stay below those that have replaced them",
    "sinks.logs.structlog_fields.variables": "structlog's own register of context variables",
    "sinks.logs.printing._silenced": "weak; the handlers belong to the application",
    "sinks.logs.takeover._quieted": "the loggers keep the levels that it remembers",
}
"""Variables that `reset()` leaves as they are, with the reason."""


def changes(before: State, after: State) -> list[str]:
    """Name the variables that differ, save those that may stay.

    Args:
        before: The state before a test.
        after: The state after the test and `reset()`. Modules that were loaded since are ignored.
    """
    names = {
        f"{module.removeprefix(PACKAGE).removeprefix('.') or '__init__'}.{name}": value
        for (module, name), (value, content) in before.items()
        if (found := after.get((module, name))) is not None
        and not (_is_same(found[0], value) and _is_unchanged(content, found[1]))
    }
    # An object that may stay is also known by its name in the modules that import it. A thread may
    # change it while the state is read: then only some of its names differ.
    may_stay = [
        value
        for module, _, name in (known.rpartition(".") for known in MAY_STAY)
        for value, _ in [before.get((f"{PACKAGE}.{module}", name), (None, None))]
        if type(value) not in _PLAIN
    ]
    return sorted(
        name
        for name, value in names.items()
        if name not in MAY_STAY and not any(value is other for other in may_stay)
    )


def _is_unchanged(before: object, after: object) -> bool:
    if isinstance(before, frozenset) and isinstance(after, frozenset):
        return after <= before  # the garbage collector may have taken members of a weak collection
    return before == after


def _is_same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, str | int | float | tuple) and one == other)


def state() -> State:
    """Describe the variables of all modules of the package that are loaded."""
    return {
        key: (value, _describer(type(value))(value))
        for key, variables in _variables(len(sys.modules))
        for value in (variables[key[1]],)
    }


@cache
def _variables(_loaded: int) -> tuple[tuple[tuple[str, str], dict[str, Any]], ...]:
    """List the variables that belong to a module of the package, and are no functions or classes.

    To search through all modules takes long.
    """
    imported = (FunctionType, ModuleType, type)
    return tuple(
        ((module, name), variables)
        for module in sorted(sys.modules)
        if module.partition(".")[0] == PACKAGE
        for variables in (vars(sys.modules[module]),)
        for name, value in [*variables.items()]  # another thread may add some
        if not name.startswith("__")
        and name != "TYPE_CHECKING"
        # Asked of the type: a proxy may refuse to be looked at.
        and not issubclass(type(value), imported)
        and _home(value, module) in (module, type(value).__module__)
    )


def _home(value: Any, module: str) -> object:
    """Return the module that an object says it is from; a proxy that refuses is from its type's."""
    try:
        return getattr(value, "__module__", module)
    except Exception:  # noqa: BLE001 - a proxy that stands for nothing yet
        return type(value).__module__


_MEMBERS: dict[type, Callable[[Any], object]] = {
    dict: lambda value: [(id(key), id(item)) for key, item in value.items()],
    list: lambda value: [*map(id, value)],
    deque: lambda value: [*map(id, value)],
    set: lambda value: sorted(map(id, value)),
    WeakSet: lambda value: frozenset(map(id, value)),
    WeakKeyDictionary: lambda value: frozenset(map(id, value)),
}


@cache
def _describer(kind: type) -> Callable[[Any], object]:
    """Return the function that describes the content of a kind of objects, but keeps none alive."""
    if kind in _MEMBERS:
        return _MEMBERS[kind]
    if kind is ContextVar:
        return lambda value: id(value.get(None) or None)
    if kind.__module__.startswith(PACKAGE) and kind is not Guard:
        return lambda value: {
            name: id(item) for name, item in getattr(value, "__dict__", {}).items()
        }
    if hasattr(kind, "cache_info"):  # asked of the type: a proxy may refuse to be looked at
        return _size
    return _nothing


def _size(memo: Any) -> int | None:
    info = memo.cache_info()
    return info.currsize if info.maxsize is None else None  # a bounded memo table may stay


def _nothing(_constant: object) -> None:
    """Describe a value that only another one can replace."""
