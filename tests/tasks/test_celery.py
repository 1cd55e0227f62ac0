"""Celery without a worker: headers of messages, eager calls, and arguments that are refused."""

from __future__ import annotations

import io
import logging
import signal
import subprocess
import sys
from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest
from billiard.pool import soft_timeout_sighandler
from celery import Celery, current_app, shared_task, signals
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded
from kombu.exceptions import OperationalError

from pantheon_obs import (
    ConfigError,
    MissingExtraError,
    bind,
    configure_logging,
    current_trace_id,
    llm_call,
    measure,
    trace_context,
)
from pantheon_obs.adapters import celery_tracing, celery_worker
from pantheon_obs.adapters.celery import instrument_celery
from pantheon_obs.adapters.wsgi import TraceIdMiddleware
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import current_trace
from pantheon_obs.core.failures import is_covered
from pantheon_obs.testing import capture_events, fixed_ids
from tests.test_import import run_isolated

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = {"x-trace-id", "x-trace-fields", "x-trace-span"}


@pytest.fixture
def app() -> Iterator[Celery]:
    """An app with a broker in memory, not yet instrumented."""
    made = Celery("shop", broker="memory://shop", backend="cache+memory://", set_as_current=False)
    made.conf.task_default_queue = "unread"
    yield made
    with made.connection_for_read() as connection:
        connection.default_channel.queue_purge("unread")


def published(app: Celery) -> dict[str, Any]:
    """Read the headers of the oldest message in the queue."""
    with app.connection_for_read() as connection:
        message = app.amqp.queues["unread"](connection.default_channel).get(no_ack=True)
        headers: dict[str, Any] = message.headers
        return headers


def finished(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Select the lines of `task_finished`."""
    return [line for line in lines if line["event"] == "task_finished"]


# --- arguments


def test_the_app_itself_is_returned(app: Celery) -> None:
    """A bare statement is enough, before or after the tasks are declared."""
    assert app is instrument_celery(app)
    assert app is instrument_celery(app)


@pytest.mark.parametrize("value", [None, "shop", object(), Celery, len])
def test_other_objects_than_celery_apps_are_refused(value: object) -> None:
    """The message names the value."""
    with pytest.raises(ConfigError, match=r"app=.* is not accepted: use a Celery app"):
        instrument_celery(value)


@pytest.mark.parametrize("names", ["user_id", [7], [b"user_id"]])
def test_bound_fields_must_be_names(app: Celery, names: Any) -> None:
    """A single name in place of a list is a mistake, not a list of letters."""
    with pytest.raises(ConfigError, match="bound_fields="):
        instrument_celery(app, bound_fields=names)


def test_a_bad_setting_is_refused_at_once(app: Celery) -> None:
    """The error is raised by the call, and not later in a worker."""
    with pytest.raises(ConfigError, match="log_level"):
        instrument_celery(app, log_level="LOUD")
    with pytest.raises(ConfigError, match="settings="):
        instrument_celery(app, {"log_level": "INFO"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [{"metrics_path": "/metrics"}, {"metrics_port": 9464}],
    ids=["path", "port"],
)
def test_metrics_without_the_extra_are_an_error(
    app: Celery, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Where they are asked for by an argument."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with pytest.raises(MissingExtraError, match=r"pantheon-obs\[prometheus\]"):
        instrument_celery(app, **options)


def test_a_dsn_without_sentry_is_an_error(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DSN that is an argument needs `sentry_sdk`."""
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)

    with pytest.raises(MissingExtraError, match=r"pantheon-obs\[sentry\]"):
        instrument_celery(app, sentry_dsn="http://public@127.0.0.1:1/1")


def test_a_proxy_stands_for_its_app(app: Celery) -> None:
    """`celery.current_app` is a proxy; the app behind it is instrumented."""
    app.set_current()

    assert current_app is instrument_celery(current_app)

    with trace_context("proxied"):
        app.send_task("shop.nothing")
    assert "proxied" == published(app)["x-trace-id"]


def test_a_second_call_with_other_options_is_a_warning(
    app: Celery, lines: list[dict[str, Any]]
) -> None:
    """It names the options; one that asks for nothing else is a no-op."""
    instrument_celery(app, bound_fields=("user_id",), service="shop")
    instrument_celery(app)
    instrument_celery(app, bound_fields=("user_id",), service="shop")
    instrument_celery(app, bound_fields=("tenant",), service="stock")

    [warning] = lines
    assert ("instrument_ignored", "celery", ["bound_fields", "service"]) == tuple(
        warning[key] for key in ("event", "adapter", "options")
    )


