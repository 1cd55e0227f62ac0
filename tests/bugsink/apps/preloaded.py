"""A plain WSGI callable that is loaded once, before its workers are forked."""

from __future__ import annotations

import os
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from pantheon_obs import instrument

if TYPE_CHECKING:
    from collections.abc import Iterable

WORKERS = 4
SECONDS = 60.0

# Shared by the workers: each takes one of the requests, as none ends before all have come.
_met = get_context("fork").Barrier(WORKERS, timeout=SECONDS)


def service(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Fail in all workers at once."""
    _met.wait()
    raise ValueError(os.getpid())


app = instrument(service)
