"""How a fact reaches the sinks: once, as one value, each sink under the guard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pantheon_obs.core.guard import report

if TYPE_CHECKING:
    from pantheon_obs.core.context import Record
    from pantheon_obs.core.events import Event


class Sink(Protocol):
    """Where facts go. One file per back-end; what it raises is swallowed and reported once."""

    name: str
    """Names the sink; a second sink of the same name replaces the first."""

    def started(self, record: Record) -> None:
        """A request or websocket has begun; runs in its context, before the app."""

    def handle(self, event: Event) -> None:
        """A fact is complete."""


sinks: tuple[Sink, ...] = ()


def add_sink(sink: Sink) -> None:
    """Send every fact from now on to this sink, in place of one of the same name."""
    global sinks  # noqa: PLW0603 - one process, one set of sinks
    sinks = (*(other for other in sinks if other.name != sink.name), sink)


def remove_sink(name: str) -> None:
    """Send no more facts to the sink of this name."""
    global sinks  # noqa: PLW0603 - as above
    sinks = tuple(sink for sink in sinks if sink.name != name)


def started(record: Record) -> None:
    """Tell the sinks that a request has begun."""
    for sink in sinks:
        try:
            sink.started(record)
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            report(f"sink {sink.name}", error)


def emit(event: Event) -> None:
    """Hand one fact to each sink."""
    for sink in sinks:
        try:
            sink.handle(event)
        except Exception as error:  # noqa: BLE001 - as above
            report(f"sink {sink.name}", error)
