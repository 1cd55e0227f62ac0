"""The templates of mounts, asked of the applications that mount others.

A dispatcher leaves only the real path to the application that it has chosen. The path stands in the
route where the dispatcher has it in a table, an attribute or its code. Any other may be part of the
data, as a tenant's name is.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNT = "/{mount}"
"""Stands for a part of the path that the application does not have."""

_PARAMETER = frozenset("{<")
_MOST = 2000  # objects that are looked at, of one application


class Mounts:
    """The paths at which an application mounts others; looked up when they are first needed."""

    def __init__(self, app: object) -> None:
        self._app = app
        self._known: WeakKeyDictionary[Any, frozenset[str]] = WeakKeyDictionary()

    def template_of(self, real: str, *others: object) -> str:
        """Make a template of a real path through mounts of the application and of other objects."""
        fixed = frozenset[str]().union(*(self._paths_of(app) for app in (self._app, *others)))
        rest, template = real.rstrip("/"), ""
        while rest:
            fitting = [path for path in fixed if f"{rest}/".startswith(f"{path}/")]
            if not fitting:
                return template + MOUNT
            longest = max(fitting, key=len)
            template, rest = template + longest, rest[len(longest) :]
        return template

    def _paths_of(self, app: object) -> frozenset[str]:
        try:
            found = self._known.get(app)
            if found is None:
                found = self._known[app] = _search(app)
        except TypeError:  # not hashable, or without weak references
            return _search(app)
        return found


def routes_below(route: object) -> list[Any] | None:
    """The routes that a mount leads to, through middlewares; empty if unknown, None of no mount."""
    contexts = getattr(route, "effective_route_contexts", None)
    if contexts is not None:  # an `include_router` of FastAPI
        return [context.starlette_route or context for context in contexts()]
    if not hasattr(route, "routes"):
        return None
    within: Any = route
    for _ in range(_MOST):
        routes = [
            each for each in getattr(within, "routes", None) or () if hasattr(each, "matches")
        ]
        within = getattr(within, "app", None)
        if routes or within is None:
            return routes
    return []


def _search(app: object) -> frozenset[str]:
    """Look for paths in an application, and in those within it."""
    paths: set[str] = set()
    seen: dict[int, object] = {}
    waiting = [app]
    while waiting and len(seen) < _MOST:
        each = waiting.pop()
        if id(each) not in seen:
            seen[id(each)] = each
            with suppress(Exception):  # an object may stand for one that is not there
                for part in _parts(each):
                    if isinstance(part, str):
                        paths.add(part.rstrip("/"))
                    else:
                        waiting.append(part)
    return frozenset(path for path in paths if path.startswith("/") and not _PARAMETER & set(path))


def _parts(each: Any) -> Iterator[Any]:  # noqa: ANN401 - any object
    """The texts in an object that may be paths, and the applications in it."""
    if isinstance(each, FunctionType):
        yield from _texts(each.__code__)
        for name in each.__code__.co_names:
            yield from _of_value(each.__globals__.get(name), callables=False)
        for cell in each.__closure__ or ():
            with suppress(ValueError):  # not yet bound
                yield from _of_value(cell.cell_contents)
        return
    if isinstance(each, MethodType):
        yield each.__self__
        return
    if isinstance(each, partial):
        yield each.func
        return
    call = type(each).__call__
    if isinstance(call, FunctionType):
        yield from _texts(call.__code__)
    for name in _names(each):
        yield from _of_value(getattr(each, name, None))
    routes = getattr(each, "routes", None)
    for route in routes if isinstance(routes, list | tuple) else ():
        yield from _of_value(getattr(route, "path", None))
        yield from _of_value(getattr(route, "app", None))


def _names(each: Any) -> list[str]:  # noqa: ANN401 - any object
    """The names of an object's attributes, those in slots too."""
    names: list[str] = [*getattr(each, "__dict__", ())]
    for kind in type(each).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return names


def _of_value(value: Any, *, callables: bool = True) -> Iterator[Any]:  # noqa: ANN401 - any object
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for path, app in value.items():
            if isinstance(path, str) and path.startswith("/") and callable(app):
                yield path
                yield app
    elif callables and callable(value) and not isinstance(value, type):
        yield value


def _texts(code: CodeType) -> Iterator[str]:
    """The constants of a function's code, and of the functions in it."""
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _texts(constant)
        elif isinstance(constant, tuple | frozenset):  # `startswith(("/a", "/b"))`
            yield from (text for text in constant if isinstance(text, str))
