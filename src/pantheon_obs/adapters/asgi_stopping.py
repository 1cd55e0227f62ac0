"""Ask the server of this process if it was told to stop."""

from __future__ import annotations

from signal import SIGINT, SIGTERM, getsignal

from pantheon_obs.core.guard import Guard
from pantheon_obs.products import PRODUCTS

_guard = Guard("server's stop")
_STOPPING = tuple(row.stopping for row in PRODUCTS if row.stopping)


def is_stopping() -> bool:
    """Whether the object whose method handles SIGTERM or SIGINT says that it stops."""
    with _guard:  # the handler may be any object
        owners = [getattr(getsignal(number), "__self__", None) for number in (SIGTERM, SIGINT)]
        return any(
            getattr(owner, name, None) is value for owner in owners for name, value in _STOPPING
        )
    return False
