"""Put the trace headers on the requests of the HTTP clients that `propagate` knows.

A library is one row in `CLIENTS`: its classes, the host of a request, and the attributes to
replace on a client, so that each request passes `ClientHeaders` right before it is sent: after the
caller's hooks and authentication, and again at each redirect. The library imports none of them: an
application that has a client has imported its library.

A library copies a request's headers when it follows a redirect, and an application may send a
request again in another trace. So the caller's request is never changed: a copy is sent.
"""

from __future__ import annotations

import sys
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from pantheon_obs.core.guard import Guard
from pantheon_obs.core.spans import BAGGAGE, merged
from pantheon_obs.propagation.carriers import trace_headers
from pantheon_obs.propagation.timed import Timed, TimedAdapter, tracer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.propagation.hosts import Hosts

_SENDING = "requests.sessions"
_ADDED = "_pantheon_obs_added"

_guard = Guard("propagate")


class ClientHeaders:
    """The trace headers of a client's requests, for these hosts only; None for all."""

    def __init__(self, hosts: Hosts | None, host_of: Callable[[Any], str]) -> None:
        self.hosts = hosts
        self.on = True
        self.host_of = host_of

    def copy_with(self, request: Any) -> Any:
        """Copy a request with the headers; return the request itself if there are none to add."""
        with _guard:
            original = without_added(request)
            headers = self._missing_in(original)
            if not headers:
                return original
            copy = _copy(original)
            for name, value in headers.items():  # httpx's update() takes twice as long
                copy.headers[name] = value
            copy.__dict__[_ADDED] = headers, original.headers.get(BAGGAGE)
            return copy
        return request

    def add_to(self, request: Any) -> None:
        """Add the headers to a request that is sent once."""
        with _guard:
            for name, value in self._missing_in(request).items():
                request.headers[name] = value

    def _missing_in(self, request: Any) -> dict[str, str]:
        """Make the headers that a request lacks; empty for a host that is not allowed."""
        if not self.on:
            return {}
        headers = trace_headers()
        if headers and self.hosts and not self.hosts.allow(self.host_of(request)):
            return {}
        # The headers of all these libraries ignore case.
        there = request.headers
        missing = {name: value for name, value in headers.items() if name not in there}
        if BAGGAGE in headers and BAGGAGE not in missing:  # the header of another library
            missing[BAGGAGE] = merged(there[BAGGAGE], headers[BAGGAGE])
        return missing


def without_added(request: Any) -> Any:
    """Copy a request without the headers that were added to it, to send it again or redirect it."""
    added = request.__dict__.get(_ADDED)
    if added is None:
        return request
    headers, baggage = added
    original = _copy(request)
    del original.__dict__[_ADDED]
    for name, value in headers.items():
        if original.headers.get(name) == value:
            del original.headers[name]
            if name == BAGGAGE and baggage is not None:
                original.headers[name] = baggage
    return original


def _copy(request: Any) -> Any:
    # copy.copy loses the stream of the body, as do the libraries' own methods.
    copy: Any = object.__new__(type(request))
    copy.__dict__.update(request.__dict__)
    copy.headers = request.headers.copy()
    return copy


class Library(NamedTuple):
    """A client library: the client classes of a module."""

    module: str
    classes: tuple[str, ...]
    host_of: Callable[[Any], str]  # the host of a request, in ASCII
    # The attributes to replace, with functions of a client, the attribute's name and the headers.
    replacements: dict[str, Callable[[Any, str, ClientHeaders], Any]]


def _method(client: Any, name: str) -> Callable[..., Any]:
    """Return a client's own method, else a call of its class's, which others may replace later."""
    own: Callable[..., Any] | None = client.__dict__.get(name)
    if own is not None:
        return own
    return lambda *args, **kwargs: getattr(type(client), name)(client, *args, **kwargs)


def _with_headers(client: Any, name: str, headers: ClientHeaders) -> Any:
    original = _method(client, name)

    @wraps(getattr(client, name))
    def send(request: Any, *args: Any, **kwargs: Any) -> Any:
        return original(headers.copy_with(request), *args, **kwargs)

    return send


def _timed_with_headers(client: Any, name: str, headers: ClientHeaders) -> Any:
    method = getattr(client, name)
    original = _method(client, name)

    @wraps(method)
    def send(request: Any, *args: Any, **kwargs: Any) -> Any:
        copy = headers.copy_with(request)
        with Timed(headers, request) as call:
            call.response = original(copy, *args, **kwargs)
        return call.response

    @wraps(method)
    async def send_async(request: Any, *args: Any, **kwargs: Any) -> Any:
        copy = headers.copy_with(request)
        with Timed(headers, request) as call:
            call.response = await original(copy, *args, **kwargs)
        return call.response

    return send_async if iscoroutinefunction(method) else send


def _timed_adapter(session: Any, name: str, headers: ClientHeaders) -> Any:
    original = _method(session, name)

    @wraps(getattr(session, name))
    def get_adapter(*args: Any, **kwargs: Any) -> Any:
        adapter = original(*args, **kwargs)
        caller = sys._getframe(1)  # noqa: SLF001 - the application gets the adapter itself
        is_sending = (
            caller.f_code.co_name == "send" and caller.f_globals.get("__name__") == _SENDING
        )
        return TimedAdapter(adapter, headers) if is_sending else adapter

    return get_adapter


def _without_headers(session: Any, name: str, _: ClientHeaders) -> Any:
    original = _method(session, name)

    @wraps(getattr(session, name))
    def resolve_redirects(resp: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        return original(resp, without_added(req), *args, **kwargs)

    return resolve_redirects


def _made_with_headers(session: Any, name: str, headers: ClientHeaders) -> Any:
    request_class = getattr(session, name)

    def make_request(*args: Any, **kwargs: Any) -> Any:
        request = request_class(*args, **kwargs)  # one for each redirect
        headers.add_to(request)
        return request

    return make_request


def _traced(session: Any, name: str, headers: ClientHeaders) -> Any:
    return [*getattr(session, name), tracer(headers)]


_HTTPX = Library(
    "httpx",
    ("Client", "AsyncClient"),
    lambda request: request.url.raw_host.decode("ascii"),
    {"_send_single_request": _timed_with_headers},  # it is below redirects and authentication
)
CLIENTS = (
    _HTTPX,
    _HTTPX._replace(module="httpx2"),
    Library(
        "requests",
        ("Session",),
        lambda request: urlsplit(request.url).hostname or "",
        {
            "send": _with_headers,
            "resolve_redirects": _without_headers,
            "get_adapter": _timed_adapter,
        },
    ),
    Library(
        "aiohttp",
        ("ClientSession",),
        lambda request: request.url.raw_host or "",
        # Both are arguments of the session's constructor.
        {"_request_class": _made_with_headers, "_trace_configs": _traced},
    ),
)


def library_of(client: object) -> Library | None:
    """Find the row of a client's class or of one of its bases; None for unknown versions."""
    for library in CLIENTS:
        module = sys.modules.get(library.module)
        classes = tuple(getattr(module, name, ()) for name in library.classes)
        if isinstance(client, classes) and all(hasattr(client, n) for n in library.replacements):
            return library
    return None
