"""Events that are made of errors and lines: how many, in which issue, without which secrets."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from contextlib import nullcontext, suppress
from contextvars import Context, ContextVar, copy_context
from importlib import import_module
from queue import Queue
from threading import Event, Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import (
    Settings,
    bind,
    carry,
    configure_logging,
    get_logger,
    init_sentry,
    instrument,
    testing,
    trace_context,
    untraced,
)
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import Trace, leave_on
from pantheon_obs.core.events import BackgroundFailed, RequestFinished, WebsocketFinished
from pantheon_obs.core.failures import escape, note
from pantheon_obs.sinks.sentry.masking import masking
from tests.adapters.messages import Server
from tests.support.garbage import collect_garbage
from tests.support.server import SECONDS, environment, run_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sinks.receiver import Receiver

sentry_sdk = pytest.importorskip("sentry_sdk")

SECRET = "hunter2-hunter2"  # noqa: S105 - nobody's


def events_of(receiver: Receiver, work: Callable[[], object], **settings: Any) -> list[Any]:
    """Do some work in a trace, with logging set up, and return the events that Sentry gets."""
    configure_logging()
    init_sentry(sentry_dsn=receiver.dsn, **settings)
    with trace_context("job-1"):
        work()
    sentry_sdk.flush()
    return receiver.events


def structlog_error() -> None:
    """Log an error, its exception attached."""
    get_logger("shop").error("payment_failed", order=1, exc_info=True)


def structlog_exception() -> None:
    """Log an error with its exception by the method of that name."""
    get_logger("shop").exception("payment_failed", order=1)


def stdlib_exception() -> None:
    """Log an error with its exception through the standard library."""
    logging.getLogger("shop").exception("payment_failed", extra={"order": 1})  # noqa: LOG004


LOGGERS = [structlog_error, structlog_exception, stdlib_exception]


@pytest.mark.parametrize("log", LOGGERS)
def test_an_error_that_is_logged_is_one_event_by_its_name(
    receiver: Receiver, log: Callable[[], None]
) -> None:
    """Its message is the name, its fields are in extra, and the exception is attached."""

    def work() -> None:
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            log()

    [event] = events_of(receiver, work)

    assert ("payment_failed", "shop") == (event["logentry"]["message"], event["logger"])
    assert 1 == event["extra"]["order"]
    assert ["ZeroDivisionError"] == [error["type"] for error in event["exception"]["values"]]
    assert "job-1" == event["tags"]["trace_id"]


@pytest.mark.parametrize("log", LOGGERS)
def test_outside_of_an_except_block_it_is_an_event_without_an_exception(
    receiver: Receiver, log: Callable[[], None]
) -> None:
    """Sentry gets the line, and no exception is invented."""
    [event] = events_of(receiver, log)

    assert "payment_failed" == event["logentry"]["message"]
    assert 1 == event["extra"]["order"]
    assert "exception" not in event


def test_structured_lines_of_one_name_are_one_issue(receiver: Receiver) -> None:
    """Their exceptions may differ; a fingerprint of the application's own stays."""

    def work() -> None:
        for error in (ValueError("order 17"), KeyError("order 18")):
            get_logger("shop").error("payment_failed", exc_info=error)
        with sentry_sdk.new_scope() as scope:
            scope.fingerprint = ["own"]
            get_logger("shop").error("payment_failed")

    events = events_of(receiver, work)

    assert [["shop", "payment_failed"]] * 2 + [["own"]] == [one["fingerprint"] for one in events]


constants: list[ConnectionError] = []


@pytest.fixture(autouse=True)
def _constant() -> Iterator[None]:
    """Make a constant for each test: it keeps the frames and the failure of its last raise."""
    constants[:] = [ConnectionError("the pool is closed")]
    yield
    constants.clear()


def use(*, is_logged: bool = False) -> None:
    """Raise a constant of a module; another error may be logged after it, on its way out."""
    try:
        raise constants[0]
    except ConnectionError:
        if is_logged:
            logging.getLogger("shop").exception("failed")
            logging.getLogger("shop").exception("cleanup failed", exc_info=KeyError())
        raise


def log_it(**options: bool) -> None:
    """Handle it, and log it once more."""
    try:
        use(**options)
    except ConnectionError:
        logging.getLogger("shop").exception("failed")


