"""A start-up or shutdown that fails: one log line and one error report, whatever servers say.

The module also knows whether the server of this process was asked to stop.
"""

from __future__ import annotations

import sys
from signal import SIGINT, SIGTERM, getsignal
from typing import TYPE_CHECKING

from pantheon_obs.core import pipeline
from pantheon_obs.core.events import LifespanFailed
from pantheon_obs.core.failures import cover_everywhere, is_covered, wrap
from pantheon_obs.core.guard import Guard
from pantheon_obs.products import PRODUCTS

if TYPE_CHECKING:
    from pantheon_obs.core.asgi_types import Message, Send

FAILURES = ("lifespan.startup.failed", "lifespan.shutdown.failed")

_STOPPING = tuple(row.stopping for row in PRODUCTS if row.stopping)

_guard = Guard("asgi lifespan")
_guard_stop = Guard("server's stop")


async def send_failed(message: Message, send: Send) -> None:
    """Pass the message on, and emit `lifespan_failed` with the exception that is being handled.

    The server may say it as text, or raise it as an exception of its own. Cancellation and
    `sys.exit` are no failures. Without an exception the server's text is all.
    """
    error = sys.exc_info()[1]
    if not isinstance(error, Exception):
        await send(message)
        return
    with _guard:
        if not is_covered(error):
            cover_everywhere(error)
            phase: str = message["type"].split(".")[1]
            pipeline.emit(LifespanFailed(phase=phase, error=error))
    try:
        await send(message)
    except Exception as raised:
        wrap(error, raised)
        raise


def is_stopping() -> bool:
    """Whether the object whose method handles SIGTERM or SIGINT says that it stops."""
    with _guard_stop:  # the handler may be any object
        owners = [getattr(getsignal(number), "__self__", None) for number in (SIGTERM, SIGINT)]
        return any(
            getattr(owner, name, None) is value for owner in owners for name, value in _STOPPING
        )
    return False
