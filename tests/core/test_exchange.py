"""The state machine of an exchange: facts in, one event out."""

from __future__ import annotations

import copy
import pickle
from logging import WARNING
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs.core import guard, pipeline
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.outcome import must_answer
from pantheon_obs.core.websocket import WebsocketExchange

if TYPE_CHECKING:
    from collections.abc import Callable


class Collector:
    """Keeps each event."""

    name = "collector"

    def __init__(self) -> None:
        self.events: list[Any] = []

    def started(self, trace: Any) -> None:
        """Ignore that a trace has begun."""

    def ended(self, trace: Any) -> None:
        """Ignore that a trace has ended."""

    def handle(self, event: Any) -> None:
        """Keep the event."""
        self.events.append(event)


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The events that leave core."""
    collector = Collector()
    monkeypatch.setattr(pipeline, "sinks", (collector,))
    return collector.events


def watched(trace_id: str = "one", method: str = "GET") -> Exchange:
    """Make an exchange whose event is due."""
    exchange = Exchange(trace_id)
    exchange.watch(method, "/shop/live", "/shop", frozenset({"/live"}))
    return exchange


class Choosy(Collector):
    """Uses the events of ordinary requests from a level on."""

    name = "choosy"

    def wants(self, level: int) -> bool:
        """Whether it uses an event of this level."""
        return level >= WARNING


def test_an_event_that_the_only_sink_does_not_use_is_not_made() -> None:
    """One that is worse than usual is made, and each if somebody else uses it."""

    def serve(status: int) -> None:
        exchange = watched()
        exchange.started(status)
        exchange.complete()

    def look(_trace: Any, event: Any) -> None:
        looked_at.append(event.status_code)

    looked_at: list[int] = []
    sink = Choosy()
    pipeline.add_sink(sink)
    serve(200)
    serve(404)
    failed = watched()
    failed.escaped(LookupError())
    failed.finish()
    pipeline.before_end(look)
    serve(201)
    pipeline.no_more_before_end(look)
    serve(202)
    pipeline.add_sink(Collector())
    serve(203)

    assert [201] == looked_at
    assert [404, None, 201, 203] == [event.status_code for event in sink.events]


def test_an_exchange_emits_one_event(collected: list[Any]) -> None:
    """The first end counts; an exchange that nobody watches has no event."""
    unwatched = Exchange("one")
    unwatched.finish()
    exchange = watched("two")
    exchange.escaped(LookupError())
    exchange.finish()
    exchange.complete()
    exchange.finish()

    assert [("two", "error", None)] == [
        (event.trace_id, event.outcome, event.route) for event in collected
    ]


def test_an_exchange_without_a_sink_has_no_event(
    collected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sink may have been removed since the exchange began."""
    exchange = watched()
    monkeypatch.setattr(pipeline, "sinks", ())
    exchange.complete()

    assert [] == collected
    assert not exchange.event_pending


def test_a_probe_is_quiet_with_and_without_the_prefix_of_its_mount(collected: list[Any]) -> None:
    """A path is compared without the prefix under which the server mounts the application."""
    watched().complete()

    assert [True] == [event.quiet for event in collected]


def complete(exchange: Exchange) -> None:
    """Send a response."""
    exchange.started(200)
    exchange.complete()


def cut(exchange: Exchange) -> None:
    """Have the server close a response before its end."""
    exchange.started(200)
    exchange.closed()


def bodiless(exchange: Exchange) -> None:
    """Have the server close a response that has no body."""
    exchange.started(204)
    exchange.closed()


def interrupted(exchange: Exchange) -> None:
    """Have the server close a response in whose middle the application has raised."""
    exchange.started(200)
    exchange.escaped(LookupError())
    exchange.closed()


@pytest.mark.parametrize(
    ("method", "facts", "expected"),
    [
        pytest.param("GET", complete, "ok", id="complete"),
        pytest.param("GET", cut, "client_disconnected", id="cut"),
        pytest.param("HEAD", cut, "ok", id="head"),
        pytest.param("GET", bodiless, "ok", id="bodiless"),
        pytest.param("GET", interrupted, "error", id="raised"),
        pytest.param("GET", Exchange.closed, "no_response", id="nothing"),
    ],
)
def test_a_response_that_the_server_closes_early_was_left(
    collected: list[Any], method: str, facts: Callable[[Exchange], None], expected: str
) -> None:
    """A server that closes a response before its last byte does so because the client has gone."""
    facts(watched(method=method))

    assert [expected] == [event.outcome for event in collected]


