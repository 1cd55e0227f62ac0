"""The ways to fail that every app offers, each under a path of its own; their secrets are one."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from pantheon_obs import bind, get_logger, llm_call
from pantheon_obs.propagation import carry
from tests.bugsink.apps import SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PARTIES = 8
SECONDS = 30.0

log = get_logger("shop")
_met = threading.Barrier(PARTIES, timeout=SECONDS)


def divide(body: bytes, authorization: str) -> None:
    """Fail with secrets in local variables, in the lines before, and in the request's fields."""
    password = json.loads(body)["password"]
    bind(user_id="user-7", credentials={"api_key": password})
    log.info("dividing", cart={"cards": [{"api_key": password}]})
    logging.getLogger("shop.stdlib").info("dividing", extra={"headers": {"cookie": authorization}})
    _ = len(authorization) / (len(password) - len(SECRET))


def parts() -> Iterator[bytes]:
    """A body that breaks off."""
    yield b"one"
    msg = "the stream broke"
    raise RuntimeError(msg)


async def aparts() -> AsyncIterator[bytes]:
    """The same for a loop."""
    for part in parts():
        yield part


def work() -> None:
    """What fails after the response."""
    msg = "the background broke"
    raise LookupError(msg)


def in_a_thread() -> None:
    """Fail in a thread that works for the request."""

    def target() -> None:
        msg = "the thread broke"
        raise KeyError(msg)

    thread = threading.Thread(target=carry(target))
    thread.start()
    thread.join(SECONDS)


def logged(how: str, order: int) -> None:
    """Log an error in one of three ways; the request itself goes well."""
    fields = {"order": order, "cart": {"cards": [{"api_key": SECRET}]}}
    if how == "plain":
        log.error("stock_low", **fields)
        return
    try:
        msg = "the bank is closed"
        raise ConnectionError(msg)  # noqa: TRY301 - to have one to log
    except ConnectionError:
        if how == "error":
            log.error("payment_failed", exc_info=True, **fields)  # noqa: G201 - the other way
        else:
            log.exception("payment_failed", **fields)


def llm() -> None:
    """Handle the error of an LLM call."""
    with suppress(TimeoutError), llm_call(model="small", operation="ask"):
        raise TimeoutError


def meet(name: str) -> None:
    """Fail once all others are here as well, with a message of one's own."""
    _met.wait()
    raise ValueError(name)


class Meeting:
    """The same on an event loop."""

    def __init__(self) -> None:
        self._present = 0
        self._complete = asyncio.Event()

    async def meet(self, name: str) -> None:
        """Fail once all others are here as well."""
        self._present += 1
        if self._present == PARTIES:
            self._complete.set()
        await asyncio.wait_for(self._complete.wait(), SECONDS)
        raise ValueError(name)