def test_the_adapter_alone_imports_no_celery() -> None:
    """An application without Celery does not import it."""
    program = "import sys, pantheon_obs.adapters.celery; print('celery' in sys.modules)"

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert b"False" == run.stdout.strip()


# --- headers of messages


def test_a_message_carries_the_trace_of_its_publisher(app: Celery) -> None:
    """`delay`, `apply_async`, `send_task` and signatures add the same headers to Celery's."""

    @app.task(name="shop.add", shared=False)
    def add(a: int, b: int) -> int:
        return a + b

    with trace_context("plain"):
        add.delay(1, 2)
    expected = set(published(app))
    instrument_celery(app)

    with trace_context("req-1"):
        add.delay(1, 2)
        add.apply_async((1, 2), countdown=5)
        add.s(1, 2).apply_async()
        app.send_task("shop.add", (1, 2))

    for _ in range(4):
        headers = published(app)
        assert expected | OURS == set(headers)
        assert ("req-1", {}) == (headers["x-trace-id"], headers["x-trace-fields"])


def test_an_untraced_message_gets_a_fresh_id(app: Celery) -> None:
    """The id is made by `id_generator`, so that the worker's lines about the message share it."""
    instrument_celery(app, id_generator=fixed_ids("job"))

    app.send_task("shop.add")
    app.send_task("shop.add")

    assert ["job-1", "job-2"] == [published(app)["x-trace-id"] for _ in range(2)]
    assert "" == current_trace_id.get()


def test_a_publishers_own_header_stays(app: Celery) -> None:
    """It is kept in upper or lower case, and the publisher's headers are not changed."""
    instrument_celery(app)
    given = {"X-Trace-Id": "mine", "tenant": "acme"}

    with trace_context("req-1"):
        app.send_task("shop.add", headers=given)
        app.send_task("shop.add", headers={"tenant": "acme"})

    assert {"X-Trace-Id": "mine", "tenant": "acme"} == given
    headers = published(app)
    assert ("mine", "acme") == (headers["X-Trace-Id"], headers["tenant"])
    assert set() == OURS & set(headers)
    assert ("req-1", "acme") == ((second := published(app))["x-trace-id"], second["tenant"])


def test_only_the_fields_that_are_named_cross(app: Celery) -> None:
    """Of the named fields only values that every broker and serializer takes cross."""
    plain = {"text": "grün\n", "whole": -(2**63) + 1, "part": 0.5, "no": False, "none": None}
    other = {
        "long": "x" * 1025,
        "surrogate": "\ud800",
        "huge": 2**63,
        "nan": nan,
        "inf": inf,
        "list": [1],
        "object": object(),
        "bytes": b"x",
    }
    instrument_celery(app, bound_fields=[*plain, *other, "absent"])

    with trace_context("req-1"):
        bind(**plain, **other, secret="s")  # noqa: S106 - nobody's
        app.send_task("shop.add")

    assert plain == published(app)["x-trace-fields"]


def test_another_app_of_the_process_is_left_alone(app: Celery, lines: list[dict[str, Any]]) -> None:
    """Its messages and tasks are unchanged, and Celery's lines about them are kept."""
    instrument_celery(Celery("other", set_as_current=False))

    @app.task(name="shop.add", shared=False)
    def add(a: int, b: int) -> int:
        return a + b

    with trace_context("req-1"):
        add.delay(1, 2)
        assert 3 == add.apply((1, 2)).get()

    assert set() == OURS & set(published(app))
    assert [] == finished(lines)
    assert any("succeeded in" in line["event"] for line in lines)


def test_a_broker_that_is_down_fails_as_before() -> None:
    """The publisher gets the same error from Celery."""
    app = Celery("down", broker="amqp://127.0.0.1:1//", set_as_current=False)
    app.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    instrument_celery(app)

    with pytest.raises(OperationalError):
        app.send_task("shop.add", retry=False)


def test_headers_of_a_wrong_kind_fail_as_before(app: Celery) -> None:
    """The publisher gets the same error from Celery."""
    instrument_celery(app)

    with pytest.raises((TypeError, ValueError)):
        app.send_task("shop.add", headers=7)


# --- eager calls


@pytest.fixture
def eager(app: Celery) -> Celery:
    """An instrumented app that calls its tasks in place."""
    app.conf.task_always_eager = True
    return instrument_celery(app)


