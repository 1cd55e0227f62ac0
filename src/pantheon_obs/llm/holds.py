"""What ends a call when the host lets go of it: held by what the host holds, by nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantheon_obs.llm.lifecycle import LlmCall


class Hold:
    """Held by what the host holds: when that is let go, the call has ended.

    The loop around a generator reports its ends here.
    """

    __slots__ = ("call",)

    def __init__(self, call: LlmCall) -> None:
        self.call = call

    def exhausted(self, began: float) -> None:
        """The iterator, asked at `began` for more, has come to its end."""
        self.call.exhausted(began)
        self.call.settle()

    def failed(self, error: BaseException, began: float) -> None:
        """An exception came out of the iterator."""
        self.call.failed(error, began)
        self.call.settle()

    def left(self) -> None:
        """The consumer wants no more. The usage is looked for when the iterator is closed."""
        self.call.left()

    def __del__(self) -> None:
        self.call.left()
        self.call.settle()


class WaitingHold:
    """Held by the usage future, as the callback for which the call waits."""

    __slots__ = ("call",)

    def __init__(self, call: LlmCall) -> None:
        self.call = call

    def resolved(self, _: object) -> None:
        """The usage is there, or will not come."""
        self.call.settle()

    def __del__(self) -> None:
        self.call.settle(wait=False)
