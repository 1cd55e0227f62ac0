"""Find the route's template in the scope, where the framework's router has left it.

Starlette and FastAPI leave the innermost route (FastAPI only its own), and in `root_path` the real
path through mounts. So a request that came through a mount is matched once more, on its own scope.
Litestar leaves the template of its router, and the rest of the path where it has mounted something.
Where a framework leaves nothing (Quart), its adapter leaves the template under `ROUTE`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.adapters.routes_mounts import routes_below
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pantheon_obs.adapters.routes_mounts import Mounts
    from pantheon_obs.core.asgi_types import Message, Scope, Send
    from pantheon_obs.core.exchange import Exchange

NOT_FOUND = 404
_FULL = 2  # starlette.routing.Match
_REST = "/{path}"  # the template of whatever a mount hands over to an unknown application

_guard = Guard("route template")

ROUTE = "pantheon_obs.route"


def noting_route(outer: Exchange, scope: Scope, send: Send, mounts: Mounts) -> Send:
    """Have the route noted on an exchange of another protocol when the response starts."""
    root_path, path = scope.get("root_path", ""), scope.get("path", "")

    async def noting(message: Message) -> None:
        with _guard:
            if message["type"] == "http.response.start":
                found = message["status"] != NOT_FOUND
                template = route_template(scope, root_path, path, mounts.template_of, found=found)
                if template is not None:
                    outer.routed(template)
        await send(message)

    return noting


def route_template(
    scope: Scope, root_path: str, path: str, named: Callable[[str], str], *, found: bool
) -> str | None:
    """The full template of the route that was matched, such as `/api/items/{item_id}`, or None.

    `root_path` and `path` are the scope's before the application's router has handled it. `named`
    makes the template of a real path through mounts whose routers do not leave theirs. `found`
    says whether the application has found the resource: a missing one of mounted files has matched
    nothing but the mount.
    """
    with _guard:
        begin = reached = way = str(scope.get("root_path", ""))
        template = scope.get(ROUTE)
        mounts = ""
        if template is None and scope.get("path_template"):
            taken = _taken(path.removeprefix(way), scope)
            template = _below(taken, f"/{scope['path_template'].strip('/')}", named)
            template = template.rstrip("/") or "/"
        if "endpoint" in scope:
            begin = str(scope.get("app_root_path", way))
            if template is None:
                template = _innermost_template(scope)
            if template is not None and begin == way == root_path and "path_template" not in scope:
                return template  # without a mount, as most requests come
            if template is None or begin != way:
                mounts, leaf, reached = _walk(scope, begin, path)
                if template is None:  # else it is the template of the route that answered
                    template = leaf
        elif template is None and "path_template" in scope:
            template = _REST
        if template is None or (template is _REST and not found):
            return None
        after = way.removeprefix(reached) if way.startswith(reached) else ""
        template = mounts + _below(after, template, named)
        before = begin.removeprefix(root_path) if path.startswith(begin) else ""
        if scope.get("path_template") == "":  # the outermost router is Litestar's
            before = _taken(path.removeprefix(root_path), scope) + before
        return _below(before, template, named)
    return None


def _below(real: str, template: str, named: Callable[[str], str]) -> str:
    """Put the template of a real path through mounts before the mounted application's template."""
    return named(real) + template if real else template


def _taken(path: str, scope: Scope) -> str:
    """The part of the path that Litestar has taken away for its mounts."""
    mounts = path.strip("/").removesuffix(scope["path"].strip("/")).strip("/")
    return f"/{mounts}" if mounts else ""


def leaves_route(scope: Scope) -> bool:
    """Whether a router has left a route in the scope, more than a mount's."""
    if ROUTE in scope or scope.get("path_template"):
        return True
    return "endpoint" in scope and _innermost_template(scope) is not None


def _innermost_template(scope: Scope) -> str | None:
    """The template of Starlette's route that has answered, without the mounts around it."""
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


def _walk(scope: Scope, begin: str, path: str) -> tuple[str, str | None, str]:
    """Match again: the mounts' template, the innermost one and the real path through the mounts."""
    probe = {**scope, "root_path": begin, "path_params": {}}
    probe.pop("fastapi", None)
    if scope.get("path_template"):  # Litestar is within, and has changed the path
        probe["path"] = path
    mounts, routes = "", scope["router"].routes
    while True:
        chosen = _first_match(routes, probe)
        if chosen is None:
            return mounts, None, probe["root_path"]
        route, child = chosen
        probe |= child
        below = routes_below(route)
        if below is None:
            return mounts, getattr(route, "path", None), probe["root_path"]
        mounts += getattr(route, "path", "")
        if not below:
            return mounts, _REST, probe["root_path"]
        routes = below


def _first_match(routes: Iterable[Any], probe: Scope) -> tuple[Any, Scope] | None:
    """The first full match, else the first partial one."""
    chosen = None
    for route in routes:
        match, child = route.matches(probe)
        if match.value == _FULL:
            return route, child
        if match.value and chosen is None:
            chosen = route, child
    return chosen
