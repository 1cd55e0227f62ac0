"""Handlers of the application get ordinary records, with the trace and the bound fields."""

from __future__ import annotations

import json
import logging
import logging.handlers
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import bind, configure_logging, get_logger, trace_context
from pantheon_obs.core.events import RequestFinished
from pantheon_obs.core.pipeline import emit
from tests.logs.running import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Logged = Callable[[], list[dict[str, Any]]]

STANDARD = {"message", "taskName", *vars(logging.makeLogRecord({}))}


class Pickles(logging.handlers.SocketHandler):
    """Keeps the records that a `SocketHandler` sends."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 9)
        self.sent: list[bytes] = []

    def send(self, s: bytes) -> None:
        """Keep it."""
        self.sent.append(s[4:])


class Lines(logging.Handler):
    """Keeps the records as its formatter renders them."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.lines.append(self.format(record))


@pytest.fixture
def add() -> Iterator[Callable[[logging.Handler], None]]:
    """Put handlers on the root logger, before ours, until the end of the test."""
    added: list[logging.Handler] = []

    def to_root(handler: logging.Handler) -> None:
        logging.getLogger().addHandler(handler)
        added.append(handler)

    yield to_root
    for handler in added:
        logging.getLogger().removeHandler(handler)


def log_all() -> None:
    """Log one record of each kind in a trace, and one outside."""
    with trace_context("t-1"):
        bind(tenant="acme", message="bound")
        get_logger("a").warning("structured", order=1)
        logging.getLogger("a").warning("plain", extra={"order": 2})
        logging.getLogger("a").warning("of its own", extra={"order": 3, "tenant": "other"})
    logging.getLogger("a").warning("outside", extra={"order": 4})
    emit(
        RequestFinished(
            trace_id="t-2", bound={"tenant": "acme"}, method="GET", path="/", status_code=200,
            latency_ms=1.0, outcome="ok",
        )
    )  # fmt: skip


def test_a_format_may_name_the_trace_and_bound_fields(
    logged: Logged, add: Callable[[logging.Handler], None]
) -> None:
    """`-` stands outside a trace, and a field of the record's own stays."""
    text = "%(trace_id)s %(tenant)s %(message)s"
    add(handler := Lines(logging.Formatter(text, defaults={"tenant": "-"})))
    configure_logging(log_format="json")

    log_all()

    assert [
        "t-1 acme structured",
        "t-1 acme plain",
        "t-1 other of its own",
        "- - outside",
        "t-2 acme request_finished",
    ] == handler.lines
    lines = logged()
    assert ["t-1", "t-1", "t-1", None, "t-2"] == [line.get("trace_id") for line in lines]
    assert ["acme", "acme", "other", None, "acme"] == [line.get("tenant") for line in lines]
    assert [] == [key for line in lines for key in line if key.endswith("_")]


def test_a_receiver_without_the_package_can_read_what_is_sent(
    logged: Logged, add: Callable[[logging.Handler], None]
) -> None:
    """A pickled record has plain attributes only, each once."""
    add(handler := Pickles())
    configure_logging(log_format="json")

    log_all()

    assert [] == [
        sent
        for sent in handler.sent
        if b"pantheon_obs." in sent.replace(b"pantheon_obs.request", b"")
    ]
    structured = pickle.loads(handler.sent[0])  # noqa: S301 - our own
    assert {"order", "tenant", "trace_id"} == set(structured) - STANDARD
    assert 5 == len(logged())


class Session:
    """Cannot be pickled, as a connection cannot."""

    def __reduce__(self) -> Any:
        """Refuse."""
        raise TypeError

    def __str__(self) -> str:
        """Return its name."""
        return "session 17"


@dataclass
class Owner:
    """A value of a class that another process may not have."""

    name: str


