"""`pantheon_obs.testing`, for the tests of applications."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from pantheon_obs import bind, configure_logging, current_trace_id, get_logger, trace_context
from pantheon_obs.core import pipeline
from pantheon_obs.core.pipeline import emit
from pantheon_obs.sinks.logs import configure
from pantheon_obs.testing import capture_events, fixed_ids, reset
from tests.support.events import request_finished
from tests.support.lines import validate_line

if TYPE_CHECKING:
    from collections.abc import Callable

    Logged = Callable[[], list[dict[str, Any]]]


@pytest.mark.parametrize("configured", [True, False])
def test_every_kind_of_line_is_seen(*, configured: bool) -> None:
    """Events of all loggers of structlog, of the standard library and of ours are captured."""
    structlog.configure(cache_logger_on_first_use=True)
    lazy = structlog.get_logger("lazy")
    bound = structlog.get_logger("bound").bind(a=1)
    if configured:
        configure_logging(log_format="json")
    cached = get_logger("cached").bind()

    with capture_events() as events, trace_context("t-1"):
        lazy.info("one")
        bound.info("two")
        cached.info("three", b=2)
        logging.getLogger("plain").warning("four %d", 4, extra={"c": 3})
        emit(request_finished(trace_id="t-2"))
    lazy.warning("not seen")

    assert ["one", "two", "three", "four 4", "request_finished"] == [
        event["event"] for event in events
    ]
    assert {"t-1", "t-2"} == {event["trace_id"] for event in events}
    for event in events:
        validate_line(event)
    structlog.reset_defaults()


def test_captures_may_be_nested(logged: Logged) -> None:
    """Each capture has the events while it is open; lines are written all the same."""
    configure_logging(log_format="json")

    with capture_events() as outer:
        logging.getLogger("a").info("one")
        with capture_events() as inner:
            logging.getLogger("a").info("two")
        logging.getLogger("a").info("three")

    assert ["one", "two", "three"] == [event["event"] for event in outer]
    assert ["two"] == [event["event"] for event in inner]
    assert outer == logged()


def test_an_event_that_is_not_logged_is_not_captured() -> None:
    """An event below the level is not captured."""
    configure_logging(log_format="json", log_level="WARNING")

    with capture_events() as events:
        get_logger("a").info("hidden")
        get_logger("a").warning("shown")

    assert ["shown"] == [event["event"] for event in events]


def test_a_capture_ends_with_an_exception_too() -> None:
    """The exception of the block passes, and the capture ends."""
    with pytest.raises(KeyError), capture_events() as events:
        raise KeyError

    logging.getLogger("a").warning("not seen")
    assert [] == events
    assert configure.active_emitter() is None


def test_a_service_that_configures_logging_during_a_capture_keeps_it(logged: Logged) -> None:
    """An app that is instrumented inside the block stays instrumented."""
    with capture_events() as events:
        configure_logging(log_format="json")
        logging.getLogger("a").info("e")

    logging.getLogger("a").info("after")

    assert ["e"] == [event["event"] for event in events]
    assert ["e", "after"] == [line["event"] for line in logged()]


def test_fixed_ids_count() -> None:
    """With fixed ids a test can compare whole lines."""
    new_id = fixed_ids()

    assert ["trace-1", "trace-2"] == [new_id(), new_id()]
    assert "job-1" == fixed_ids("job")()


def test_reset_undoes_everything() -> None:
    """Handlers, levels, sinks and context are restored; a second reset has no effect."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    configure_logging(log_format="json", log_level="DEBUG")
    bind(tenant="acme")
    current_trace_id.set("t-1")

    reset()
    reset()

    assert before == (root.handlers, root.level)
    assert ((), "", None) == (pipeline.sinks, current_trace_id.get(), configure.active_emitter())
    with capture_events() as events:
        logging.getLogger("a").warning("e")
    assert "tenant" not in events[0]
