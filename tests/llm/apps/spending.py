"""A service whose workers share a budget of a dollar per tenant.

Each call of the model costs one cent, and is made with `/call?tenant=acme`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import redis
import redis.asyncio

from pantheon_obs import BudgetExceeded, bind, budget, instrument, llm_call
from tests.llm.patience import be_patient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

be_patient()
CENT = {"model": "m", "prices": {"m": (0.01, 0.01)}}
ANSWER = {"usage": {"input_tokens": 1_000_000, "output_tokens": 0}}


def made(client: Any) -> Any:
    """Make the budget."""
    return budget(1.00, per="tenant", window="month", refuse=True, redis=client)


@llm_call(**CENT)
def generate() -> Any:
    """Answer."""
    return ANSWER


@llm_call(**CENT)
async def agenerate() -> Any:
    """Answer."""
    return ANSWER


@llm_call(**CENT)
async def astream() -> AsyncIterator[Any]:
    """Answer in chunks."""
    yield "text"
    yield ANSWER


def wsgi() -> Any:
    """Make a synchronous service."""
    spent = made(redis.Redis.from_url(os.environ["SPENDING_REDIS"]))

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        query = dict(parse_qsl(environ["QUERY_STRING"]))
        bind(**query)
        status = "200 OK"
        try:
            if environ["PATH_INFO"] == "/call":
                generate()
        except BudgetExceeded:
            status = "402 Payment Required"
        start_response(status, [])
        return [str(spent.spent(query["tenant"])).encode()]

    return instrument(app)


def asgi() -> Any:
    """Make an asynchronous service."""
    spent = made(redis.asyncio.Redis.from_url(os.environ["SPENDING_REDIS"]))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert "http" == scope["type"], scope
        query = dict(parse_qsl(scope["query_string"].decode()))
        bind(**query)
        status = 200
        try:
            if scope["path"] == "/call":
                await agenerate()
            elif scope["path"] == "/stream":
                async for _ in astream():
                    """Read it."""
        except BudgetExceeded:
            status = 402
        body = str(spent.spent(query["tenant"])).encode()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return instrument(app)
