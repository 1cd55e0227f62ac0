"""Coroutines and futures under observation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core.calls import leave_context
from pantheon_obs.core.context import current_call
from pantheon_obs.core.guard import Guard
from pantheon_obs.llm.observe.generators import CallFinalizer
from pantheon_obs.llm.usage.find import error_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pantheon_obs.llm.report import LlmCall

    Handler = Callable[[Any, LlmCall], Any]

_guard = Guard("llm future")


async def awaited(
    coroutine: Awaitable[Any], finalizer: CoroutineFinalizer, deliver: Handler
) -> Any:
    """Await the application's coroutine, and let `deliver` observe its result."""
    call = finalizer.call
    finalizer.coroutine = None
    token = current_call.set(call)
    try:
        result = await coroutine
    except BaseException as error:
        call.failed(error)
        call.settle()
        raise
    finally:
        leave_context(token)
    return deliver(result, call)


class CoroutineFinalizer:
    """Ends a call when its coroutine is garbage-collected without being awaited."""

    __slots__ = ("call", "coroutine")

    def __init__(self, call: LlmCall, coroutine: Any) -> None:
        self.call = call
        self.coroutine = coroutine

    def __del__(self) -> None:
        if self.coroutine is not None:
            self.call.end("not_consumed")
            self.call.settle()
            self.coroutine.close()  # Python warns about our coroutine: one warning is enough


class FutureFinalizer(CallFinalizer):
    """Ends a call when its future is done or garbage-collected: the future's callback."""

    __slots__ = ("answer",)

    def __init__(self, call: LlmCall, answer: Handler) -> None:
        super().__init__(call)
        self.answer = answer

    def done(self, future: Any) -> None:
        """The future has a result or an exception, or was cancelled."""
        with _guard:
            if future.cancelled():
                self.call.end("cancelled", "CancelledError")
            elif (error := error_of(future)) is not None:
                self.call.failed(error)
            else:
                self.answer(future.result(), self.call)
                return
            self.call.settle()
