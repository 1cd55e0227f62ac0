"""Requests to servers on the loopback interface, of which none needs a proxy or certificates.

To load the certificates of all authorities takes a client longer than most requests.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.server import SECONDS

if TYPE_CHECKING:
    from tests.support.server import Server

ONE_EACH = httpx.Limits(max_keepalive_connections=0)
"""A connection for each request: a server may close one after an unhandled error."""
_OPTIONS: Any = {"timeout": SECONDS, "trust_env": False, "verify": False}

get = partial(httpx.get, **_OPTIONS)
stream = partial(httpx.stream, **_OPTIONS)


def client_of(server: Server, **options: Any) -> httpx.Client:
    """Make a client of this server; options replace those of all clients."""
    return httpx.Client(**{"base_url": server.url} | _OPTIONS | options)