def test_a_bound_value_that_cannot_be_pickled_is_its_text_for_others(
    logged: Logged, add: Callable[[logging.Handler], None]
) -> None:
    """A handler that pickles loses no record, and our line has the value."""
    add(handler := Pickles())
    add(here := Lines(logging.Formatter("%(session)s %(rows)r")))
    configure_logging(log_format="json")
    deep: list[Any] = []
    deep.append(deep)
    bound = {"session": Session(), "rows": [{"a": (1, None)}], "all": [Session()], "deep": deep}

    with trace_context("t-1"):
        bind(**bound)
        logging.getLogger("a").warning("plain")
        get_logger("a").warning("structured", order=1)

    sent = [pickle.loads(each) for each in handler.sent]  # noqa: S301 - our own
    assert [("session 17", bound["rows"])] * 2 == [(one["session"], one["rows"]) for one in sent]
    assert [True] * 2 == [one["all"].startswith("[<") for one in sent]
    assert [f"session 17 {bound['rows']!r}"] * 2 == here.lines
    shown = [{key: line[key] for key in line if key in bound} for line in logged()]
    assert [{**bound, "session": repr(bound["session"])}.keys()] * 2 == [
        one.keys() for one in shown
    ]
    assert [repr(bound["session"])] * 2 == [one["session"] for one in shown]


def test_other_handlers_see_plain_values_only(
    logged: Logged, add: Callable[[logging.Handler], None]
) -> None:
    """No attribute of a record has a class of ours; our line shows a bound object as ever."""
    add(handler := Lines(logging.Formatter("%(owner)s")))
    records: list[logging.LogRecord] = []
    handler.addFilter(lambda record: not records.append(record))
    configure_logging(log_format="json")

    with trace_context("t-1"):
        bind(owner=Owner("ada"))
        logging.getLogger("a").warning("plain")
        get_logger("a").warning("structured")

    kinds = {type(value) for record in records for value in vars(record).values()}
    assert set() == {kind for kind in kinds if kind.__module__ != "builtins"}
    assert [str(Owner("ada"))] * 2 == handler.lines
    assert [{"name": "ada"}] * 2 == [line["owner"] for line in logged()]


def test_a_filter_may_mask_a_bound_field(
    logged: Logged, add: Callable[[logging.Handler], None]
) -> None:
    """Our line has the masked value too, whether or not the bound one can be pickled."""

    def mask(record: Any) -> bool:
        record.tenant = record.owner = "***"
        return True

    add(handler := Lines(logging.Formatter("%(tenant)s %(owner)s")))
    handler.addFilter(mask)
    configure_logging(log_format="json")

    with trace_context("t-1"):
        bind(tenant="acme", owner=Owner("ada"))
        logging.getLogger("a").warning("plain")
        get_logger("a").warning("structured")

    assert ["*** ***"] * 2 == handler.lines
    assert [("***", "***")] * 2 == [(line["tenant"], line["owner"]) for line in logged()]


def test_a_field_called_trace_id_stays_the_application_s(
    logged: Logged, add: Callable[[logging.Handler], None]
) -> None:
    """Neither other handlers nor the line get ours in its place."""
    add(handler := Lines(logging.Formatter("%(trace_id)s")))
    configure_logging(log_format="json")

    with trace_context("t-1"):
        logging.getLogger("a").warning("plain", extra={"trace_id": "own"})
        get_logger("a").warning("structured", trace_id="own")

    assert ["own", "own"] == handler.lines
    assert [("t-1", "own")] * 2 == [(line["trace_id"], line["trace_id_"]) for line in logged()]


@pytest.mark.parametrize(
    "module", ["pythonjsonlogger.json.JsonFormatter", "ecs_logging.StdlibFormatter"]
)
def test_formatters_of_others_tell_each_field_once(
    logged: Logged, add: Callable[[logging.Handler], None], module: str
) -> None:
    """They format the fields of a structured event as they format `extra=`."""
    package, _, name = module.rpartition(".")
    formatter = getattr(pytest.importorskip(package), name)()
    add(handler := Lines(formatter))
    configure_logging(log_format="json")

    with trace_context("t-1"):
        get_logger("a").warning("structured", order=917_352)

    [text] = handler.lines
    assert (1, 1) == (text.count("917352"), text.count("t-1"))
    assert json.loads(text)
    assert 1 == len(logged())


