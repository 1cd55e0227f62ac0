"""The applications that `bench.served` loads, one to a process; `/cpu` tells the time that it took.

`python -m bench.served_app by_hand 8000` serves it with uvicorn. Standard output is a pipe.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import uvicorn
from asgi_correlation_id import CorrelationIdMiddleware

from bench.asgi import bare
from bench.asgi_middleware import story_by_hand
from pantheon_obs import instrument

if TYPE_CHECKING:
    from bench.asgi_middleware import App, Receive, Scope, Send

CHUNKS = 200
_CHUNK = b'data: {"choices": [{"index": 0, "delta": {"content": "word "}}]}\n\n'


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    """Send a small answer, or a stream of events."""
    if scope["path"] != "/stream":
        await bare(scope, receive, send)
        return
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": _CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


APPS = {
    "bare": lambda: answers,
    "access_log": lambda: answers,  # uvicorn writes its own
    "by_hand": lambda: story_by_hand(answers),
    "id_only": lambda: CorrelationIdMiddleware(answers, header_name="X-Trace-ID"),
    "ours": lambda: instrument(answers, log_format="json"),
}


def measured(app: App) -> App:
    """Answer `/cpu` with the CPU time of the process, outside of all that is compared."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/cpu":
            body = b"%20d" % time.process_time_ns()
            headers = [(b"content-length", b"20")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        else:
            await app(scope, receive, send)

    return serve


if __name__ == "__main__":
    _, name, port = sys.argv
    # Of ours it stays on, as it is by default: the library keeps it from being written.
    uvicorn.run(measured(APPS[name]()), port=int(port), access_log=name in ("access_log", "ours"))
