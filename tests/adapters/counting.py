"""A sink that counts the traces that have begun and those that have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator


class Counter:
    """Keeps each trace of which it has heard the beginning, until it hears the end.

    Attributes:
        open: The traces that have begun and not ended.
        begun: How many have begun.
        ended: How many have ended.
    """

    name = "counter"

    def __init__(self) -> None:
        self.open: list[Any] = []
        self.begun = 0
        self.ends = 0

    def started(self, trace: Any) -> None:
        """Hear of a beginning."""
        self.begun += 1
        self.open.append(trace)

    def ended(self, trace: Any) -> None:
        """Hear of an end."""
        self.ends += 1
        self.open.remove(trace)

    def handle(self, event: Any) -> None:
        """Ignore an event."""

    def report(self) -> tuple[int, int, int]:
        """How many have begun, have ended, and are still open."""
        return self.begun, self.ends, len(self.open)


def counting() -> Iterator[Counter]:
    """Count while a test runs."""
    counter = Counter()
    pipeline.add_sink(counter)
    yield counter
    pipeline.remove_sink(counter.name)
