"""What one client adds to the requests that it sends.

A library copies a request's headers when it follows a redirect, and a host may send a request
again in another trace. So the caller's request is never changed: a twin of it goes out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pantheon_obs.core.guard import Guard
from pantheon_obs.propagation.carriers import outgoing

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.propagation.hosts import Hosts

HostValue: TypeAlias = Any
"""A client or a request of the host's library, which is never imported here."""

_ADDED = "_pantheon_obs_added"

_guard = Guard("propagate")


class Outgoing:
    """The headers of a client's requests.

    Args:
        hosts: Where they go; None for everywhere.
        host_of: Tells the host that a request goes to, in ASCII.
    """

    def __init__(self, hosts: Hosts | None, host_of: Callable[[HostValue], str]) -> None:
        self.hosts = hosts
        self.on = True
        self._host_of = host_of

    def twin(self, request: HostValue) -> HostValue:
        """What is sent in the request's place: the request itself if there is nothing to add."""
        with _guard:
            original = untraced(request)
            headers = self._headers(original)
            if not headers:
                return original
            twin = _copy(original)
            _put(headers, twin)
            twin.__dict__[_ADDED] = headers
            return twin
        return request

    def add(self, request: HostValue) -> None:
        """Add the headers to a request that is sent once."""
        with _guard:
            _put(self._headers(request), request)

    def _headers(self, request: HostValue) -> dict[str, str]:
        """The headers that a request lacks; none for a host that is not allowed."""
        if not self.on:
            return {}
        headers = outgoing()
        if headers and self.hosts and not self.hosts.allow(self._host_of(request)):
            return {}
        # The headers of all these libraries take a name in any case.
        return {name: value for name, value in headers.items() if name not in request.headers}


def untraced(request: HostValue) -> HostValue:
    """A request as its caller made it, for a twin that is sent again or redirected."""
    added = request.__dict__.get(_ADDED)
    if added is None:
        return request
    original = _copy(request)
    del original.__dict__[_ADDED]
    for name, value in added.items():
        if original.headers.get(name) == value:
            del original.headers[name]
    return original


def _put(headers: dict[str, str], request: HostValue) -> None:
    for name, value in headers.items():  # httpx's update() takes twice as long
        request.headers[name] = value


def _copy(request: HostValue) -> HostValue:
    # Neither copy.copy, which loses the body's stream, nor a method of the library's own.
    twin: HostValue = object.__new__(type(request))
    twin.__dict__.update(request.__dict__)
    twin.headers = request.headers.copy()
    return twin