@pytest.mark.parametrize(
    ("headers", "sizes", "streams"),
    [
        pytest.param([("Content-Length", "3")], [3], False, id="all-of-it-in-the-first"),
        pytest.param([("Content-Length", "3")], [1, 2], True, id="in-parts"),
        pytest.param([("Content-Length", "?")], [3], True, id="length-is-no-number"),
        pytest.param([], [3], True, id="length-is-not-known"),
        pytest.param([], [0], True, id="nothing-yet"),
        pytest.param([], [], False, id="no-part"),
    ],
)
def test_a_body_in_parts_has_a_time_to_its_first_byte(
    collected: list[Any], headers: list[tuple[str, str]], sizes: list[int], *, streams: bool
) -> None:
    """A body streams if it comes in parts, or starts before its length is known."""
    exchange = watched()
    exchange.started(200, headers)
    for size in sizes:
        exchange.part(size)
    exchange.complete()

    assert [streams] == [event.ttfb_ms is not None for event in collected]


def test_the_event_of_a_5xx_waits_for_its_exception(collected: list[Any]) -> None:
    """A framework sends a 500 first, and raises the exception that caused it afterwards."""
    error = LookupError()
    exchange = watched()
    try:
        raise error
    except LookupError:
        exchange.started(500)
    exchange.complete()
    assert [] == collected
    exchange.escaped(error)
    exchange.finish()

    assert [("error", error)] == [(event.outcome, event.error) for event in collected]


def test_we_must_answer_until_a_response_starts() -> None:
    """We do not answer if the client has gone, a framework around us answers, or we have."""
    failed, answered, left, done = (Exchange("one") for _ in range(4))
    answered.started(200)
    left.client_left()
    done.answered_by_us()

    exchanges = [failed, answered, left, done]
    assert [True, False, False, False] == [must_answer(each, others_do=False) for each in exchanges]
    assert not must_answer(failed, others_do=True)


def test_an_exchange_holds_no_exception_when_it_is_over(collected: list[Any]) -> None:
    """No cycle of exception, traceback, frame and exchange waits for the garbage collector."""
    exchange = watched()
    exchange.send_failed(OSError())
    exchange.note_unhandled(ValueError())
    exchange.escaped(LookupError())
    exchange.finish()

    held = [value for value in vars(exchange).values() if isinstance(value, BaseException)]
    assert [] == held
    assert ["error"] == [event.outcome for event in collected]


@pytest.mark.parametrize("kind", [Exchange, WebsocketExchange])
def test_an_exchange_can_be_copied_and_pickled(kind: type[Exchange]) -> None:
    """Scopes, environs and requests are copied within their request, and pickled for later."""
    exchange = kind("one")

    assert exchange is copy.copy(exchange)
    assert exchange is copy.deepcopy({"trace": exchange})["trace"]
    assert pickle.loads(pickle.dumps(exchange)) is None  # noqa: S301 - our own


def test_a_failure_of_ours_at_the_end_of_an_exchange_is_reported_once(collected: list[Any]) -> None:
    """The application has its answer; the event is lost, and the guard says so."""

    class Broken(Exchange):
        """An exchange whose route cannot be read."""

        def route(self) -> str | None:
            """Fail."""
            raise ZeroDivisionError

    exchange = Broken("one")
    exchange.watch("GET", "/", "", frozenset())
    exchange.started(200)
    exchange.complete()

    assert [] == collected
    assert frozenset({"end of an exchange"}) == guard.reported()


def test_a_sink_need_not_care_when_the_applications_code_begins() -> None:
    """One that does may fail: the others are notified all the same."""

    class Broken(Collector):
        """Fails."""

        name = "broken"

        def entered(self, trace: Any) -> None:
            """Raise."""
            raise ValueError(trace)

    for sink in (Collector(), Broken()):
        pipeline.add_sink(sink)
    pipeline.entered(Exchange("order-7"))

    assert {"sink broken"} == guard.reported()
    guard.forget()
