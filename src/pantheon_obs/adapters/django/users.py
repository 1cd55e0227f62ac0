"""The user that a project has authenticated, as a bound field: the setting `bind_user_id`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.utils.functional import LazyObject, empty

from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from django.http import HttpRequest

    from pantheon_obs.core.context import Trace

_guard = Guard("django user")


def bind_user_early(trace: Trace, request: HttpRequest) -> None:
    """Have the user bound as soon as an LLM call asks for it."""
    trace.bind_on_demand(partial(_bind_user, request))


def bind_user(trace: Trace, request: HttpRequest) -> None:
    """Bind the user at the end of the request."""
    trace.bind_on_demand(None)
    _bind_user(request, trace)


def _bind_user(request: HttpRequest, trace: Trace) -> None:
    """Bind the id of the user, if one is known by now."""
    with _guard:
        user_id = _user_id_of(request)
        if user_id is not None:
            trace.bound.setdefault("user_id", user_id)


def _user_id_of(request: Any) -> object:  # noqa: ANN401 - Django has no types
    """The id of the user that the project's own code has authenticated during this request.

    To look at a lazy user opens its session, which puts `Vary: Cookie` on the response, and
    queries the database. So only one that has been looked at counts. Django REST framework puts
    its user on Django's request.
    """
    known = request.__dict__
    for name in ("user", "_cached_user", "_acached_user"):  # the last is from `request.auser()`
        user: Any = known.get(name)
        if isinstance(user, LazyObject):
            user = user._wrapped  # noqa: SLF001 - the only way to look without waking it up
        if user is not None and user is not empty:
            return user.pk if user.is_authenticated else None
    return None
