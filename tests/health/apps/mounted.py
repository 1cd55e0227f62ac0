"""Sample applications with one `Health`; `/state` describes it, `/open` and `/close` change it.

Environment: `CACHE_TTL`, seconds.
"""

from __future__ import annotations

import json
import os
import threading
from functools import partial
from importlib import import_module
from typing import Any

from pantheon_obs import Health, instrument
from tests.apps import common, neutral

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
    """Fail if `/fail/optional` was called."""
    return "optional" not in fails


@health.check("needed")
async def needed() -> bool:
    """Fail if `/fail/needed` was called."""
    return "needed" not in fails


async def answer(path: str, incoming: neutral.Incoming) -> neutral.Reply:
    """Act on the path, and report how often the checks have run."""
    if path == "close":
        gate.clear()
    elif path == "open":
        gate.set()
    elif path == "drain":
        health.drain()
    elif path == "fail/{key}":
        fails[:] = incoming.key.split(",")
    return neutral.Reply({"runs": len(runs), "path": f"/{path}"})


# The others only look like a probe's.
OWN = ("state", "close", "open", "drain", "fail/{key}")
OTHERS = ("health/lives", "health", "a/health/live", "health/live/x")
common.ROUTES.update({path: partial(answer, path) for path in (*OWN, *OTHERS)})
common.OPTIONS["health"] = health


def make(kind: str) -> Any:
    """Make the application of this kind, with the routes and the health from above."""
    return import_module(f"tests.apps.{kind}_app").app


make_wsgi = partial(make, "wsgi")
make_fastapi = partial(make, "fastapi")
make_flask = partial(make, "flask")


def make_asgi() -> Any:
    """Make the ASGI application; at the end of its lifespan it prints the report."""
    service = import_module("tests.apps.asgi_app").service

    async def reporting(scope: Any, receive: Any, send: Any) -> None:
        await service(scope, receive, send)
        if scope["type"] == "lifespan":
            print(json.dumps(health.report().as_dict()), flush=True)  # noqa: T201 - for the test

    return instrument(reporting, health=health)
