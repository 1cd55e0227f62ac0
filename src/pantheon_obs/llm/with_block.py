"""The `with` statement of `llm_call`: its block is the call's own code, and gets a handle."""

from __future__ import annotations

from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR, currentframe
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.calls import enter_frame, leave_context, leave_frame
from pantheon_obs.core.context import current_call
from pantheon_obs.core.guard import Guard
from pantheon_obs.llm.observe.whole_answers import SeveralAnswers
from pantheon_obs.llm.usage.shapes import read
from pantheon_obs.llm.usage.sources import attached_usage

if TYPE_CHECKING:
    from contextvars import Token
    from types import FrameType

    from pantheon_obs.core.context import OpenCall
    from pantheon_obs.llm.report import LlmCall

_GENERATOR = CO_GENERATOR | CO_ASYNC_GENERATOR
_SKIPPED = frozenset({__name__, "pantheon_obs.llm.call", "contextlib"})

_guard = Guard("llm call")


class LlmCallHandle:
    """Records the progress of one call; none of its methods raises an `Exception`."""

    def __init__(self, call: LlmCall) -> None:
        self._call = call
        self._answers = SeveralAnswers(call.reported)
        self._results = 0
        self._attached: Any = None  # the usage that the first result carries

    def chunk(self, chunk: object) -> None:
        """Count a chunk of the answer.

        Args:
            chunk: The chunk. The times to the first one and to the first with content are taken,
                and the usage, model and finish reason that it reports are kept.
        """
        call = self._call
        call.begin_stream()
        call.recent.append(chunk)
        if len(call.recent) >= call.window:
            call.look()

    def usage(self, usage: object) -> None:
        """Set the usage.

        Args:
            usage: `(input_tokens, output_tokens)`, a usage object or a future of one.
        """
        self._call.attached = usage

    def result(self, result: object) -> None:
        """Read the usage, model and finish reason of a response. Several are added up.

        Args:
            result: The response.
        """
        call = self._call
        with _guard:
            if call.streamed:
                read(result, call.reported)
            else:
                self._results += 1
                self._answers.add(result)
            if self._results > 1:
                if call.attached is self._attached:
                    call.attached = None
            elif call.attached is None:
                call.attached = self._attached = attached_usage(result)


class WithBlock:
    """The block of a `with` statement, which is its call's own code."""

    def __init__(self, call: LlmCall) -> None:
        self.call = call
        frame = _frame_of_with()
        self.frame = id(frame)
        self.token: Token[OpenCall | None] | None = None
        # In a generator the context variable would be visible to the consumer, too.
        if frame.f_code.co_flags & _GENERATOR:
            enter_frame(frame, call)
        else:
            self.token = current_call.set(call)


def end_block(entered: list[WithBlock], error: BaseException | None) -> LlmCall:
    """End the block that ends here, and its call; several tasks may share the list."""
    frame = id(_frame_of_with())
    block = next((each for each in reversed(entered) if each.frame == frame), entered[-1])
    entered.remove(block)
    call = block.call
    if block.token is None:
        leave_frame(block.frame, call)
    else:
        leave_context(block.token)
    if error is not None:
        call.failed(error)
    elif call.reported.finished is False:
        call.abandoned()  # before the terminal chunk, be it by choice or not
    else:
        call.end("ok")
    call.settle()
    return call


def _frame_of_with() -> FrameType:
    """Return the frame with the `with` statement, or the frame that uses contextlib's managers."""
    frame: Any = currentframe()
    while frame.f_back is not None and any(
        near.f_globals.get("__name__") in _SKIPPED for near in (frame, frame.f_back)
    ):
        frame = frame.f_back
    return frame  # type: ignore[no-any-return]