def test_an_eager_task_is_a_part_of_its_request(eager: Celery, lines: list[dict[str, Any]]) -> None:
    """It has the id of the request, and its bound fields and LLM calls are the request's."""

    @eager.task(name="shop.ask", shared=False)
    def ask() -> int:
        bind(asked=True)
        with measure("search"):
            pass
        with llm_call(model="fast", operation="call") as call:
            call.usage({"input_tokens": 3, "output_tokens": 4})
        return 7

    def view(environ: Any, start_response: Any) -> list[bytes]:
        trace = current_trace.get()
        with measure("search"), measure("read"):
            pass
        assert 7 == ask.delay().get()
        assert trace is current_trace.get()
        start_response("200 OK", [])
        return [b"done"]

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_X_TRACE_ID": "req-1"}
    body = TraceIdMiddleware(view)(environ, lambda *_: lambda data: None)  # type: ignore[arg-type]
    assert [b"done"] == list(body)
    body.close()  # type: ignore[attr-defined]

    ended_tasks, request = lines[-2:]
    assert ("task_finished", "request_finished") == (ended_tasks["event"], request["event"])
    assert {"req-1"} == {line["trace_id"] for line in lines}
    assert ("shop.ask", "SUCCESS", 0) == (
        ended_tasks["task"],
        ended_tasks["state"],
        ended_tasks["retries"],
    )
    assert {"queue", "llm_calls"}.isdisjoint(ended_tasks)
    assert (1, 2, 1) == (
        ended_tasks["search_calls"],
        request["search_calls"],
        request["read_calls"],
    )
    assert "read_calls" not in ended_tasks
    assert 0 < ended_tasks["search_ms"] < request["search_ms"]
    assert (True, 1, 3) == (
        request["asked"],
        request["llm_calls"],
        request["llm_input_tokens"],
    )


def test_an_eager_task_measures_no_time_where_its_caller_does_not(
    app: Celery, lines: list[dict[str, Any]]
) -> None:
    """With `measure_time=False` its line has no times, as its caller's has none."""
    app.conf.task_always_eager = True
    instrument_celery(app, measure_time=False)

    @app.task(name="shop.search", shared=False)
    def search() -> None:
        with measure("search"):
            pass

    with trace_context("job-1"):
        search.delay()

    [line] = finished(lines)
    assert ("SUCCESS", "job-1") == (line["state"], line["trace_id"])
    assert {"search_calls", "search_ms", "own_ms"}.isdisjoint(line)


def test_an_eager_task_outside_of_a_trace_has_its_own(
    eager: Celery, lines: list[dict[str, Any]]
) -> None:
    """The tasks that it calls have the same id."""

    @eager.task(name="shop.inner", shared=False)
    def inner() -> str:
        return current_trace_id.get()

    @eager.task(name="shop.outer", shared=False)
    def outer() -> list[str]:
        return [current_trace_id.get(), inner.delay().get(disable_sync_subtasks=False)]

    first, second = outer.delay().get(), outer.delay().get()

    assert first[0] == first[1] != second[0] == second[1]
    assert [first[0]] * 2 + [second[0]] * 2 == [line["trace_id"] for line in finished(lines)]
    assert ("", None) == (current_trace_id.get(), current_trace.get())


def test_a_failed_task_has_its_debug_lines(eager: Celery, lines: list[dict[str, Any]]) -> None:
    """One that succeeds has none; Celery's own details are in neither."""
    configure_logging(log_format="json", debug_on_error=True)
    shop = logging.getLogger("recorded.tasks")

    @eager.task(name="shop.pay", shared=False)
    def pay(amount: int) -> float:
        shop.debug("paying", extra={"amount": amount})
        logging.getLogger("celery.pool").debug("not said")
        return 1 / amount

    pay.apply(args=[1])
    pay.apply(args=[0])

    told = [(line["event"], line.get("recorded"), line.get("amount")) for line in lines]
    assert [("task_finished", None, None), ("paying", True, 0), ("task_finished", None, None)] == [
        each for each in told if each[0] in ("paying", "not said", "task_finished")
    ]


