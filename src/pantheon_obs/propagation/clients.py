"""`propagate`: each request that an HTTP client sends within a trace carries it."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.undoable import Undoable
from pantheon_obs.propagation.hosts import allow_list
from pantheon_obs.propagation.libraries import LIBRARIES, library_of
from pantheon_obs.propagation.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.propagation.outgoing import HostValue

_MARK = "_pantheon_obs_outgoing"
_ABSENT = object()


def propagate(client: object, *, hosts: Iterable[str] | None = None) -> Propagation:
    """Make each request that a client sends within a trace carry `X-Trace-ID` and `traceparent`.

    The client is changed in place. The id is read when a request is sent, so one client may serve
    many requests of the host's at once. A header that the caller set, on the client or for one
    request, stays as it is. After a redirect the headers are sent to a host that is allowed only.
    A second call changes nothing.

    Args:
        client: An `httpx` or `httpx2` `Client` or `AsyncClient`, a `requests` `Session` or an
            `aiohttp` `ClientSession`.
        hosts: The hosts that may see the id: `"api.internal"`, or `"*.example.com"` for all that
            is below that name. Case and ports do not count. None for all hosts.

    Returns:
        What undoes it: by `undo()`, or as a context manager.

    Raises:
        ConfigError: The client is none of these, a host is not accepted, or the client sends to
            other hosts already.

    Example:
        >>> import httpx2
        >>> from pantheon_obs.propagation import propagate
        >>> client = httpx2.Client()
        >>> propagation = propagate(client, hosts=["*.internal"])
        >>> propagation.undo()
    """
    allowed = allow_list(hosts)
    library = library_of(client)
    if library is None:
        raise _refused(client)
    present: Outgoing | None = client.__dict__.get(_MARK)
    outgoing = Outgoing(allowed, library.host_of)
    if present is None:
        replacements = library.replacements(client, outgoing)
        return Propagation(client, outgoing, {**replacements, _MARK: outgoing})
    if present.hosts != allowed:
        msg = (
            f"hosts={reprlib.repr(hosts)} is not accepted: the client propagates already, and to "
            "other hosts; undo() that first"
        )
        raise ConfigError(msg)
    return Propagation(client, outgoing, {})


class Propagation(Undoable):
    """What `propagate` did: `undo()` takes it back, as does the end of a `with`."""

    def __init__(
        self, client: HostValue, outgoing: Outgoing, replacements: dict[str, HostValue]
    ) -> None:
        self._outgoing = outgoing
        self._own: dict[str, HostValue] = client.__dict__
        self._replaced = {
            name: (value, self._own.get(name, _ABSENT)) for name, value in replacements.items()
        }
        self._own.update(replacements)

    def undo(self) -> None:
        """Give the client back its own methods, and send no more ids."""
        self._outgoing.on = False  # for a method that somebody else has wrapped since
        for name, (value, before) in self._replaced.items():
            if self._own.get(name) is value:
                if before is _ABSENT:
                    del self._own[name]
                else:
                    self._own[name] = before
        self._replaced.clear()


def _refused(client: object) -> ConfigError:
    known = ", ".join(f"{row.module} {' or '.join(row.classes)}" for row in LIBRARIES)
    msg = (
        f"client={reprlib.repr(client)} is not accepted: use a client of one of these ({known}), "
        "or add inject(headers) to what yours sends"
    )
    return ConfigError(msg)
