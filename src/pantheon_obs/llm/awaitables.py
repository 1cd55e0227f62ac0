"""Coroutines and futures under observation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core.context import current_call
from pantheon_obs.core.guard import Guard
from pantheon_obs.llm.holds import Hold
from pantheon_obs.llm.nesting import leave
from pantheon_obs.llm.sources import error_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pantheon_obs.llm.lifecycle import LlmCall
    from pantheon_obs.llm.parts import HostValue

    Handler = Callable[[HostValue, LlmCall], HostValue]

_guard = Guard("llm future")


async def awaited(coroutine: Awaitable[HostValue], hold: Unawaited, deliver: Handler) -> HostValue:
    """Await the host's coroutine and observe what it gives.

    Args:
        coroutine: The host's coroutine.
        hold: Reports the call if nobody awaits this one.
        deliver: What to do with the value.

    Returns:
        What the host shall get.
    """
    call = hold.call
    hold.coroutine = None
    token = current_call.set(call)
    try:
        result = await coroutine
    except BaseException as error:
        call.failed(error)
        call.settle()
        raise
    finally:
        leave(token)
    return deliver(result, call)


class Unawaited:
    """Held by the coroutine that stands in for the host's, until it is awaited."""

    __slots__ = ("call", "coroutine")

    def __init__(self, call: LlmCall, coroutine: HostValue) -> None:
        self.call = call
        self.coroutine = coroutine

    def __del__(self) -> None:
        if self.coroutine is not None:
            self.call.end("not_consumed")
            self.call.settle()
            self.coroutine.close()  # Python warns that nobody awaited it: once is enough


class FutureHold(Hold):
    """Held by the future that the host got, as a callback."""

    __slots__ = ("answer",)

    def __init__(self, call: LlmCall, answer: Handler) -> None:
        super().__init__(call)
        self.answer = answer

    def done(self, future: HostValue) -> None:
        """The future has its result, its exception, or was called off."""
        with _guard:
            if future.cancelled():
                self.call.end("cancelled", "CancelledError")
            elif (error := error_of(future)) is not None:
                self.call.failed(error)
            else:
                self.answer(future.result(), self.call)
                return
            self.call.settle()
