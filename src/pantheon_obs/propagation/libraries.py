"""The HTTP clients that `propagate` knows.

A library is one row in `LIBRARIES`: its classes, the host of one of its requests, and what is to be
replaced on a client so that each request passes `Outgoing` right before it is sent: after the
caller's hooks and authentication, anew at each redirect. None is imported: a host that has a client
of it has done so.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from pantheon_obs.propagation.outgoing import untraced

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.propagation.outgoing import HostValue, Outgoing


class Library(NamedTuple):
    """A client library.

    Attributes:
        module: The module that its classes are in.
        classes: The names of the client classes.
        needs: The attributes that a client must have.
        host_of: Tells the host that a request goes to.
        replacements: The attributes to replace on a client, with their new values.
    """

    module: str
    classes: tuple[str, ...]
    needs: tuple[str, ...]
    host_of: Callable[[HostValue], str]
    replacements: Callable[[HostValue, Outgoing], dict[str, HostValue]]


def _method(client: HostValue, name: str) -> Callable[..., HostValue]:
    """A client's own method; that of its class as it is by then, for whoever replaces it later."""
    own: Callable[..., HostValue] | None = client.__dict__.get(name)
    if own is not None:
        return own
    return lambda *args, **kwargs: getattr(type(client), name)(client, *args, **kwargs)


def _httpx_host(request: HostValue) -> str:
    host: bytes = request.url.raw_host
    return host.decode("ascii")


def _httpx(client: HostValue, outgoing: Outgoing) -> dict[str, HostValue]:
    # What is below redirects and authentication.
    send = _method(client, "_send_single_request")

    def send_single_request(request: HostValue) -> HostValue:
        return send(outgoing.twin(request))  # an AsyncClient's gives a coroutine

    return {"_send_single_request": send_single_request}


def _requests_host(request: HostValue) -> str:
    return urlsplit(request.url).hostname or ""


def _requests(session: HostValue, outgoing: Outgoing) -> dict[str, HostValue]:
    original_send = _method(session, "send")
    original_resolve = _method(session, "resolve_redirects")

    @wraps(session.send)
    def send(request: HostValue, *args: HostValue, **kwargs: HostValue) -> HostValue:
        return original_send(outgoing.twin(request), *args, **kwargs)

    @wraps(session.resolve_redirects)
    def resolve_redirects(
        resp: HostValue, req: HostValue, *args: HostValue, **kwargs: HostValue
    ) -> HostValue:
        return original_resolve(resp, untraced(req), *args, **kwargs)

    return {"send": send, "resolve_redirects": resolve_redirects}


def _aiohttp_host(request: HostValue) -> str:
    return request.url.raw_host or ""


def _aiohttp(session: HostValue, outgoing: Outgoing) -> dict[str, HostValue]:
    request_class = session._request_class  # noqa: SLF001 - an argument of its constructor

    def make_request(*args: HostValue, **kwargs: HostValue) -> HostValue:
        request = request_class(*args, **kwargs)  # one for each redirect
        outgoing.add(request)
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
    """The row of a client's class or of one of its bases, unless its version is not known."""
    for library in LIBRARIES:
        module = sys.modules.get(library.module)
        classes = tuple(getattr(module, name, ()) for name in library.classes)
        if isinstance(client, classes) and all(hasattr(client, name) for name in library.needs):
            return library
    return None
