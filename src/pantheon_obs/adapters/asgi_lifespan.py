"""A start-up or shutdown that fails: one log line and one error report, whatever servers say."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pantheon_obs.core import pipeline
from pantheon_obs.core.events import LifespanFailed
from pantheon_obs.core.failures import cover_here, is_covered, note
from pantheon_obs.core.guard import Guard

if TYPE_CHECKING:
    from pantheon_obs.core.asgi_types import Message, Send

FAILED = ("lifespan.startup.failed", "lifespan.shutdown.failed")

_guard = Guard("asgi lifespan")


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
            cover_here(error)
            phase: str = message["type"].split(".")[1]
            pipeline.emit(LifespanFailed(phase=phase, error=error))
    try:
        await send(message)
    except Exception as raised:
        note(raised).root = error
        raise