def capture_it(**options: bool) -> None:
    """Handle it, and hand it to Sentry."""
    try:
        use(**options)
    except ConnectionError:
        sentry_sdk.capture_exception()


def end_a_thread(**options: bool) -> None:
    """Let it end a thread that belongs to the trace."""
    thread = Thread(target=carry(use), kwargs=options)
    thread.start()
    thread.join()


def end_a_task(**options: bool) -> None:
    """Let it end a task that nobody waits for."""

    async def fail() -> None:
        use(**options)

    async def serve() -> None:
        await asyncio.wait([asyncio.create_task(fail())])
        collect_garbage()

    asyncio.run(serve())


def kinds_of(receiver: Receiver) -> list[str]:
    """The names of the exceptions that Sentry has got."""
    sentry_sdk.flush()
    return [event["exception"]["values"][-1]["type"] for event in receiver.events]


ENDS = [end_a_thread, end_a_task]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("report", [log_it, capture_it, *ENDS])
@pytest.mark.parametrize("trace_id", ["job-1", ""])
def test_each_raise_of_one_object_is_an_event(
    receiver: Receiver, report: Callable[[], None], trace_id: str
) -> None:
    """As with Sentry alone, where another error comes between; in a trace and outside of any."""
    configure_logging()
    init_sentry(sentry_dsn=receiver.dsn)
    with trace_context(trace_id) if trace_id else nullcontext():
        for _ in range(3):
            report()
            sentry_sdk.capture_exception(KeyError())

    assert ["ConnectionError", "KeyError"] * 3 == kinds_of(receiver)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("end", ENDS)
def test_an_error_that_is_logged_and_then_ends_its_thread_is_one_event(
    receiver: Receiver, end: Callable[..., None]
) -> None:
    """Sentry alone would take it for another one, as another error comes between."""
    configure_logging()
    init_sentry(sentry_dsn=receiver.dsn)
    with trace_context("job-1"):
        for _ in range(2):
            end(is_logged=True)

    assert ["ConnectionError", "KeyError"] * 2 == kinds_of(receiver)


def test_two_threads_of_a_trace_that_log_one_object_are_two_events(receiver: Receiver) -> None:
    """As with Sentry alone; on one thread it drops the immediate repetition."""

    def work() -> None:
        for _ in range(2):
            thread = Thread(target=carry(lambda: (log_it(), log_it())))
            thread.start()
            thread.join()

    assert 2 == len(events_of(receiver, work))


def test_an_error_that_takes_no_attributes_is_an_event(receiver: Receiver) -> None:
    """Nothing can be remembered about it."""

    class RefusingError(KeyError):
        @property
        def __dict__(self) -> dict[str, object]:  # type: ignore[override]
            raise AttributeError

    def work() -> None:
        get_logger("shop").error("failed", exc_info=RefusingError())

    [event] = events_of(receiver, work)
    assert event["exception"]["values"][-1]["type"].endswith("RefusingError")


def test_an_error_that_two_traces_share_is_an_event_of_each(receiver: Receiver) -> None:
    """A library may raise one cached object in several requests: each has its own failure."""
    error = ZeroDivisionError()

    def work() -> None:
        get_logger("shop").error("first", exc_info=error)
        get_logger("shop").error("other", exc_info=KeyError())
        with trace_context("job-2"):
            get_logger("shop").error("second", exc_info=error)

    tags = [event["tags"]["trace_id"] for event in events_of(receiver, work)]

    assert ["job-1", "job-1", "job-2"] == tags


def drop_of_chatty(event: Any, _hint: Any) -> Any:
    """Drop the events of one logger."""
    return None if event.get("logger") == "chatty" else event


def own_callback(dsn: str) -> None:
    """Start a client of the application's own, which drops events in its callback."""
    sentry_sdk.init(dsn, before_send=drop_of_chatty, auto_enabling_integrations=False)


def own_processor(dsn: str) -> None:
    """Drop events in a processor of the scope, which runs after ours."""
    sentry_sdk.init(dsn, auto_enabling_integrations=False)
    sentry_sdk.get_global_scope().add_event_processor(drop_of_chatty)


