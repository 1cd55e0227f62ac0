"""What becomes an event, how it is grouped, and what is taken out of it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import (
    Settings,
    bind,
    configure_logging,
    get_logger,
    init_sentry,
    trace_context,
)
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import Trace
from pantheon_obs.core.events import BackgroundFailed, RequestFinished, WebsocketFinished
from pantheon_obs.core.failures import escape, note
from pantheon_obs.sinks.sentry_privacy import masking
from tests.support.server import SECONDS, environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sinks.receiver import Receiver

sentry_sdk = pytest.importorskip("sentry_sdk")

SECRET = "hunter2-hunter2"  # noqa: S105 - nobody's


def events_of(receiver: Receiver, work: Callable[[], object], **settings: Any) -> list[Any]:
    """What Sentry gets of something that is done in a trace, with logging set up."""
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
    """The same by the method's name."""
    get_logger("shop").exception("payment_failed", order=1)


def stdlib_exception() -> None:
    """The same through the standard library."""
    logging.getLogger("shop").exception("payment_failed", extra={"order": 1})  # noqa: LOG004


LOGGERS = [structlog_error, structlog_exception, stdlib_exception]


@pytest.mark.parametrize("log", LOGGERS)
def test_an_error_that_is_logged_is_one_event_by_its_name(
    receiver: Receiver, log: Callable[[], None]
) -> None:
    """The message is the name, the fields are in extra, the exception is attached."""

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
    """Nothing is made up, nothing is lost."""
    [event] = events_of(receiver, log)

    assert "payment_failed" == event["logentry"]["message"]
    assert 1 == event["extra"]["order"]
    assert "exception" not in event


def test_structured_lines_of_one_name_are_one_issue(receiver: Receiver) -> None:
    """Whatever their exceptions say; a host that groups by itself is left to it."""

    def work() -> None:
        for error in (ValueError("order 17"), KeyError("order 18")):
            get_logger("shop").error("payment_failed", exc_info=error)
        with sentry_sdk.new_scope() as scope:
            scope.fingerprint = ["own"]
            get_logger("shop").error("payment_failed")

    events = events_of(receiver, work)

    assert [["shop", "payment_failed"]] * 2 + [["own"]] == [one["fingerprint"] for one in events]


def test_an_error_that_is_logged_twice_and_raised_is_one_event(receiver: Receiver) -> None:
    """Another context, a server's for one, knows nothing of what Sentry saw last."""
    error = ZeroDivisionError()

    def log() -> None:
        with trace_context("job-1"):
            get_logger("shop").error("failed", exc_info=error)

    def work() -> None:
        for _ in range(2):
            thread = Thread(target=log)
            thread.start()
            thread.join()

    assert 1 == len(events_of(receiver, work))


def test_an_error_that_two_traces_share_is_an_event_of_each(receiver: Receiver) -> None:
    """A cached failure is told of by whoever meets it."""
    error = ZeroDivisionError()

    def work() -> None:
        get_logger("shop").error("first", exc_info=error)
        get_logger("shop").error("other", exc_info=KeyError())
        with trace_context("job-2"):
            get_logger("shop").error("second", exc_info=error)

    tags = [event["tags"]["trace_id"] for event in events_of(receiver, work)]

    assert ["job-1", "job-1", "job-2"] == tags


def test_facts_of_ours_make_no_event(receiver: Receiver) -> None:
    """They are lines at ERROR; the errors in them are sent where they end."""
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
    """The exception itself has been sent."""

    def work() -> None:
        escape(KeyError("in a server"), Trace("job-1"), covered=True)
        logging.getLogger(logger).error(message)
        logging.getLogger(logger).error("what else it says")

    [event] = events_of(receiver, work)

    assert "what else it says" == event["logentry"]["message"]


def test_the_user_is_who_was_bound(receiver: Receiver) -> None:
    """The id is added to what the host has told Sentry itself; without one there is no user."""

    def work() -> None:
        sentry_sdk.capture_message("nobody")
        bind(user_id=7)
        sentry_sdk.capture_message("bound")
        with sentry_sdk.new_scope() as scope:
            scope.set_user({"id": "0", "segment": "b2b"})
            sentry_sdk.capture_message("more")

    users = [event.get("user") for event in events_of(receiver, work)]

    assert [None, {"id": "7"}, {"id": "7", "segment": "b2b"}] == users


def test_an_error_that_leaves_its_trace_keeps_its_id(receiver: Receiver) -> None:
    """Whoever captures it in the end, Sentry's hook for uncaught ones for example."""
    init_sentry(sentry_dsn=receiver.dsn)
    try:
        with trace_context("job-1"):
            _ = 1 / 0
    except ZeroDivisionError:
        sentry_sdk.capture_exception()
    receiver.wait_for(1)

    assert "job-1" == receiver.events[0]["tags"]["trace_id"]


