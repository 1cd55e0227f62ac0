"""Find the exchange of a request that was translated into another protocol on its way.

A WSGI application in an ASGI application, or the other way round, gets its request from a converter
that hands nothing over but the context. The context alone does not tell: an application may call
another one, which is a request of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core.context import current_trace
from pantheon_obs.core.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def enclosing(inner: type[Exchange], path: str, headers: Mapping[str, str]) -> Exchange | None:
    """The exchange in this context, of another protocol than `inner`, that has the same request.

    It is the same with the same path, and with all headers that have reached the outer application.
    Their names are those of an environ.
    """
    outer = current_trace.get()
    if not isinstance(outer, Exchange) or isinstance(outer, inner):
        return None
    if outer.ended or outer.response_started or outer.path != path:
        return None
    headers_of: Callable[[], dict[str, str]] = getattr(outer, "request_headers", dict)
    for name, value in headers_of().items():
        if value not in headers.get(name, ""):  # headers of the same name are joined
            return None
    return outer
