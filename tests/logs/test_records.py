"""Our events as `LogRecord`s, where the application has handlers of its own."""

from __future__ import annotations

import copy
import io
import logging
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import configure_logging, get_logger
from pantheon_obs.core import structured
from pantheon_obs.core.events import RequestFinished
from pantheon_obs.core.pipeline import emit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Logged = Callable[[], list[dict[str, Any]]]

SECRET = "Bearer abcdefgh12345678"  # noqa: S105 - has the form of one


class Witness(logging.Handler):
    """A handler of the application that keeps each record, and whether it was structured."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.structured: list[bool] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record."""
        self.records.append(record)
        self.structured.append(id(record) in structured.in_flight)


@pytest.fixture
def witness() -> Iterator[Witness]:
    """Put a handler on the root logger."""
    handler = Witness()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def finished(**changes: Any) -> RequestFinished:
    """Make the event of a request."""
    parts: dict[str, Any] = {
        "trace_id": "t-1",
        "bound": {},
        "method": "GET",
        "path": f"/x/{SECRET}",
        "status_code": 200,
        "latency_ms": 1.0,
        "outcome": "ok",
    }
    return RequestFinished(**{**parts, **changes})


def test_an_event_is_redacted_alike_with_and_without_other_handlers(
    logged: Logged, request: pytest.FixtureRequest
) -> None:
    """Our own values that look like a secret stay, and values from outside are redacted."""
    configure_logging(log_format="json")
    fact = finished(error=type(SECRET, (Exception,), {})())  # its name is the field `error_type`

    emit(fact)
    request.getfixturevalue("witness")
    emit(finished(error=type(SECRET, (Exception,), {})()))

    short, long = ({**line, "timestamp": ""} for line in logged())
    assert short == long
    assert ("/x/Bearer [redacted]", SECRET) == (long["path"], long["error_type"])


def test_records_carry_nothing_private_of_ours(witness: Witness) -> None:
    """Other handlers see the standard attributes, the event's own fields and the trace id."""
    configure_logging(log_format="json")

    get_logger("a").info("e", order=17)
    emit(finished())

    standard = {"message", *vars(logging.makeLogRecord({}))}
    structured, fact = (set(vars(record)) - standard for record in witness.records)
    assert {"order", "trace_id"} == structured
    assert {"method", "latency_ms", "outcome", "path", "status_code", "trace_id"} == fact


def test_a_record_is_structured_while_its_handlers_run(witness: Witness) -> None:
    """Our events and structlog's are structured while they are handled; plain records are not."""
    configure_logging(log_format="json")

    get_logger("a").info("structured")
    emit(finished())
    logging.getLogger("a").info("plain")

    assert [True, True, False] == witness.structured
    assert [False] * 3 == [id(record) in structured.in_flight for record in witness.records]


def test_a_handler_that_logs_while_it_handles_mixes_nothing_up(logged: Logged) -> None:
    """A structured event within another one does not change it."""
    configure_logging(log_format="json")

    class Nosy(Witness):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "outer":
                get_logger("inner").info("within", number=2)
            super().emit(record)

    handler = Nosy()
    logging.getLogger().handlers.insert(0, handler)
    get_logger("outer").info("around", number=1)
    logging.getLogger().removeHandler(handler)

    assert [("within", 2), ("around", 1)] == [(e["event"], e["number"]) for e in logged()]
    assert [True, True] == handler.structured


def test_a_handler_that_raises_leaves_no_event_behind(witness: Witness) -> None:
    """If an application's handler raises, the record is no longer structured afterwards."""
    configure_logging(log_format="json")

    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise LookupError

    handler = Raising()
    logging.getLogger("a").addHandler(handler)
    with pytest.raises(LookupError):
        get_logger("a").info("e")
    logging.getLogger("a").removeHandler(handler)

    get_logger("a").info("e")
    assert [False] == [id(record) in structured.in_flight for record in witness.records]


def test_an_event_without_its_record_is_read_from_a_copy(logged: Logged) -> None:
    """A filter that replaces the record decides the content of the line."""
    configure_logging(log_format="json")
    [handler] = [h for h in logging.getLogger().handlers if type(h).__name__ == "ObsHandler"]

    def masked(record: logging.LogRecord) -> Any:
        other = copy.copy(record)
        other.order = "hidden"
        return other

    handler.addFilter(masked)
    get_logger("a").info("e", order=17)
    handler.removeFilter(masked)

    [line] = logged()
    expected = "hidden" if __import__("sys").version_info >= (3, 12) else 17
    assert ("e", expected) == (line["event"], line["order"])


def test_a_filter_may_change_level_and_name(logged: Logged) -> None:
    """The line of a structured event has the level and name of its changed record."""
    configure_logging(log_format="json")

    def demote(record: logging.LogRecord) -> bool:
        record.levelno, record.name = logging.INFO, "quiet"
        return True

    logging.getLogger("a").addFilter(demote)
    get_logger("a").error("e")
    logging.getLogger("a").removeFilter(demote)

    [line] = logged()
    assert ("info", "quiet") == (line["level"], line["logger"])


def test_a_stream_of_the_application_sees_the_message(logged: Logged) -> None:
    """A stream handler formats a structured event like any record."""
    configure_logging(log_format="json")
    handler = logging.StreamHandler(seen := io.StringIO())
    logging.getLogger("a").addHandler(handler)

    get_logger("a").info("100% done")
    logging.getLogger("a").removeHandler(handler)

    assert "100% done\n" == seen.getvalue()
    assert ["100% done"] == [line["event"] for line in logged()]
