"""What the LLM calls of one request or job add up to."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantheon_obs.core.events import LlmCallFinished


class LlmTotals:
    """Running totals over the LLM calls of one record."""

    __slots__ = (
        "_lock",
        "calls",
        "cost_usd",
        "errors",
        "input_tokens",
        "latency_ms",
        "output_tokens",
    )

    def __init__(self) -> None:
        # Re-entrant: a garbage collection may finish another call in the middle of this one's.
        self._lock = RLock()
        self.calls = 0
        self.errors = 0
        self.latency_ms = 0.0
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_usd: float | None = None

    def add(self, call: LlmCallFinished) -> None:
        """Count one finished call; safe from several threads at once."""
        with self._lock:
            self.calls += 1
            self.errors += call.outcome == "error"
            self.latency_ms += call.latency_ms
            self.input_tokens += call.input_tokens or 0
            self.output_tokens += call.output_tokens or 0
            if call.cost_usd is not None:
                self.cost_usd = (self.cost_usd or 0.0) + call.cost_usd
