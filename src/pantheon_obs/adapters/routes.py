"""Find the route's template in the scope, where the framework's router has left it.

Starlette and FastAPI leave the innermost route (FastAPI only its own) and, in `root_path`, the way
to it through mounts. Where that is not enough, the routes are matched once more. Litestar leaves
the template of its router, and the rest of the path where it has mounted something. Where a
framework leaves nothing (Quart), its adapter leaves the template under `ROUTE`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.core.asgi_types import Scope

_FULL = 2  # starlette.routing.Match

_guard = Guard("route template")


ROUTE = "pantheon_obs.route"


def route_template(scope: Scope, root_path: str, path: str, *, found: bool) -> str | None:
    """The full template of the route that was matched, or None.

    Args:
        scope: The connection's scope, after the application's router has handled it.
        root_path: The scope's `root_path` before that.
        path: The scope's `path` before that.
        found: Whether the application has found the resource; a missing one of mounted files has
            matched nothing but the mount.

    Returns:
        For example `/api/items/{item_id}`.
    """
    with _guard:
        if ROUTE in scope:
            return f"{_mounts(scope, root_path)}{scope[ROUTE]}"
        if "path_template" in scope:
            return _of_litestar(scope, path.removeprefix(root_path), found=found)
        if "endpoint" not in scope:
            return None
        template = _innermost_template(scope)
        if template is not None:
            mounts = _mounts(scope, root_path)
            if not mounts or _names_all(template, scope.get("path_params") or {}):
                return f"{mounts}{template}"
        probe = {key: scope[key] for key in ("type", "path", "method", "headers") if key in scope}
        probe |= {"root_path": root_path, "path_params": {}}
        return _walk(scope["router"].routes, probe, template or ("/{path}" if found else None))
    return None


def _mounts(scope: Scope, root_path: str) -> str:
    """The way through mounts, where these put it into `root_path`."""
    return str(scope.get("root_path", "")).removeprefix(root_path)


def _of_litestar(scope: Scope, path: str, *, found: bool) -> str | None:
    """Litestar's template, which knows no trailing slash; of a mount it is empty."""
    template = scope["path_template"] or ("/{path}" if found else None)
    if template is None:
        return None
    # The part of the path that the mounts have taken, which have no parameters.
    mounts = path.strip("/").removesuffix(scope["path"].strip("/")).strip("/")
    return "/" + "/".join(filter(None, (mounts, template.strip("/"))))


def _innermost_template(scope: Scope) -> str | None:
    """The template of the route that has answered, without the mounts around it."""
    route = scope.get("route")
    # FastAPI's own note of an `include_router`, whose prefixes the route lacks.
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    if context is not None:
        included = context.starlette_route
        if context.original_route is route:
            route = included or context
        elif getattr(included, "endpoint", None) is scope["endpoint"]:
            route = included
    return None if hasattr(route, "routes") else getattr(route, "path", None)


def _names_all(template: str, parameters: dict[str, Any]) -> bool:
    """Whether each parameter is the route's own, so that none is a mount's."""
    return all(f"{{{name}" in template for name in parameters)


def _walk(routes: Iterable[Any], probe: dict[str, Any], innermost: str | None) -> str | None:
    """Match again: the template of the first full match, else of the first partial one."""
    chosen = None
    for route in routes:
        match, child = route.matches(probe)
        if match.value and (chosen is None or match.value == _FULL):
            chosen = route, child
        if match.value == _FULL:
            break
    if chosen is None:
        return None
    route, child = chosen
    below = getattr(route, "routes", None)
    if below is None:
        return getattr(route, "path", innermost)
    inner = _walk(below, {**probe, **child}, innermost) if below else innermost
    return None if inner is None else f"{getattr(route, 'path', '')}{inner}"
