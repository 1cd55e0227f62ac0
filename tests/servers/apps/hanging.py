"""A WSGI application that answers with its process's number; one of its paths hangs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from pantheon_obs import instrument

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment


def service(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the process's number, or not before long."""
    if environ["PATH_INFO"] == "/hang":
        time.sleep(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


app = instrument(service, service="hanging")
