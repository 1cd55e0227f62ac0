"""The same `Health` on each kind of app; `/state` tells of it, `/open` and `/close` change it.

Environment: `CACHE_TTL`, seconds.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

from pantheon_obs import Health, instrument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

health = Health(timeout=10, cache_ttl=float(os.environ.get("CACHE_TTL", "0")), details=True)
gate = threading.Event()
gate.set()
runs: list[int] = []
fails: list[str] = []


@health.check("gate")
def pass_the_gate() -> None:
    """Hang while the gate is closed."""
    runs.append(1)
    gate.wait()


@health.check("optional", critical=False)
async def optional() -> bool:
    """Fail when told to."""
    return "optional" not in fails


@health.check("needed")
async def needed() -> bool:
    """Fail when told to."""
    return "needed" not in fails


def answer(path: str) -> bytes:
    """Do what the path says; tell how often the checks have run."""
    if path == "/close":
        gate.clear()
    elif path == "/open":
        gate.set()
    elif path == "/drain":
        health.drain()
    elif path.startswith("/fail/"):
        fails[:] = path.removeprefix("/fail/").split(",")
    return json.dumps({"runs": len(runs), "path": path}).encode()


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answer."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print(json.dumps(health.report().as_dict()), flush=True)  # noqa: T201 - the test reads it
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer(scope["path"])})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer."""
    start_response("200 OK", [])
    return [answer(environ["PATH_INFO"])]


def make_asgi() -> Any:
    """Any ASGI callable."""
    return instrument(asgi, health=health)


def make_wsgi() -> Any:
    """Any WSGI callable."""
    return instrument(wsgi, health=health)


def make_fastapi() -> Any:
    """FastAPI, behind a login."""
    from fastapi import FastAPI, Response  # noqa: PLC0415 - it may not be installed

    app = FastAPI()

    @app.get("/{path:path}")
    async def anything(path: str) -> Response:
        return Response(answer(f"/{path}"))

    return instrument(app, health=health)


def make_flask() -> Any:
    """Flask."""
    from flask import Flask  # noqa: PLC0415 - it may not be installed

    app = Flask(__name__)
    app.add_url_rule("/<path:path>", view_func=lambda path: answer(f"/{path}"))
    return instrument(app, health=health)
