"""Handlers that fail, each in a way of its own; several have secrets in sight."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from pantheon_obs import bind, get_logger, llm_call
from pantheon_obs.propagation import carry
from tests.apps.neutral import SECONDS, Gate, Incoming, Reply, is_on_loop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PARTIES = 8
SECRET = "hunter2-hunter2"  # noqa: S105 - nobody's

shop = get_logger("shop")


class Meeting:
    """Holds handlers until `PARTIES` of them have arrived."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(PARTIES, timeout=SECONDS)
        self._gate = Gate()
        self._present = 0

    async def arrive(self) -> None:
        """Wait for the others."""
        if not is_on_loop():
            self._barrier.wait()
            return
        self._present += 1
        if self._present == PARTIES:
            self._gate.open()
        await self._gate.arrive()


meeting = Meeting()


async def boom(_: Incoming) -> Reply:
    """Fail unhandled."""
    raise ZeroDivisionError


def divide_by_zero() -> None:
    """Fail once the request's user is bound, with a secret in a local variable."""
    bind(user_id="user-7")
    local = SECRET
    raise ZeroDivisionError(len(local))


async def fail(_: Incoming) -> Reply:
    """Fail unhandled, once the request's user is bound."""
    divide_by_zero()
    return Reply()


def divide(body: bytes, authorization: str) -> None:
    """Fail with secrets in local variables, in earlier log lines, and in the bound fields."""
    password = json.loads(body)["password"]
    bind(user_id="user-7", credentials={"api_key": password})
    shop.info("dividing", cart={"cards": [{"api_key": password}]})
    logging.getLogger("shop.stdlib").info("dividing", extra={"headers": {"cookie": authorization}})
    _ = len(authorization) / (len(password) - len(SECRET))


async def debug(incoming: Incoming) -> Reply:
    """Fail unhandled, with secrets everywhere."""
    divide(incoming.body, incoming.headers["authorization"])
    return Reply()


async def thread(_: Incoming) -> Reply:
    """Fail in a thread that got no context."""
    started = threading.Thread(target=divide_by_zero)
    started.start()
    started.join(SECONDS)
    return Reply()


async def carried(_: Incoming) -> Reply:
    """Fail in a thread that works for the request."""

    def target() -> None:
        msg = "the thread broke"
        raise KeyError(msg)

    started = threading.Thread(target=carry(target))
    started.start()
    started.join(SECONDS)
    return Reply()


async def logged(incoming: Incoming) -> Reply:
    """Log an error in one of three ways; the request itself succeeds."""
    how = incoming.query["how"]
    order = int(incoming.query["order"])
    fields = {"order": order, "cart": {"cards": [{"api_key": SECRET}]}}
    if how == "plain":
        shop.error("stock_low", **fields)
        return Reply()
    try:
        msg = "the bank is closed"
        raise ConnectionError(msg)  # noqa: TRY301 - to have one to log
    except ConnectionError:
        if how == "error":
            shop.error("payment_failed", exc_info=True, **fields)
        else:
            shop.exception("payment_failed", **fields)
    return Reply()


async def llm(_: Incoming) -> Reply:
    """Handle the error of an LLM call."""
    with suppress(TimeoutError), llm_call(model="small", operation="ask"):
        raise TimeoutError
    return Reply()


async def meet(incoming: Incoming) -> Reply:
    """Fail at the same moment as others, with a message of one's own."""
    await meeting.arrive()
    raise ValueError(incoming.key)


async def broken_chunks() -> AsyncGenerator[bytes, None]:
    """Fail in the middle of a stream."""
    yield b"one\n"
    msg = "the stream broke"
    raise RuntimeError(msg)


async def failing_chunks() -> AsyncGenerator[bytes, None]:
    """Fail in the middle of a stream, once the request's user is bound."""
    yield b"one\n"
    divide_by_zero()


async def broken_stream(_: Incoming) -> Reply:
    """Stream, and fail with a `RuntimeError`."""
    return Reply(parts=broken_chunks())


async def failing_stream(_: Incoming) -> Reply:
    """Stream, and fail with a `ZeroDivisionError`."""
    return Reply(parts=failing_chunks())


def fail_in_background() -> None:
    """Fail in the background."""
    msg = "the background broke"
    raise LookupError(msg)


async def background_boom(incoming: Incoming) -> Reply:
    """Fail after the response, whose status is asked for."""
    return Reply(status=int(incoming.key), after=(fail_in_background,))