QUEUES = """
import logging.handlers, multiprocessing
from pantheon_obs.sinks.logs.entry import NO_TRACE

def child(queue):
    logging.getLogger().handlers[:] = [logging.handlers.QueueHandler(queue)]
    with trace_context("t-1"):
        bind(tenant="acme")
        get_logger("a").warning("structured", order=1)
        try:
            {}["key"]
        except KeyError:
            logging.getLogger("a").exception("failed %s", "here", extra={"order": 2})
    logging.getLogger("a").warning("outside\\nof it", extra={"trace_id": {"not": "an id"}})
    logging.getLogger("a").warning("end")

if __name__ == "__main__":
    configure_logging(log_format="json")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    handled = []
    while not handled or handled[-1].getMessage() != "end":
        handled.append(queue.get())
        logging.getLogger(handled[-1].name).handle(handled[-1])
    process.join()
"""


def test_a_queue_between_processes_loses_nothing() -> None:
    """The line has the trace of the process that logged, and the traceback in a field."""
    done = run(QUEUES)

    structured, failed, outside, end = done.lines
    assert ("t-1", "acme", 1) == tuple(structured[key] for key in ("trace_id", "tenant", "order"))
    assert ("failed here", "t-1", 2) == tuple(failed[key] for key in ("event", "trace_id", "order"))
    assert failed["traceback"].startswith("Traceback (most recent call last):\n")
    assert failed["traceback"].endswith("KeyError: 'key'")
    assert ("outside\nof it", {"not": "an id"}) == (outside["event"], outside["trace_id_"])
    assert ["trace_id" in outside, "trace_id" in end] == [False, False]


BEHIND_A_QUEUE = """
import logging.config, logging.handlers, queue
from pantheon_obs import logging_config
{start}
with trace_context("t-1"):
    bind(tenant="acme")
    try:
        {{}}["key"]
    except KeyError:
        logging.getLogger("a").exception("failed")
    get_logger("a").warning("structured")
"""
BY_HAND = """
configure_logging(log_format="json")
root = logging.getLogger()
[ours] = root.handlers
handler = logging.handlers.QueueHandler(queue.SimpleQueue())
handler.listener = logging.handlers.QueueListener(handler.queue, ours)
handler.listener.start()
root.handlers[:] = [handler]
"""
BY_DICT_CONFIG = """
config = logging_config(log_format="json")
config["handlers"]["queue"] = {"class": "logging.handlers.QueueHandler",
                               "handlers": ["pantheon_obs"]}
config["root"]["handlers"] = ["queue"]
logging.config.dictConfig(config)
logging.getHandlerByName("queue").listener.start()
"""


def test_our_handler_works_behind_a_queue() -> None:
    """It is put in front of the queue, where the context and the exception are."""
    check_behind_a_queue(BY_HAND)


@pytest.mark.skipif(
    not hasattr(logging, "getHandlerByName"), reason="dictConfig knows queues since Python 3.12"
)
def test_our_handler_works_behind_a_queue_of_dict_config() -> None:
    """Python 3.12 configures a queue and its listener by a dict."""
    check_behind_a_queue(BY_DICT_CONFIG)


def check_behind_a_queue(start: str) -> None:
    """Log an exception and a structured event, and find each once."""
    done = run(BEHIND_A_QUEUE.format(start=start))

    failed, structured = done.lines
    assert ("failed", "t-1", "acme") == tuple(failed[k] for k in ("event", "trace_id", "tenant"))
    assert "KeyError" in failed["exception"]
    assert ("structured", "t-1") == (structured["event"], structured["trace_id"])


