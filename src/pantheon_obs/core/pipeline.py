"""How a fact reaches the sinks: once, as one value, each sink under the guard."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from pantheon_obs.core.guard import count_failures_with, report
from pantheon_obs.core.measurements import TelemetryFailed
from pantheon_obs.core.trace_id import made_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Ended, Event
    from pantheon_obs.core.measurements import Measurement, Operation


class Sink(Protocol):
    """Where facts go. One file or folder per back-end; its exceptions are reported once.

    A sink that is interested in finished facts only has neither `started` nor `ended`. A sink may
    also have a method `measure(measurement)`, which gets the facts of `core.measurements`, and one
    `timed(operation)`, which gets each `Operation` of a trace as it ends. Another is
    `adopt(headers, trusted) -> str | None`: the id that its back-end has already given a request
    that brought none of ours, from the request's headers (pairs of bytes, names in lower case) and
    whether inbound ids are trusted. A method `entered(trace)` is called where other programs come
    between `started` and the application, as interceptors do. A method
    `wants(level) -> bool | None` says whether the sink uses `request_finished` at this level: if it
    does not (False), and is the only sink, the event is not made.
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
listening: tuple[Any, ...] = ()  # `ListeningSink`s
adopting: tuple[Any, ...] = ()
timing: tuple[Any, ...] = ()
wants: Callable[[int], bool | None] | None = None
_entering: tuple[Any, ...] = ()
_measuring: tuple[Any, ...] = ()
_looking: tuple[Callable[[Trace, Ended], None], ...] = ()


def _use(chosen: tuple[Sink, ...]) -> None:
    global sinks, listening, adopting, timing, _entering, _measuring  # noqa: PLW0603 - one process, one set of sinks
    sinks = chosen
    _ask_who_wants()
    listening, adopting, timing, _entering, _measuring = (
        tuple(sink for sink in sinks if hasattr(sink, method))
        for method in ("started", "adopt", "timed", "entered", "measure")
    )


def _ask_who_wants() -> None:
    """Choose the sink that may do without an event: the only one, if nobody else looks at it."""
    global wants  # noqa: PLW0603 - as above
    is_alone = len(sinks) == 1 and not _looking
    wants = getattr(sinks[0], "wants", None) if is_alone else None


class Once:
    """A sink that calls a function when the next request, websocket or task begins."""

    def __init__(self, name: str, call: Callable[[], object]) -> None:
        self.name = name
        self._call = call

    def handle(self, event: Event) -> None:
        """Ignore a fact."""

    def started(self, _: Trace) -> None:
        """Call it."""
        remove_sink(self.name)
        self._call()

    def ended(self, _: Trace) -> None:
        """Ignore the end of a trace."""


def add_sink(sink: Sink) -> None:
    """Send every fact from now on to this sink, in place of one of the same name."""
    _use((*(other for other in sinks if other.name != sink.name), sink))


def remove_sink(name: str) -> None:
    """Send no more facts to the sink of this name."""
    _use(tuple(sink for sink in sinks if sink.name != name))


def reset() -> None:
    """Remove all sinks (used by `pantheon_obs.testing.reset`)."""
    global _looking  # noqa: PLW0603 - as above
    _looking = ()
    _use(())


def started(trace: Trace) -> None:
    """Notify the sinks that a request, websocket or task has begun; `end` notifies them too."""
    trace.listeners = listening
    for sink in listening:
        try:
            sink.started(trace)
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            report(f"sink {sink.name}", error)


def entered(trace: Trace) -> None:
    """Notify the sinks that the application's code begins, where that is later than `started`."""
    _notify(_entering, "entered", trace)


def before_end(look: Callable[[Trace, Ended], None]) -> None:
    """Call a function with each request, websocket and task that ends, before the sinks hear it.

    It may set `extra` and `unwritten` of the event.
    """
    global _looking  # noqa: PLW0603 - as above
    _looking = (*(each for each in _looking if each != look), look)
    _ask_who_wants()


def no_more_before_end(look: Callable[[Trace, Ended], None]) -> None:
    """Undo `before_end`."""
    global _looking  # noqa: PLW0603 - as above
    _looking = tuple(each for each in _looking if each != look)
    _ask_who_wants()


def finished(trace: Trace, event: Ended) -> None:
    """Hand the fact with which a request, websocket or task ends to each sink."""
    for look in _looking:
        try:
            look(trace, event)
        except Exception as error:  # noqa: BLE001 - the guard, without its cost per request
            report("end of a trace", error)
    for sink in sinks:  # as `emit` does, without one more call per request
        try:
            sink.handle(event)
        except Exception as error:  # noqa: BLE001 - as above
            report(f"sink {sink.name}", error)


def emit(event: Event) -> None:
    """Hand one fact to each sink."""
    for sink in sinks:
        try:
            sink.handle(event)
        except Exception as error:  # noqa: BLE001 - as above
            report(f"sink {sink.name}", error)


def emit_measurement(measurement: Measurement) -> None:
    """Hand a fact without a log line to the sinks that count such."""
    _notify(_measuring, "measure", measurement)


def timed(operation: Operation) -> None:
    """Hand a measured call to the sinks that want each of them."""
    _notify(timing, "timed", operation)


def _notify(those: Iterable[Sink], method: str, fact: object) -> None:
    for sink in those:
        try:
            getattr(sink, method)(fact)
        except Exception as error:  # noqa: BLE001 - as above
            report(f"sink {sink.name}", error)


def _count_failure(site: str) -> None:
    for sink in _measuring:
        with suppress(Exception):  # a report of it would come here again
            sink.measure(TelemetryFailed(site=site))


count_failures_with(_count_failure)


def adopted_id(headers: Iterable[tuple[bytes, bytes]], *, trusted: bool) -> str | None:
    """Ask the sinks for the id that a back-end has already given a request, as `adopt` does."""
    for sink in adopting:
        try:
            found: str | None = sink.adopt(headers, trusted)
            if found is not None:
                return made_by(f"sink {sink.name}", found)
        except Exception as error:  # noqa: BLE001 - as above
            report(f"sink {sink.name}", error)
    return None
