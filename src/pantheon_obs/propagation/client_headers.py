"""Add the trace headers to the requests of one client.

A library copies a request's headers when it follows a redirect, and an application may send a
request again in another trace. So the caller's request is never changed: a copy is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard
from pantheon_obs.propagation.carriers import trace_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.propagation.hosts import Hosts

_ADDED = "_pantheon_obs_added"

_guard = Guard("propagate")


class ClientHeaders:
    """The trace headers of a client's requests.

    Args:
        hosts: The hosts that may get them; None for all.
        host_of: Returns the host of a request, in ASCII.
    """

    def __init__(self, hosts: Hosts | None, host_of: Callable[[Any], str]) -> None:
        self.hosts = hosts
        self.on = True
        self._host_of = host_of

    def copy_with(self, request: Any) -> Any:
        """Copy a request with the headers; return the request itself if there are none to add."""
        with _guard:
            original = without_added(request)
            headers = self._missing_in(original)
            if not headers:
                return original
            copy = _copy(original)
            _add(headers, copy)
            copy.__dict__[_ADDED] = headers
            return copy
        return request

    def add_to(self, request: Any) -> None:
        """Add the headers to a request that is sent once."""
        with _guard:
            _add(self._missing_in(request), request)

    def _missing_in(self, request: Any) -> dict[str, str]:
        """Make the headers that a request lacks; none for a host that is not allowed."""
        if not self.on:
            return {}
        headers = trace_headers()
        if headers and self.hosts and not self.hosts.allow(self._host_of(request)):
            return {}
        # The headers of all these libraries ignore case.
        return {name: value for name, value in headers.items() if name not in request.headers}


def without_added(request: Any) -> Any:
    """Copy a request without the headers that were added to it, to send it again or redirect it."""
    added = request.__dict__.get(_ADDED)
    if added is None:
        return request
    original = _copy(request)
    del original.__dict__[_ADDED]
    for name, value in added.items():
        if original.headers.get(name) == value:
            del original.headers[name]
    return original


def _add(headers: dict[str, str], request: Any) -> None:
    for name, value in headers.items():  # httpx's update() takes twice as long
        request.headers[name] = value


def _copy(request: Any) -> Any:
    # copy.copy loses the stream of the body, as do the libraries' own methods.
    copy: Any = object.__new__(type(request))
    copy.__dict__.update(request.__dict__)
    copy.headers = request.headers.copy()
    return copy
