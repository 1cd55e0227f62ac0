"""A FastAPI service that calls the next one through `httpx`."""

from __future__ import annotations

import os

import httpx
from fastapi import FastAPI, Response

from pantheon_obs import instrument
from pantheon_obs.propagation import propagate

client = httpx.AsyncClient(base_url=os.environ["NEXT"], timeout=30, trust_env=False)
propagate(client, hosts=["127.0.0.1"])
app = FastAPI()


@app.get("/{path}")
async def call(path: str, response: Response) -> dict[str, str]:
    """Send the request on to the next service; return the ids in its answer."""
    answer = await client.get(f"/{path}")
    response.status_code = answer.status_code
    return {"middle": answer.headers["x-trace-id"], "last": answer.headers["x-last"]}


instrument(app)
