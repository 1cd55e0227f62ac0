"""How a fact reaches the sinks: once, as one value, each sink under the guard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from pantheon_obs.core.guard import report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Event


class Sink(Protocol):
    """Where facts go. One file or folder per back-end; what it raises is reported once.

    A sink that is interested in finished facts only has neither `started` nor `ended`. A sink may
    also have a method `adopt(headers, trusted) -> str | None`: the id that its back-end has already
    given a request that brought none of ours, from the request's headers (pairs of bytes, names in
    lower case) and whether inbound ids are trusted.
    """

    name: str
    """Names the sink; a second sink of the same name replaces the first."""

    def handle(self, event: Event) -> None:
        """A fact is complete."""


class ListeningSink(Sink, Protocol):
    """A sink that hears of requests, websockets and tasks while they run."""

    def started(self, trace: Trace) -> None:
        """One has begun; runs in its context, before the application."""

    def ended(self, trace: Trace) -> None:
        """It has ended, whichever way; called once for each `started`."""


sinks: tuple[Sink, ...] = ()

# Chosen once for each set of sinks, so that a request pays only for those that are interested.
_chosen_from = sinks
_listening: tuple[ListeningSink, ...] = ()
_adopting: tuple[Any, ...] = ()


def _choose() -> None:
    global _chosen_from, _listening, _adopting  # noqa: PLW0603 - one process, one set of sinks
    _chosen_from = sinks
    _listening = tuple(cast("ListeningSink", sink) for sink in sinks if hasattr(sink, "started"))
    _adopting = tuple(sink for sink in sinks if hasattr(sink, "adopt"))


def add_sink(sink: Sink) -> None:
    """Send every fact from now on to this sink, in place of one of the same name."""
    global sinks  # noqa: PLW0603 - as above
    sinks = (*(other for other in sinks if other.name != sink.name), sink)


def remove_sink(name: str) -> None:
    """Send no more facts to the sink of this name."""
    global sinks  # noqa: PLW0603 - as above
    sinks = tuple(sink for sink in sinks if sink.name != name)


def reset() -> None:
    """Remove all sinks (used by `pantheon_obs.testing.reset`)."""
    global sinks  # noqa: PLW0603 - as above
    sinks = ()
    _choose()


def started(trace: Trace) -> None:
    """Notify the sinks that a request, websocket or task has begun; `end` notifies them too."""
    if _chosen_from is not sinks:
        _choose()
    trace.listeners = _listening
    for sink in _listening:
        try:
            sink.started(trace)
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            report(f"sink {sink.name}", error)


def emit(event: Event) -> None:
    """Hand one fact to each sink."""
    for sink in sinks:
        try:
            sink.handle(event)
        except Exception as error:  # noqa: BLE001 - as above
            report(f"sink {sink.name}", error)


def adopted_id(headers: Iterable[tuple[bytes, bytes]], *, trusted: bool) -> str | None:
    """Ask the sinks for the id that a back-end has already given a request, as `adopt` does."""
    if _chosen_from is not sinks:
        _choose()
    for sink in _adopting:
        try:
            found: str | None = sink.adopt(headers, trusted)
        except Exception as error:  # noqa: BLE001 - as above
            report(f"sink {sink.name}", error)
        else:
            if found is not None:
                return found
    return None