def test_an_eager_error_is_one_traceback(eager: Celery, lines: list[dict[str, Any]]) -> None:
    """The traceback is on one line whether the caller gets the error or the task is tried again."""

    @eager.task(name="shop.fail", shared=False, bind=True, max_retries=1)
    def fail(self: Any, *, again: bool) -> None:
        if again:
            raise self.retry(exc=LookupError(), countdown=0)
        raise LookupError

    with trace_context("req-1"):
        assert "FAILURE" == fail.delay(again=False).state
        with pytest.raises(LookupError):
            fail.apply(kwargs={"again": False}, throw=True)
        fail.delay(again=True)

    ended_tasks = finished(lines)
    assert [
        ("FAILURE", "error", 0, "LookupError"),
        ("FAILURE", "error", 0, "LookupError"),
        ("RETRY", "warning", 0, None),
        ("FAILURE", "error", 1, "LookupError"),
    ] == [
        (line["state"], line["level"], line["retries"], line.get("error_type"))
        for line in ended_tasks
    ]
    assert [line for line in ended_tasks if line["state"] == "FAILURE"] == [
        line for line in lines if "exception" in line
    ]


def test_an_eager_error_is_known_to_its_caller(eager: Celery) -> None:
    """`task_finished` has reported the failure, so that the caller's trace does not repeat it."""

    @eager.task(name="shop.fail", shared=False)
    def fail() -> None:
        raise LookupError

    with trace_context("req-1"):
        with pytest.raises(LookupError) as raised:
            fail.apply(throw=True)

        assert is_covered(raised.value)
    assert not is_covered(LookupError())


@pytest.mark.parametrize(
    ("raised", "state"),
    [
        (Ignore(), "IGNORED"),
        (Reject("no"), "REJECTED"),
        (Retry("later"), "RETRY"),
        (SystemExit(3), "FAILURE"),
    ],
)
@pytest.mark.parametrize("throw", [False, True])
def test_an_exception_of_a_task_reaches_its_caller_as_before(
    app: Celery, lines: list[dict[str, Any]], raised: BaseException, state: str, *, throw: bool
) -> None:
    """The caller gets the same exception or state with and without the library."""

    @app.task(name="shop.raise", shared=False)
    def raise_it() -> None:
        raise raised

    def outcome() -> object:
        try:
            result = raise_it.apply(throw=throw)
        except BaseException as error:  # noqa: BLE001 - the cases include SystemExit
            return error
        return result.state

    expected = outcome()
    instrument_celery(app)

    assert expected == outcome()
    assert [state] == [line["state"] for line in finished(lines)]


def test_a_task_keeps_its_own_headers(eager: Celery) -> None:
    """The task sees the headers that its caller gave, and none of the library's."""

    @eager.task(name="shop.headers", shared=False, bind=True)
    def headers(self: Any) -> Any:
        return self.request.headers

    with trace_context("req-1"):
        assert headers.delay().get() is None
        assert {"tenant": "acme"} == headers.apply_async(headers={"tenant": "acme"}).get()


def test_shared_tasks_are_the_apps_own(eager: Celery, lines: list[dict[str, Any]]) -> None:
    """A shared task of a library runs under the current app."""

    @shared_task(name="library.task")
    def task() -> None: ...

    eager.set_current()
    task.delay()

    assert ["library.task"] == [line["task"] for line in finished(lines)]


def test_two_tries_of_a_task_at_once_are_one_traceback(
    eager: Celery, lines: list[dict[str, Any]]
) -> None:
    """A second try, with the same id, may end before the first; in a pool of threads it does."""

    @eager.task(name="shop.fail", shared=False, bind=True)
    def fail(self: Any, *, again: bool) -> None:
        if again:
            fail.apply(kwargs={"again": False}, task_id=self.request.id)
        raise LookupError

    fail.delay(again=True)

    assert ["task_finished"] * 2 == [line["event"] for line in lines if "exception" in line]


def test_celerys_lines_stay_where_ours_is_off(eager: Celery, lines: list[dict[str, Any]]) -> None:
    """An application that silences `pantheon_obs.task` still has Celery's lines of failures."""

    @eager.task(name="shop.fail", shared=False)
    def fail() -> None:
        raise LookupError

    teller = logging.getLogger("pantheon_obs.task")
    teller.setLevel(logging.CRITICAL)
    try:
        fail.delay()
    finally:
        teller.setLevel(logging.NOTSET)

    [line] = [line for line in lines if "exception" in line]
    assert "celery.app.trace" == line["logger"]
    assert ("shop.fail", "LookupError") == (line["task"], line["error_type"])
    assert "data" not in line