def test_no_secret_is_in_any_part_of_an_event(receiver: Receiver) -> None:
    """At any depth of what the host adds to it, in breadcrumbs, messages and names."""
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
    """Its names stay; what is no query stays as it is."""
    assert {"message": masked} == masking(Settings())({"message": text}, {})


@pytest.mark.parametrize("query", ["a=1&b", b"a=1&b"], ids=["str", "bytes"])
def test_the_requests_own_query_body_and_url_say_no_values(query: str | bytes) -> None:
    """Integrations have their own ways to put these in."""
    request = {"query_string": query, "data": {"a": 1}, "url": "http://a.test/b?a=1"}

    masked = masking(Settings())({"request": request}, {})

    assert {
        "query_string": "a=[redacted]&[redacted]",
        "url": "http://a.test/b",
    } == masked["request"]


@pytest.mark.parametrize("pii", [False, True])
def test_a_tasks_arguments_leave_only_where_personal_data_may(*, pii: bool) -> None:
    """Older versions of Sentry's integration put them in whatever its option says."""
    job = {"task_name": "pay", "args": [SECRET], "kwargs": {"name": SECRET}}

    masked = masking(Settings(sentry_send_default_pii=pii))({"extra": {"celery-job": job}}, {})

    assert {"task_name": "pay", **(job if pii else {})} == masked["extra"]["celery-job"]


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
BARE = "sentry_sdk.init(dsn='http://k@127.0.0.1:9/1', auto_enabling_integrations=False)"
OURS = "import pantheon_obs; pantheon_obs.init_sentry(sentry_dsn='http://k@127.0.0.1:9/1')"


def test_a_start_imports_no_framework_that_the_host_has_not() -> None:
    """What is new is what a bare start of Sentry's imports, and structlog's and ours."""
    pytest.importorskip("flask")
    packages: list[set[str]] = []
    integrations: list[set[str]] = []
    for start in (BARE, OURS):
        code = IMPORTS.format(framework="flask", start=start)
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(),
            capture_output=True,
            check=True,
            timeout=SECONDS,
            text=True,
        )
        new, active = done.stdout.splitlines()[-2:]
        packages.append(set(new.split()))
        integrations.append(set(active.split()))

    assert packages[1] - packages[0] <= {"structlog", "orjson", "asgiref"}
    assert {"flask"} == integrations[1] - integrations[0]


def test_what_the_host_imports_later_has_its_integration_at_the_next_start() -> None:
    """Programs start Sentry first, then import their framework, then instrument the app."""
    pytest.importorskip("flask")
    code = f"{OURS}; import flask; pantheon_obs.instrument(flask.Flask('shop')); "
    code += "import sentry_sdk; print(*sentry_sdk.get_client().integrations)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        check=True,
        timeout=SECONDS,
        text=True,
    )

    assert "flask" in done.stdout.splitlines()[-1].split()
    assert "" == done.stderr


def test_urllib3_tells_of_the_hosts_calls_and_not_of_sentrys(receiver: Receiver) -> None:
    """A Sentry that cannot be reached is no line on every event."""
    said: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(str(record.msg))

    def warn(message: str) -> None:
        logging.getLogger("urllib3.connectionpool").warning(message)

    def work() -> None:
        for name in ("sentry-sdk.BackgroundWorker", "host"):
            thread = Thread(target=warn, args=(name,), name=name)
            thread.start()
            thread.join()

    handler = Handler()
    logging.getLogger("urllib3").addHandler(handler)
    try:
        events_of(receiver, work)
    finally:
        logging.getLogger("urllib3").removeHandler(handler)

    assert ["host"] == said


def test_what_a_framework_has_wrapped_is_shown_as_it_was_raised(receiver: Receiver) -> None:
    """Quart 0.23 raises a group of one: the issue is the error in it, with its own cause."""
    raised = ZeroDivisionError("of a stream")
    raised.__cause__ = LookupError("before it")
    group = ExceptionGroup("unhandled errors in a TaskGroup", [raised])

    def work() -> None:
        note(group).root = raised
        sentry_sdk.capture_exception(group)
        sentry_sdk.capture_exception(raised)  # once more, by whoever unwraps it

    [event] = events_of(receiver, work)

    kinds = [error["type"] for error in event["exception"]["values"]]
    assert ["LookupError", "ZeroDivisionError"] == kinds
    assert "job-1" == event["tags"]["trace_id"]