def test_a_thread_of_a_listener_knows_the_trace(tmp_path: Path) -> None:
    """A file behind a queue gets the trace of the thread that logged."""
    log = tmp_path / "app.log"
    done = run(f"""
        import logging.handlers, queue
        file = logging.FileHandler({str(log)!r})
        file.setFormatter(logging.Formatter("%(trace_id)s %(message)s"))
        handler = logging.handlers.QueueHandler(queue.SimpleQueue())
        listener = logging.handlers.QueueListener(handler.queue, file)
        listener.start()
        logging.getLogger().addHandler(handler)
        configure_logging(log_format="json")
        with trace_context("t-1"):
            get_logger("a").warning("inside")
        logging.getLogger("a").warning("outside")
        listener.stop()
    """)

    assert ["inside", "outside"] == done.events
    assert ["t-1 inside", "- outside"] == log.read_text().splitlines()


def test_a_record_that_is_written_later_keeps_its_trace() -> None:
    """A `MemoryHandler` writes its records in the midst of another request, or of none."""
    done = run("""
        import logging.handlers
        configure_logging(log_format="json")
        handler = logging.handlers.MemoryHandler(100, target=logging.getLogger().handlers[0])
        logging.getLogger("kept").addHandler(handler)
        logging.getLogger("kept").propagate = False
        def say(event):
            logging.getLogger("kept").warning(event)
            get_logger("kept").warning(event)
        say("before")
        with trace_context("first"):
            bind(user=1)
            say("first")
        with trace_context("second"):
            bind(user=2, tenant="b")
            say("second")
            handler.flush()
    """)

    second = {"trace_id": "second", "user": 2, "tenant": "b"}
    expected = [{}, {"trace_id": "first", "user": 1}, second]
    assert [fields for fields in expected for _ in range(2)] == [
        {key: line[key] for key in ("trace_id", "user", "tenant") if key in line}
        for line in done.lines
    ]


@pytest.mark.parametrize("extra", ["", "request=request"])
def test_a_record_that_is_written_later_has_no_field_that_was_bound_later(extra: str) -> None:
    """Neither of its own trace, nor of structlog's context in which it is written."""
    pytest.importorskip("structlog")
    done = run(f"""
        import logging.handlers, types
        from structlog.contextvars import bind_contextvars
        from pantheon_obs.core.context import current_trace, leave_on
        configure_logging(log_format="json")
        handler = logging.handlers.MemoryHandler(100, target=logging.getLogger().handlers[0])
        logging.getLogger("kept").addHandler(handler)
        logging.getLogger("kept").propagate = False
        with trace_context("first"):
            request = types.SimpleNamespace()
            leave_on(request, current_trace.get())
            bind(user=1, cart={{"pies": 2}})
            bind_contextvars(tenant="a")
            logging.getLogger("kept").warning("said", extra=dict({extra}))
            bind(user=2, role="baker")
            bind_contextvars(tenant="b", region="north")
            handler.flush()
    """)

    [line] = done.lines
    assert {"trace_id": "first", "user": 1, "cart": {"pies": 2}, "tenant": "a"} == {
        key: line[key]
        for key in ("trace_id", "user", "cart", "tenant", "role", "region")
        if key in line
    }


def test_other_handlers_see_the_trace_of_a_failed_job(
    add: Callable[[logging.Handler], None], logged: Logged
) -> None:
    """The exception has left the trace when it is logged, and the line has its id, too."""
    handler = Lines(logging.Formatter("%(trace_id)s"))
    add(handler)
    configure_logging(log_format="json")

    try:
        with trace_context("job-1"):
            int("no number")
    except ValueError:
        logging.getLogger("queue").exception("failed")

    [line] = logged()
    assert ["job-1"] == [each.split("\n")[0] for each in handler.lines]
    assert "job-1" == line["trace_id"]


def test_a_logger_with_a_tuple_of_handlers_logs() -> None:
    """The standard library only iterates over them."""
    done = run("""
        configure_logging(log_format="json")
        logging.getLogger("a").handlers = (logging.NullHandler(),)
        logging.getLogger("a").warning("plain")
        get_logger("a").warning("structured")
    """)

    assert ["plain", "structured"] == done.events
