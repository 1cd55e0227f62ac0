"""Find the exchange of a request that was translated into another protocol on its way.

A WSGI application in an ASGI application, or the other way round, gets its request from a converter
that hands nothing over but the context. The context alone is not enough: an application may call
another one, which is a request of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.context import current_trace
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_guard = Guard("request in another protocol")


def enclosing(
    inner: type[Exchange],
    path: str,
    headers_of: Callable[[Any], Mapping[str, str]],
    request: object,
) -> Exchange | None:
    """The exchange in this context, of another protocol than `inner`, that has the same request.

    It is the same with the same path, and with all headers that have reached the outer application.
    Their names are as in an environ. `headers_of` reads this request's headers; it is asked only
    where an exchange of another protocol is there.
    """
    outer = current_trace.get()
    if not isinstance(outer, Exchange) or isinstance(outer, inner):
        return None
    if outer.ended or outer.response_started or outer.path != path:
        return None
    with _guard:
        reached: Mapping[str, str] = getattr(outer, "request_headers", dict)()
        headers = headers_of(request)
        # Headers of the same name are joined.
        if all(value in headers.get(name, "") for name, value in reached.items()):
            return outer
    return None