def test_the_parent_reports_a_task_that_ends_its_process(
    eager: Celery, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child reports nothing, as its parent sees it end and reports the task."""
    monkeypatch.setattr(celery_tracing.process, "is_pool_child", True)

    @eager.task(name="shop.leave", shared=False)
    def leave() -> None:
        sys.exit(3)

    with pytest.raises(SystemExit):
        leave.delay()

    assert [] == finished(lines)
    assert "" == current_trace_id.get()


def test_the_solo_pool_reports_a_task_that_ends_its_process(
    eager: Celery, lines: list[dict[str, Any]]
) -> None:
    """It runs tasks in the worker's own process, and sends the signal of the others, too."""

    @eager.task(name="shop.leave", shared=False)
    def leave() -> None:
        sys.exit(3)

    signals.worker_process_init.send(sender=None)
    with pytest.raises(SystemExit):
        leave.delay()

    assert [("FAILURE", "SystemExit")] == [
        (line["state"], line["error_type"]) for line in finished(lines)
    ]


def test_polls_of_a_chord_are_at_debug(eager: Celery, lines: list[dict[str, Any]]) -> None:
    """It comes again each second until the chord's tasks have ended; its failure is an error."""

    @eager.task(name="celery.chord_unlock", shared=False, bind=True, max_retries=1)
    def poll(self: Any, *, fails: bool) -> None:
        if fails:
            raise LookupError
        if not self.request.retries:
            raise self.retry(countdown=0)

    configure_logging(log_level="DEBUG")
    for fails in (False, True):
        poll.delay(fails=fails)

    levels = [(line["state"], line["level"]) for line in finished(lines)]
    assert [("RETRY", "debug"), ("SUCCESS", "debug"), ("FAILURE", "error")] == levels


def test_data_of_the_application_is_kept(lines: list[dict[str, Any]]) -> None:
    """Only Celery's own `data` is left out."""
    logging.getLogger("shop").info("counted", extra={"data": {"id": 7}})
    logging.getLogger("celery.shop").info("counted", extra={"data": [7]})

    assert [{"id": 7}, [7]] == [line["data"] for line in lines]


def test_a_time_limit_reaches_the_task_in_the_middle_of_our_work(
    eager: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery's signal handler may raise it in the write of a line or in a sink; it passes."""

    class Stdout(io.StringIO):
        def write(self, text: str) -> int:
            signal.raise_signal(signal.SIGUSR1)
            return super().write(text)

    class Late:
        name = "late"

        def started(self, trace: object) -> None: ...

        def handle(self, event: object) -> None:
            signal.raise_signal(signal.SIGUSR1)

    @eager.task(name="shop.log", shared=False)
    def log() -> None:
        with pytest.raises(SoftTimeLimitExceeded):
            logging.getLogger("shop").warning("said")
        with pytest.raises(SoftTimeLimitExceeded), llm_call(model="fast", operation="call"):
            pass

    monkeypatch.setattr(sys, "stdout", Stdout())
    configure_logging(log_format="json")
    monkeypatch.setattr(pipeline, "sinks", (Late(),))
    before = signal.signal(signal.SIGUSR1, soft_timeout_sighandler)
    try:
        log.run()
    finally:
        signal.signal(signal.SIGUSR1, before)


PATCHED_IN_PART = """
from celery.app import trace
from celery.worker.consumer import consumer
build = trace.build_tracer
trace.build_tracer = lambda *args, **options: build(*args, **options)  # as Sentry does, before us

from celery import Celery
from pantheon_obs.adapters.celery import instrument_celery
from pantheon_obs.testing import capture_events
app = instrument_celery(Celery("shop", set_as_current=False))

@app.task(name="greet")
def greet():
    return "hello"

app.finalize()
for module in (trace, consumer):
    with capture_events() as events:
        module.build_tracer("greet", greet, app=app)("id-1", (), {}, {})
    assert ["SUCCESS"] == [event.get("state") for event in events], (module, events)
"""


def test_a_worker_that_was_imported_before_others_changed_celery_is_traced_too() -> None:
    """The consumer imports `build_tracer` by name, which others do not replace."""
    run_isolated(PATCHED_IN_PART)


def test_beat_which_has_no_worker_sets_up_its_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery's worker program is not imported there."""
    monkeypatch.delitem(sys.modules, "celery.apps.worker", raising=False)
    app = instrument_celery(Celery("beat"))
    monkeypatch.setattr(celery_tracing.process, "tracing", celery_tracing.tracing_of(app))

    with capture_events() as events:
        celery_worker._on_logging()  # noqa: SLF001 - what Celery's signal calls

    assert ["celery"] == [event["adapter"] for event in events if "adapter" in event]
