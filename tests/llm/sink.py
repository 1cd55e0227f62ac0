"""A sink that keeps what it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core.events import LlmCallFinished

if TYPE_CHECKING:
    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Event


class Kept:
    """Keeps finished LLM calls, in order."""

    name = "kept by a test"

    def __init__(self) -> None:
        self.calls: list[LlmCallFinished] = []

    def started(self, trace: Trace) -> None:
        """Nothing to do."""

    def handle(self, event: Event) -> None:
        """Keep it."""
        assert isinstance(event, LlmCallFinished)
        self.calls.append(event)
