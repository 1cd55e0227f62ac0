"""Sample applications that call the next service, at `NEXT`.

A module of its own, for they have clients as soon as they are imported.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import httpx
import requests

from pantheon_obs.propagation import propagate
from tests.apps import common
from tests.apps.neutral import Incoming, Reply

NEXT = os.environ["NEXT"]
client = httpx.AsyncClient(base_url=NEXT, timeout=30, trust_env=False)
propagate(client, hosts=["127.0.0.1"])
session = requests.Session()
session.trust_env = False
propagate(session)


async def relay(incoming: Incoming) -> Reply:
    """Call the next service through `httpx`; return the ids in its answer."""
    answer = await client.get(f"/{incoming.key}")
    ids = {"middle": answer.headers["x-trace-id"], "last": answer.headers["x-last"]}
    return Reply(ids, status=answer.status_code)


async def propagated(_: Incoming) -> Reply:
    """Call the next service through `requests`."""
    return passed_on(session.get(f"{NEXT}/boom", timeout=30))


async def forwarded(incoming: Incoming) -> Reply:
    """Forward only the headers of W3C, as the proxy of another vendor may do."""
    headers = {"traceparent": incoming.headers["traceparent"]}
    answer = requests.get(f"{NEXT}/boom", headers=headers, timeout=30)  # noqa: ASYNC210 - on a thread
    return passed_on(answer)


def passed_on(answer: requests.Response) -> Reply:
    """Return the answer's status, and its id in a header of another name."""
    return Reply(status=answer.status_code, headers=(("X-Last", answer.headers["x-trace-id"]),))


common.ROUTES |= {"relay/{key}": relay, "propagated": propagated, "forwarded": forwarded}


def flask() -> Any:
    """Make the Flask application."""
    return import_module("tests.apps.flask_app").app


def fastapi() -> Any:
    """Make the FastAPI application."""
    return import_module("tests.apps.fastapi_app").app
