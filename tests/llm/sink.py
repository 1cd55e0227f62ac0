"""A sink that keeps its events."""

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
        """Ignore that a trace has begun."""

    def handle(self, event: Event) -> None:
        """Keep the event."""
        assert isinstance(event, LlmCallFinished)
        self.calls.append(event)
