"""The HTTP clients that `propagate` knows.

A library is one row in `LIBRARIES`: its classes, the host of a request, and the attributes to
replace on a client, so that each request passes `ClientHeaders` right before it is sent: after the
caller's hooks and authentication, and again at each redirect. The library imports none of them: an
application that has a client has imported its library.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from pantheon_obs.propagation.client_headers import without_added

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.propagation.client_headers import ClientHeaders


class Library(NamedTuple):
    """A client library.

    Attributes:
        module: The module that its classes are in.
        classes: The names of the client classes.
        needs: The attributes that a client must have.
        host_of: Returns the host of a request.
        replacements: Makes the attributes to replace on a client.
    """

    module: str
    classes: tuple[str, ...]
    needs: tuple[str, ...]
    host_of: Callable[[Any], str]
    replacements: Callable[[Any, ClientHeaders], dict[str, Any]]


def _method(client: Any, name: str) -> Callable[..., Any]:
    """Return a client's own method, or call that of its class, which others may replace later."""
    own: Callable[..., Any] | None = client.__dict__.get(name)
    if own is not None:
        return own
    return lambda *args, **kwargs: getattr(type(client), name)(client, *args, **kwargs)


def _httpx_host(request: Any) -> str:
    host: bytes = request.url.raw_host
    return host.decode("ascii")


def _httpx(client: Any, headers: ClientHeaders) -> dict[str, Any]:
    # This method is below redirects and authentication.
    send = _method(client, "_send_single_request")

    def send_single_request(request: Any) -> Any:
        return send(headers.copy_with(request))  # a coroutine, of an AsyncClient

    return {"_send_single_request": send_single_request}


def _requests_host(request: Any) -> str:
    return urlsplit(request.url).hostname or ""


def _requests(session: Any, headers: ClientHeaders) -> dict[str, Any]:
    original_send = _method(session, "send")
    original_resolve = _method(session, "resolve_redirects")

    @wraps(session.send)
    def send(request: Any, *args: Any, **kwargs: Any) -> Any:
        return original_send(headers.copy_with(request), *args, **kwargs)

    @wraps(session.resolve_redirects)
    def resolve_redirects(resp: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        return original_resolve(resp, without_added(req), *args, **kwargs)

    return {"send": send, "resolve_redirects": resolve_redirects}


def _aiohttp_host(request: Any) -> str:
    return request.url.raw_host or ""


def _aiohttp(session: Any, headers: ClientHeaders) -> dict[str, Any]:
    request_class = session._request_class  # noqa: SLF001 - an argument of its constructor

    def make_request(*args: Any, **kwargs: Any) -> Any:
        request = request_class(*args, **kwargs)  # one for each redirect
        headers.add_to(request)
        return request

    return {"_request_class": make_request}


_HTTPX = (("Client", "AsyncClient"), ("_send_single_request",), _httpx_host, _httpx)

LIBRARIES = (
    Library("httpx", *_HTTPX),
    Library("httpx2", *_HTTPX),
    Library("requests", ("Session",), ("send", "resolve_redirects"), _requests_host, _requests),
    Library("aiohttp", ("ClientSession",), ("_request_class",), _aiohttp_host, _aiohttp),
)


def library_of(client: object) -> Library | None:
    """Find the row of a client's class or of one of its bases; None for unknown versions."""
    for library in LIBRARIES:
        module = sys.modules.get(library.module)
        classes = tuple(getattr(module, name, ()) for name in library.classes)
        if isinstance(client, classes) and all(hasattr(client, name) for name in library.needs):
            return library
    return None
