"""Add the trace to each request that an HTTP client sends: `propagate`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.errors import refuse
from pantheon_obs.core.switch import is_off
from pantheon_obs.core.undoable import Patch, Undoable
from pantheon_obs.propagation.hosts import allow_list
from pantheon_obs.propagation.libraries import CLIENTS, ClientHeaders, library_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.propagation.hosts import Hosts

_MARK = "_pantheon_obs_outgoing"
_REDUCE = "__reduce_ex__"


def propagate(client: object, *, hosts: Iterable[str] | None = None) -> Propagation:
    """Make each request that a client sends within a trace carry `X-Trace-ID` and `traceparent`.

    The client is changed in place. The id is read when a request is sent, so one client may serve
    many traces at once. A header that the caller set, on the client or for one request, stays as it
    is. After a redirect the headers are only sent to a host that is allowed. A second call changes
    nothing. A deep copy of the client, or one that was pickled, does the same.

    Args:
        client: An `httpx` or `httpx2` `Client` or `AsyncClient`, a `requests` `Session` or an
            `aiohttp` `ClientSession`.
        hosts: The hosts that may see the id: `"api.internal"`, or `"*.example.com"` for all names
            below that one. Case and ports are ignored. None for all hosts.

    Returns:
        An object whose `undo()`, or the end of its `with` block, restores the client.

    Raises:
        ConfigError: The client or a host is not accepted, or the client is already instrumented
            with different hosts.

    Example:
        >>> import httpx2
        >>> from pantheon_obs.propagation import propagate
        >>> client = httpx2.Client()
        >>> propagation = propagate(client, hosts=["*.internal"])
        >>> propagation.undo()
    """
    return _instrument(client, hosts, allow_list(hosts))


def _instrument(client: object, hosts: object, allowed: Hosts | None) -> Propagation:
    library = library_of(client)
    if library is None:
        known = ", ".join(f"{row.module} {' or '.join(row.classes)}" for row in CLIENTS)
        accepted = f"a client of one of these ({known}), or add inject(headers) to its requests"
        refuse("client", client, accepted)
    headers = ClientHeaders(allowed, library.host_of)
    patches: list[Patch] = []
    if is_off():
        return Propagation(headers, patches)
    present: ClientHeaders | None = client.__dict__.get(_MARK)
    if present is None:
        rows = library.replacements.items()
        patches = [Patch(client, name, make(client, name, headers)) for name, make in rows]
        patches.append(Patch(client, _MARK, headers))
        names = {*library.replacements, _MARK, _REDUCE}
        patches.append(Patch(client, _REDUCE, partial(_reduce, client, names, allowed)))
    elif present.hosts != allowed:
        accepted = "the hosts with which the client is already instrumented, or call undo() first"
        refuse("hosts", hosts, accepted)
    return Propagation(headers, patches)


class Propagation(Undoable):
    """The change that `propagate` made: `undo()` or the end of a `with` block takes it back."""

    def __init__(self, headers: ClientHeaders, patches: list[Patch]) -> None:
        self._headers = headers
        self._patches = patches

    def undo(self) -> None:
        """Restore the client's own methods, and send no more ids."""
        self._headers.on = False  # for a method that another library has wrapped since
        for patch in self._patches:
            patch.undo()
        self._patches.clear()


def _reduce(client: Any, names: set[str], allowed: Hosts | None, protocol: int) -> Any:
    """Copy or pickle a client without our functions; they are made again for the copy."""
    reduced: Any = getattr(type(client), _REDUCE)(client, protocol)
    if not isinstance(reduced, tuple):
        return reduced  # the name of a global object
    make, arguments, *rest = reduced
    if rest and isinstance(rest[0], dict):
        rest[0] = {name: value for name, value in rest[0].items() if name not in names}
    return (_make_again, (allowed, make, *arguments), *rest)


def _make_again(allowed: Hosts | None, make: Any, *arguments: Any) -> Any:
    client = make(*arguments)
    _instrument(client, allowed, allowed)
    return client