@pytest.mark.parametrize("start", [own_callback, own_processor])
def test_only_an_event_that_the_transport_got_counts_as_sent(
    receiver: Receiver, start: Callable[[str], None]
) -> None:
    """The application drops the line of a library; the same exception then goes on, unhandled."""

    def app(_environ: Any, _start_response: Any) -> Any:
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            logging.getLogger("chatty").exception("retries are used up")
            raise

    start(receiver.dsn)
    served: Any = instrument(app)
    for _ in range(2):
        with suppress(ZeroDivisionError):
            served({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)
    sentry_sdk.flush()

    kinds = [event["exception"]["values"][-1]["type"] for event in receiver.events]
    assert ["ZeroDivisionError"] * 2 == kinds
    sentry_sdk.get_global_scope().clear()


def test_a_client_without_a_dsn_sends_nothing_and_breaks_nothing(receiver: Receiver) -> None:
    """The application may make one after the start, for a part of itself that shall send none."""
    init_sentry(sentry_dsn=receiver.dsn)
    seen: list[Any] = []
    sentry_sdk.init(
        "",
        auto_enabling_integrations=False,  # they import all that is installed, which takes seconds
        before_send=lambda event, _: seen.append(event),
    )
    with trace_context("job-1"):
        sentry_sdk.capture_exception(KeyError())

    assert ["job-1"] == [event["tags"]["trace_id"] for event in seen]


@pytest.mark.parametrize("is_logged_within", [True, False])
def test_one_object_that_is_raised_in_trace_after_trace_is_an_event_of_each(
    receiver: Receiver, *, is_logged_within: bool
) -> None:
    """A constant of a module, or a future that has failed once, in one thread and context."""
    error = ConnectionError("the pool is closed")

    def use(number: int) -> None:
        with trace_context(f"job-{number}"):
            try:
                raise error
            except ConnectionError:
                if is_logged_within:
                    logging.getLogger("shop").exception("failed")
                raise

    configure_logging()
    init_sentry(sentry_dsn=receiver.dsn)
    for number in range(3):
        try:
            use(number)
        except ConnectionError:
            logging.getLogger("shop").exception("failed")
    sentry_sdk.flush()

    assert ["job-0", "job-1", "job-2"] == [event["tags"]["trace_id"] for event in receiver.events]


def test_lines_of_ours_make_no_event(receiver: Receiver) -> None:
    """They are at ERROR; the exceptions in them are sent where they escape."""
    error = ZeroDivisionError()

    def work() -> None:
        logging.getLogger().addHandler(handler)
        base: dict[str, Any] = {"trace_id": "job-1", "bound": {}, "error": error}
        ended: dict[str, Any] = {"path": "/", "latency_ms": 1.0, "outcome": "error"}
        pipeline.emit(RequestFinished(method="GET", status_code=500, **ended, **base))
        pipeline.emit(WebsocketFinished(messages_in=0, messages_out=0, **ended, **base))
        pipeline.emit(BackgroundFailed(**base))
        for name in ("task", "llm", "health", "request"):
            logging.getLogger(f"pantheon_obs.{name}").error("failed")

    handler = logging.NullHandler()
    try:
        assert [] == events_of(receiver, work)
    finally:
        logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize(
    ("logger", "message"),
    [
        ("_granian.utils", "Application callable raised an exception\nKeyError: 'in a server'"),
        ("celery.worker.request", "Hard time limit (%ss) exceeded for %s[%s]"),
    ],
)
def test_a_line_that_repeats_an_error_as_text_makes_no_event(
    receiver: Receiver, logger: str, message: str
) -> None:
    """The exception itself has been sent; the next line of that logger is an event again."""

    def work() -> None:
        escape(KeyError("in a server"), Trace("job-1"), covered=True)
        logging.getLogger(logger).error(message)
        logging.getLogger(logger).error("another line")

    [event] = events_of(receiver, work)

    assert "another line" == event["logentry"]["message"]


def test_a_failure_that_a_worker_reports_has_the_id_of_its_job(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker that is a command of Django has a trace, in which it logs failures of its jobs."""

    def job() -> None:
        with trace_context("job-3"):
            raise LookupError

    def work() -> None:
        try:
            job()
        except LookupError:
            logging.getLogger("worker").exception("job failed")

    [event] = events_of(receiver, work)

    assert "job-3" == event["tags"]["trace_id"]
    [line] = [line for line in capsys.readouterr().out.splitlines() if "job failed" in line]
    assert "job-3" in line


def test_a_servers_record_in_another_context_makes_no_second_event(receiver: Receiver) -> None:
    """An application that runs in a thread escapes to a context that the server does not have.

    Raised there by anything else than a server's logger, the object is a new failure.
    """
    error = ZeroDivisionError()

    def serve() -> None:
        with suppress(ZeroDivisionError), trace_context("job-2"):
            sentry_sdk.capture_exception(error)
            raise error

    def log(name: str) -> None:
        logging.getLogger(name).error("failed", exc_info=error)

    configure_logging()
    init_sentry(sentry_dsn=receiver.dsn)
    Context().run(serve)
    Context().run(log, "uvicorn.error")
    Context().run(log, "heartbeat")
    sentry_sdk.flush()

    assert ["job-2", None] == [event.get("tags", {}).get("trace_id") for event in receiver.events]
    assert "heartbeat" == receiver.events[1]["logger"]


def test_the_user_has_the_bound_id(receiver: Receiver) -> None:
    """The application's own user stays as it is; without an id there is no user."""

    def work() -> None:
        sentry_sdk.capture_message("nobody")
        bind(user_id=7)
        sentry_sdk.capture_message("bound")
        with sentry_sdk.new_scope() as scope:
            scope.set_user({"id": "0", "segment": "b2b"})
            sentry_sdk.capture_message("more")

    users = [event.get("user") for event in events_of(receiver, work)]

    assert [None, {"id": "7"}, {"id": "0", "segment": "b2b"}] == users


def test_the_failure_of_a_nested_trace_has_no_user_of_the_outer_one(receiver: Receiver) -> None:
    """It is tagged with its own id, and the user is another trace's."""

    def work() -> None:
        bind(user_id=7)
        with pytest.raises(LookupError) as failed, trace_context("inner-1"):
            raise LookupError
        sentry_sdk.capture_exception(failed.value)

    [event] = events_of(receiver, work)

    assert "inner-1" == event["tags"]["trace_id"]
    assert "user" not in event


FIRST = "0af76519-16cd-43dd-8448-eb211c80319c"
MARKS = {FIRST, FIRST.replace("-", ""), "anna", "acme", "basket", "parcel", "searched", "/buy"}


def mark() -> None:
    """Put an application's data about a request on Sentry's scope."""
    bind(user_id="anna")
    sentry_sdk.set_tag("tenant", "acme")
    sentry_sdk.set_extra("basket", "basket")
    sentry_sdk.set_context("parcel", {"name": "parcel"})
    logging.getLogger("shop").warning("searched")


def marks_on(event: Any) -> set[str]:
    """Find the request's data in an event."""
    text = json.dumps(event)
    return {each for each in MARKS if each in text}


@pytest.mark.parametrize("is_carried", [False, True])
def test_a_thread_that_outlives_its_request_reports_for_nobody(
    receiver: Receiver, *, is_carried: bool
) -> None:
    """Sentry has copied the request's scope to it; `carry` brings the trace itself."""
    orders: Queue[str] = Queue()

    def ship() -> None:
        sentry_sdk.set_tag("worker", "ship")
        logging.getLogger("depot").error("no courier for %s", orders.get())
        with sentry_sdk.start_transaction(name="ship"):
            logging.getLogger("depot").error("no van")

    thread = Thread(target=ship)

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        nonlocal thread
        mark()
        if is_carried:
            thread = Thread(target=carry(ship))
        thread.start()
        start_response("200 OK", [])
        return [b"ok"]

    served = instrument(app, sentry_dsn=receiver.dsn, sentry_traces_sample_rate=1.0)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/buy", "HTTP_X_TRACE_ID": FIRST}
    served(environ, lambda *_: None).close()
    orders.put("second")
    thread.join(SECONDS)
    sentry_sdk.flush()

    transactions = [item for kind, item in receiver.items if kind == "transaction"]
    [shipped] = [item for item in transactions if item["transaction"] == "ship"]
    assert 2 == len(receiver.events)
    for item in (*receiver.events, shipped):
        assert (FIRST if is_carried else None) == item.get("tags", {}).get("trace_id")
        assert ({"id": "anna"} if is_carried else None) == item.get("user")
        assert is_carried == bool(marks_on(item))
        assert "ship" == item["tags"]["worker"]


def test_what_is_untraced_reports_and_sends_for_nobody_while_its_request_runs(
    receiver: Receiver,
) -> None:
    """A consumer that a request starts has Sentry's scope of that request, and no part of it."""

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        mark()
        with untraced():
            logging.getLogger("depot").error("no courier")
            assert sentry_sdk.get_traceparent() is None
        logging.getLogger("shop").error("no basket")
        start_response("200 OK", [])
        return [b"ok"]

    served = instrument(app, sentry_dsn=receiver.dsn, sentry_traces_sample_rate=1.0)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/buy", "HTTP_X_TRACE_ID": FIRST}
    served(environ, lambda *_: None).close()
    sentry_sdk.flush()

    consumed, bought = receiver.events
    assert (set(), None) == (marks_on(consumed), consumed.get("tags", {}).get("trace_id"))
    assert MARKS - {"parcel"} <= marks_on(bought)


def test_a_job_is_in_the_trace_of_its_id_in_sentry_too(receiver: Receiver) -> None:
    """So Sentry shows it beside its request; a transaction of the application's keeps its own."""

    def work() -> None:
        sentry_sdk.capture_message("other form")
        with trace_context(FIRST):
            sentry_sdk.capture_message("joined")
            with sentry_sdk.start_transaction(name="own") as own:
                sentry_sdk.capture_message("within")
                ids.extend([FIRST.replace("-", ""), own.trace_id])

    ids: list[str] = []
    events = events_of(receiver, work, sentry_traces_sample_rate=1.0)[1:]

    assert ids == [event["contexts"]["trace"]["trace_id"] for event in events]


FORKING = f"""
import logging, multiprocessing, sys, threading
import sentry_sdk
from pantheon_obs import carry, instrument
from tests.sinks.test_sentry_events import mark

over = threading.Event()

def job(customer):
    logging.getLogger("invoice").error("no invoice for %s", customer)
    imported = set(sys.modules)
    sentry_sdk.flush()
    assert imported == set(sys.modules)  # a thread of the parent might have held the lock
    return sentry_sdk.get_traceparent()

def fork(customer):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.apply(job, (customer,)))

def fork_later():
    over.wait()
    fork("third")

def app(environ, start_response):
    mark()
    fork("second")
    later.start()
    start_response("200 OK", [])
    return [b"ok"]

later = threading.Thread(target=fork_later)
served = instrument(app, sentry_dsn=sys.argv[1], sentry_traces_sample_rate=1.0)
sentry_sdk.set_tag("region", "north")
environ = {{"REQUEST_METHOD": "GET", "PATH_INFO": "/buy", "HTTP_X_TRACE_ID": "{FIRST}"}}
served(environ, lambda *_: None).close()
sentry_sdk.flush()
over.set()
later.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks")
def test_a_process_that_a_request_forks_reports_for_nobody(receiver: Receiver) -> None:
    """Its scopes are copies of the request's; data that was set before the request stays."""
    command = [sys.executable, "-c", FORKING, receiver.dsn]
    run = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=True, timeout=SECONDS
    )

    sent_on = [line.partition("-")[0] for line in run.stdout.splitlines() if line[0] != "{"]
    assert sent_on == [event["contexts"]["trace"]["trace_id"] for event in receiver.events]
    for event in receiver.events:
        assert {"region": "north"} == event["tags"]
        assert set() == marks_on(event)
    assert 3 == len(set(receiver.peers))  # each process has a connection of its own


@pytest.mark.parametrize("rate", [1.0, 0.0])
@pytest.mark.parametrize("is_carried", [False, True])
def test_what_outlives_a_request_sends_no_header_of_its_trace(
    receiver: Receiver, rate: float, *, is_carried: bool
) -> None:
    """Sentry's integrations of HTTP clients would send one; `carry` brings the trace."""
    over = Event()
    made: list[str] = []
    is_own: list[bool] = []

    def make() -> None:
        pairs = dict(sentry_sdk.get_current_scope().iter_trace_propagation_headers())
        made.append(f"{pairs} {sentry_sdk.get_traceparent()} {sentry_sdk.get_baggage()}")

    def ship() -> None:
        over.wait(SECONDS)
        make()
        if rate:
            with sentry_sdk.start_transaction(name="ship") as own:
                make()
                is_own.append(own.trace_id in made[-1])

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        nonlocal thread
        make()
        thread = Thread(target=carry(ship) if is_carried else ship)
        thread.start()
        start_response("200 OK", [])
        return [b"ok"]

    thread = Thread()
    served = instrument(app, sentry_dsn=receiver.dsn, sentry_traces_sample_rate=rate)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/buy", "HTTP_X_TRACE_ID": FIRST}
    served(environ, lambda *_: None).close()
    over.set()
    thread.join(SECONDS)

    digits = FIRST.replace("-", "")
    assert (True, is_carried) == (digits in made[0], digits in made[1])
    assert is_carried or made[1] == "{} None None"
    assert [True] * bool(rate) == is_own


def test_a_thread_has_no_user_of_a_request_that_is_over(receiver: Receiver) -> None:
    """Neither the one that the request has set; its own user stays."""
    orders: Queue[str] = Queue()

    def ship() -> None:
        for _ in range(2):
            sentry_sdk.capture_message(f"no courier for {orders.get()}")
            sentry_sdk.set_user({"id": "courier"})

    thread = Thread(target=ship)

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        sentry_sdk.set_user({"id": "anna"})
        thread.start()
        start_response("200 OK", [])
        return [b"ok"]

    served = instrument(app, sentry_dsn=receiver.dsn)
    served({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None).close()
    orders.put("one")
    orders.put("two")
    thread.join(SECONDS)
    receiver.wait_for(2)

    assert [None, {"id": "courier"}] == [event.get("user") for event in receiver.events]


def test_an_error_that_leaves_its_trace_keeps_its_id(receiver: Receiver) -> None:
    """It may be captured after the trace, by Sentry's hook for uncaught exceptions for example."""
    init_sentry(sentry_dsn=receiver.dsn)
    try:
        with trace_context("job-1"):
            _ = 1 / 0
    except ZeroDivisionError:
        sentry_sdk.capture_exception()
    receiver.wait_for(1)

    assert "job-1" == receiver.events[0]["tags"]["trace_id"]


def test_a_framework_that_logs_about_a_request_after_its_end_names_its_id(
    receiver: Receiver,
) -> None:
    """Its record has the request."""
    request, trace = SimpleNamespace(), Trace("request-1")
    leave_on(request, trace)
    configure_logging()
    init_sentry(sentry_dsn=receiver.dsn)
    logging.getLogger("framework").error("late", extra={"request": request})
    receiver.wait_for(1)

    assert "request-1" == receiver.events[0]["tags"]["trace_id"]


def test_no_secret_is_in_any_part_of_an_event(receiver: Receiver) -> None:
    """Secrets are masked at any depth of extra data, in breadcrumbs, messages and names."""
    nested = {"a": [{"password": SECRET, "deep": {"x-auth-token": SECRET, "kept": "yes"}}]}

    def work() -> None:
        log = get_logger("shop")
        log.info("called", url=f"https://api.test/v1?q={SECRET}", headers={"Cookie": SECRET})
        logging.getLogger("shop").info('"GET /things?q=%s HTTP/1.1" 200', SECRET)
        sentry_sdk.add_breadcrumb(message=f"GET /a?{SECRET}", data={"http.query": f"q={SECRET}"})
        scope = sentry_sdk.get_isolation_scope()
        for fill in (scope.set_extra, scope.set_context):
            fill("cart", nested)
        scope.set_tag("api_key", SECRET)
        scope.set_tag("customer_number", SECRET)
        scope.set_transaction_name(f"/things?q={SECRET}")
        msg = f"401 for url 'https://api.test/?q={SECRET}'"
        log.error("refused", order=nested, token=SECRET, exc_info=ValueError(msg))

    [event] = events_of(receiver, work, redact_keys=("customer-number",))

    assert SECRET not in json.dumps(receiver.items)
    assert "yes" in str(event["extra"]["cart"]["a"][0]["deep"])
    assert "/things?q=[redacted]" == event["transaction"]
    assert (
        "401 for url 'https://api.test/?q=[redacted]'" == event["exception"]["values"][0]["value"]
    )
    assert "sys.argv" not in event["extra"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://a.test/b?c=d&e#f", "https://a.test/b?c=[redacted]&[redacted]"),
        ("/b?c", "/b?[redacted]"),
        ("see <https://a.test/?c=d>, then", "see <https://a.test/?c=[redacted]>, then"),
        ("really? yes", "really? yes"),
        ("what?! a?b", "what?! a?b"),
        pytest.param("?" * 100_000, "?" * 100_000, id="many"),
    ],
)
def test_a_query_is_masked_wherever_a_text_has_one(text: str, masked: str) -> None:
    """The query's names stay; a question mark outside of a URL changes nothing."""
    assert {"message": masked} == masking(Settings())({"message": text}, {})


@pytest.mark.parametrize("query", ["a=1&b", b"a=1&b"], ids=["str", "bytes"])
def test_the_request_has_no_values_of_its_query_and_no_body(query: str | bytes) -> None:
    """Integrations differ in how they fill in the request."""
    request = {"query_string": query, "data": {"a": 1}, "url": "http://a.test/b?a=1"}

    masked = masking(Settings())({"request": request}, {})

    assert {
        "query_string": "a=[redacted]&[redacted]",
        "url": "http://a.test/b",
    } == masked["request"]


@pytest.mark.parametrize("pii", [False, True])
def test_a_tasks_arguments_leave_only_where_personal_data_may(*, pii: bool) -> None:
    """Older versions of Sentry's integration send them whatever its option says."""
    job = {"task_name": "pay", "args": [SECRET], "kwargs": {"name": SECRET}}

    masked = masking(Settings(sentry_send_default_pii=pii))({"extra": {"celery-job": job}}, {})

    assert {"task_name": "pay", **(job if pii else {})} == masked["extra"]["celery-job"]


def test_what_names_a_person_leaves_only_where_personal_data_may() -> None:
    """Headers, addresses and the calls of jobs, wherever an integration puts them."""

    def event() -> dict[str, Any]:
        return {
            "request": {
                "headers": {"Host": "shop.test", "X-Customer-Name": "Ann"},
                "cookies": {"theme": "dark"},
                "env": {"SERVER_NAME": "shop.test", "REMOTE_ADDR": "192.0.2.7"},
            },
            "extra": {"rq-job": {"func": "pay", "description": "pay('Ann')"}, "rq-jobs": 1},
            "spans": [
                {"op": "middleware.starlette.send", "description": "functools.partial(<a>, 'Ann')"},
                {"op": "db", "description": "select count(*)"},
            ],
            "attributes": {
                "http.request.header.host": "shop.test",
                "http.request.header.x-customer-name": "Ann",
            },
        }

    assert event()["spans"] == masking(Settings(sentry_send_default_pii=True))(event(), {})["spans"]
    assert {
        "request": {"headers": {"Host": "shop.test"}, "env": {"SERVER_NAME": "shop.test"}},
        "extra": {"rq-job": {"func": "pay"}, "rq-jobs": 1},
        "spans": [
            {"op": "middleware.starlette.send", "description": "functools.partial"},
            {"op": "db", "description": "select count(*)"},
        ],
        "attributes": {"http.request.header.host": "shop.test"},
    } == masking(Settings())(event(), {})


IMPORTS = """
import sys
import {framework}
import sentry_sdk
before = set(sys.modules)
{start}
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*sorted(new - set(sys.stdlib_module_names) - {{"pantheon_obs"}}))
print(*sorted(sentry_sdk.get_client().integrations))
"""
BARE = (
    "from sentry_sdk.integrations.flask import FlaskIntegration; sentry_sdk.init("
    "dsn='http://k@127.0.0.1:9/1', auto_enabling_integrations=False, "
    "integrations=[FlaskIntegration()])"
)
OURS = "import pantheon_obs; pantheon_obs.init_sentry(sentry_dsn='http://k@127.0.0.1:9/1')"


def test_a_start_imports_no_more_than_sentry_itself_would() -> None:
    """Compared with `sentry_sdk.init` and the one integration that is needed.

    Without `auto_enabling_integrations=False` Sentry would import every framework it finds.
    """
    pytest.importorskip("flask")
    packages: list[set[str]] = []
    integrations: list[set[str]] = []
    for start in (BARE, OURS):
        code = IMPORTS.format(framework="flask", start=start)
        done = run_python(code)
        new, active = done.stdout.splitlines()[-2:]
        packages.append(set(new.split()))
        integrations.append(set(active.split()))

    assert packages[1] - packages[0] <= {"structlog", "orjson", "asgiref"}
    assert integrations[0] == integrations[1]


def test_a_framework_that_is_imported_later_gets_its_integration_at_the_next_start() -> None:
    """Programs start Sentry first, then import their framework, then instrument the app."""
    pytest.importorskip("flask")
    code = f"{OURS}; import flask; pantheon_obs.instrument(flask.Flask('shop')); "
    code += "import sentry_sdk; print(*sentry_sdk.get_client().integrations)"
    done = run_python(code)

    assert "flask" in done.stdout.splitlines()[-1].split()
    assert "" == done.stderr


def test_urllib3_warns_of_the_applications_calls_only(receiver: Receiver) -> None:
    """Where Sentry cannot be reached, its transport's retries make no lines."""
    logged: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(str(record.msg))

    def warn(message: str) -> None:
        logging.getLogger("urllib3.connectionpool").warning(message)

    def work() -> None:
        for name in ("sentry-sdk.BackgroundWorker", "application"):
            thread = Thread(target=warn, args=(name,), name=name)
            thread.start()
            thread.join()

    handler = Handler()
    logging.getLogger("urllib3").addHandler(handler)
    try:
        events_of(receiver, work)
    finally:
        logging.getLogger("urllib3").removeHandler(handler)

    assert ["application"] == logged


def test_an_exception_that_a_framework_has_wrapped_is_shown_as_it_was_raised(
    receiver: Receiver,
) -> None:
    """Quart 0.23 raises a group of one: the issue is the error in it, with its own cause."""
    raised = ZeroDivisionError("of a stream")
    raised.__cause__ = LookupError("before it")
    group = ExceptionGroup("unhandled errors in a TaskGroup", [raised])

    event_from_exception = import_module("sentry_sdk.utils").event_from_exception

    def work() -> None:
        note(group).root = raised
        sentry_sdk.capture_exception(group)
        # once more, by whoever unwraps it
        event, hint = event_from_exception(raised, mechanism={"type": "quart", "handled": False})
        sentry_sdk.capture_event(event, hint)

    [event] = events_of(receiver, work)

    kinds = [error["type"] for error in event["exception"]["values"]]
    assert ["LookupError", "ZeroDivisionError"] == kinds
    assert "job-1" == event["tags"]["trace_id"]


def test_a_reset_undoes_the_start(receiver: Receiver) -> None:
    """The client of ours is closed, and Sentry and urllib3 are as they were before."""
    logs = import_module("sentry_sdk.integrations.logging")
    urllib3 = logging.getLogger("urllib3.connectionpool")

    def state() -> list[object]:
        processors = list(sentry_sdk.scope.global_event_processors)
        ignored = set(logs._IGNORED_LOGGERS)  # noqa: SLF001 - it has no public reader
        return [processors, ignored, list(urllib3.filters), pipeline.sinks]

    init_sentry(sentry_dsn=receiver.dsn)  # the SDK's integrations are set up once per process
    testing.reset()
    before = state()
    assert init_sentry(sentry_dsn=receiver.dsn) is True
    during = state()
    testing.reset()
    after = state()

    assert not sentry_sdk.is_initialized()
    assert before[1:] == after[1:]
    assert [] == [old for old, new in zip(before, during, strict=True) if old == new]
    # Sentry's own integrations stay installed.
    assert during[0][0] not in after[0]  # type: ignore[index, operator]


def test_a_reset_leaves_a_client_of_the_applications_own(receiver: Receiver) -> None:
    """Made after ours, or before it; a processor that it has taken out itself is no failure."""
    init_sentry(sentry_dsn=receiver.dsn)
    sentry_sdk.init(receiver.dsn, auto_enabling_integrations=False)
    own = sentry_sdk.get_client()
    sentry_sdk.scope.global_event_processors.pop(0)

    testing.reset()
    assert own is sentry_sdk.get_client()
    assert [True, True] == [init_sentry(), init_sentry()]
    testing.reset()

    assert own is sentry_sdk.get_client()


def test_an_event_in_a_session_has_the_id_of_the_request_that_is_being_served(
    receiver: Receiver,
) -> None:
    """A session keeps the context of its first request; a variable there has the running one."""
    session: list[Context] = []
    running: ContextVar[Any] = ContextVar("running")

    def call(scope: Any) -> None:
        running.set(SimpleNamespace(scope=scope))
        sentry_sdk.capture_message("called")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if not session:
            session.append(copy_context())
        session[0].run(call, scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    configure_logging()
    init_sentry(sentry_dsn=receiver.dsn)
    servers = [Server(app), Server(app)]
    for server in servers:
        server.serve()
    sentry_sdk.flush()

    ids = [trace_id.decode() for server in servers for trace_id in server.ids]
    assert ids == [event["tags"]["trace_id"] for event in receiver.events]
