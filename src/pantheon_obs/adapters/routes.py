"""The route's template, from what the framework's router left in the scope. Imports no framework.

Starlette and FastAPI leave the innermost route only: under a mount the way to it is walked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.adapters.asgi import Scope

_FULL = 2  # starlette.routing.Match

_guard = Guard("route template")


def route_template(scope: Scope, root_path: str) -> str | None:
    """The full template of the route that was matched, or None.

    Args:
        scope: The connection's scope, after the app's router has seen it.
        root_path: The scope's `root_path` before that.

    Returns:
        For example `/api/items/{item_id}`.
    """
    with _guard:
        if "endpoint" not in scope:
            return None
        route = scope.get("route")
        if route is not None and scope.get("root_path", "") == root_path:
            context = _included(scope)
            if context is not None and context.original_route is route:
                return str(context.path)
            if not hasattr(route, "routes"):
                return str(route.path)
        router = scope.get("router")
        if router is not None:
            keys = ("type", "path", "method", "headers")
            probe = {key: scope[key] for key in keys if key in scope}
            return _walk(router.routes, {**probe, "root_path": root_path, "path_params": {}})
    return None


def _included(scope: Scope) -> Any:  # noqa: ANN401 - a class that is private to FastAPI
    """FastAPI's own note of a route that came in by `include_router`, its prefixes included."""
    return (scope.get("fastapi") or {}).get("effective_route_context")


def _walk(routes: Iterable[Any], probe: dict[str, Any]) -> str | None:
    partial = None
    for route in routes:
        match, child = route.matches(probe)
        if match.value == _FULL:
            return _template(route, {**probe, **child})
        if match.value and partial is None:
            partial = _template(route, {**probe, **child})
    return partial


def _template(route: Any, probe: dict[str, Any]) -> str | None:  # noqa: ANN401 - any framework's route
    context = _included(probe)
    if context is not None:
        route = context.starlette_route or context
    below = getattr(route, "routes", None)
    path = str(getattr(route, "path", ""))
    if below is None:
        return path
    if below:
        inner = _walk(below, probe)
        return None if inner is None else path + inner
    return path + "/{path}"  # a mounted app without routes, such as static files
