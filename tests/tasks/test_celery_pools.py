"""A worker whose pool is threads, on a broker in memory, within this process."""

from __future__ import annotations

import logging
from functools import partial
from inspect import signature
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from celery.worker.request import Request
from kombu import Exchange, Queue

from pantheon_obs import bind, current_trace_id, get_logger, llm_call, trace_context
from pantheon_obs.adapters import celery_tracing, celery_worker
from pantheon_obs.adapters.celery import instrument_celery
from pantheon_obs.adapters.celery_tracing import Tracing
from pantheon_obs.core.task import running
from tests.support.server import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 60
Lines = list[dict[str, Any]]

log = get_logger("pools")


def make_app() -> Celery:
    """Make an app with tasks that are declared before it is instrumented."""
    app = Celery("pool", broker="memory://pool", backend="cache+memory://", set_as_current=False)
    app.conf.update(
        broker_transport_options={"polling_interval": 0.01},
        worker_hijack_root_logger=False,
        task_default_queue="default",
        task_queues=[
            Queue("default", routing_key="default"),
            Queue("mail", Exchange("post", type="topic"), routing_key="mail.#"),
        ],
        task_routes={"pool.mail": {"exchange": "post", "routing_key": "mail.#"}},
    )

    @app.task(name="pool.outer", shared=False, bind=True)
    def outer(self: Any) -> Any:
        bind(bound=True)
        inner.delay()
        return [current_trace_id.get(), self.request.headers]

    @app.task(name="pool.inner", shared=False)
    def inner() -> str:
        log.info("inner")
        return current_trace_id.get()

    @app.task(name="pool.mail", shared=False, bind=True, max_retries=1)
    def mail(self: Any) -> None:
        raise self.retry(exc=LookupError(), countdown=0)

    @app.task(name="pool.ask", shared=False)
    def ask() -> None:
        with llm_call(model="fast", operation="call") as call:
            call.usage({"input_tokens": 3, "output_tokens": 4})

    @app.task(name="pool.unstorable", shared=False)
    def unstorable() -> object:
        return object()

    return instrument_celery(app, bound_fields=("user_id",))


@pytest.fixture(scope="module", autouse=True)
def logging_as_before() -> Iterator[None]:
    """Restore the logging of this process, which Celery sets up."""
    root, celery = logging.getLogger(), logging.getLogger("celery")
    before = [(logger, list(logger.handlers), logger.level) for logger in (root, celery)]
    yield
    for logger, handlers, level in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)


@pytest.fixture(scope="module")
def app(logging_as_before: None) -> Iterator[Celery]:
    """An app with a worker that runs its tasks one after the other."""
    app = make_app()
    options: dict[str, Any] = {"pool": "threads", "concurrency": 1, "loglevel": "INFO"}
    with start_worker(app, perform_ping_check=False, shutdown_timeout=SECONDS, **options):
        yield app


def ended(lines: Lines, count: int) -> Lines:
    """Wait until this many tasks have ended; return their lines.

    A task that has left `running` has written its line. A thread that is still in `logging` would
    find the handler of the next test in the list of handlers, and write the line to that as well.
    """

    def found() -> Lines:
        return [line for line in lines if line["event"] == "task_finished"]

    wait_until(lambda: len(found()) >= count and not running)
    return found()


def test_a_task_has_the_id_and_no_fields_of_earlier_tasks(app: Celery, lines: Lines) -> None:
    """One thread runs all tasks, and the fields that a task binds end with it."""
    with trace_context("first"):
        bind(user_id=7, other=8)
        result = app.tasks["pool.outer"].delay()
    assert ["first", None] == result.get(SECONDS, interval=0.01)
    fresh = app.tasks["pool.inner"].delay().get(SECONDS, interval=0.01)

    lines_of_tasks = ended(lines, 3)
    assert {"first": 2, fresh: 1} == {
        trace_id: sum(line["trace_id"] == trace_id for line in lines_of_tasks)
        for trace_id in ("first", fresh)
    }
    by_name = {(line["trace_id"], line["task"]): line for line in lines_of_tasks}
    first, second, third = (
        by_name["first", "pool.outer"],
        by_name["first", "pool.inner"],
        by_name[fresh, "pool.inner"],
    )
    assert (7, True, "default") == (first["user_id"], first["bound"], first["queue"])
    assert 7 == second["user_id"]
    assert "bound" not in second
    assert {"user_id", "bound"}.isdisjoint(third)
    assert all("other" not in line for line in lines_of_tasks)
    received = [line["trace_id"] for line in lines if line["event"].endswith("received")]
    assert sorted(["first", "first", fresh]) == sorted(received)


def test_a_retry_has_the_id_and_the_queue(app: Celery, lines: Lines) -> None:
    """The queue is found by its exchange and routing key."""
    with trace_context("retried"):
        bind(user_id=7)
        app.tasks["pool.mail"].delay()

    lines_of_tasks = ended(lines, 2)
    assert [("RETRY", 0), ("FAILURE", 1)] == [
        (line["state"], line["retries"]) for line in lines_of_tasks
    ]
    assert {("retried", "mail", 7)} == {
        (line["trace_id"], line["queue"], line["user_id"]) for line in lines_of_tasks
    }
    assert [lines_of_tasks[1]] == [line for line in lines if "exception" in line]
    assert "LookupError" == lines_of_tasks[1]["error_type"]


def test_a_topic_shows_the_key_where_the_queue_cannot_be_known(app: Celery, lines: Lines) -> None:
    """A topic exchange matches patterns, so the routing key is shown."""
    app.tasks["pool.inner"].apply_async(exchange="post", routing_key="mail.sent")

    assert ["mail.sent"] == [line["queue"] for line in ended(lines, 1)]


def test_llm_calls_are_counted(app: Celery, lines: Lines) -> None:
    """The totals of LLM calls are on the line of the task."""
    app.tasks["pool.ask"].delay()

    [line] = ended(lines, 1)
    assert (1, 0, 3, 4) == (
        line["llm_calls"],
        line["llm_errors"],
        line["llm_input_tokens"],
        line["llm_output_tokens"],
    )


def test_headers_that_sentry_repeats_are_hidden_too(app: Celery, lines: Lines) -> None:
    """Sentry's integration repeats all headers in `headers`, for other versions of Celery."""
    added = {"x-trace-id": "twice", "x-trace-fields": {}}
    result = app.tasks["pool.outer"].apply_async(
        headers={**added, "headers": {**added, "tenant": "acme"}}
    )

    assert ["twice", {"tenant": "acme"}] == result.get(SECONDS, interval=0.01)
    assert ["twice", "twice"] == [line["trace_id"] for line in ended(lines, 2)]


def test_a_failure_of_the_library_does_not_change_the_task(
    app: Celery, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is reported once per site."""

    def fail(*_: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(Tracing, "describe", fail)
    results = [app.tasks["pool.inner"].delay() for _ in range(2)]

    for result in results:
        assert isinstance(result.get(SECONDS, interval=0.01), str)
    failures = [line["site"] for line in lines if line["event"] == "telemetry_failed"]
    assert ["celery task", "celery worker"] == sorted(failures)


@pytest.mark.parametrize("sends_signal", [True, False])
def test_a_task_that_is_cancelled_is_one_that_comes_again(
    app: Celery, lines: Lines, *, sends_signal: bool
) -> None:
    """Celery cancels a task when it has lost the broker, or ends at once: the line says RETRY.

    Since Celery 5.7 it sends no signal for a task that is acknowledged late.
    """
    options = {} if sends_signal else {"emit_retry": False}
    if options.keys() - signature(Request.cancel).parameters.keys():
        pytest.skip("this version of Celery sends it for every task")
    requests: list[Any] = []

    def keep(request: Any, **_: Any) -> None:
        requests.append(request)

    signals.task_received.connect(keep)
    with trace_context("cancelled"):
        app.tasks["pool.inner"].delay()
    ended(lines, 1)

    requests[0].cancel(SimpleNamespace(terminate_job=lambda *_: None), **options)

    last = ended(lines, 2)[1]
    assert ("RETRY", "cancelled") == (last["state"], last["trace_id"])


def test_a_task_that_is_cancelled_before_it_starts_has_no_event(app: Celery, lines: Lines) -> None:
    """No try of it has begun."""
    requests: list[Any] = []

    def keep(request: Any, **_: Any) -> None:
        requests.append(request)

    signals.task_received.connect(keep)
    app.tasks["pool.inner"].delay()
    ended(lines, 1)
    requests[0].time_start = None

    requests[0].cancel(SimpleNamespace())

    assert ["SUCCESS"] == [line["state"] for line in lines if line["event"] == "task_finished"]


def test_a_result_that_cannot_be_stored_is_a_failure(app: Celery, lines: Lines) -> None:
    """The task itself has succeeded, but its one line says FAILURE."""
    with trace_context("unstorable"):
        app.tasks["pool.unstorable"].delay()

    [line] = ended(lines, 1)
    assert ("FAILURE", "unstorable") == (line["state"], line["trace_id"])
    assert [line] == [line for line in lines if "exception" in line]


@pytest.mark.filterwarnings("default:Exception raised outside body")
def test_an_error_around_a_task_is_a_failure(
    app: Celery, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery has sent its last signal by then; the line says FAILURE all the same."""

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(type(app.backend), "mark_as_done", fail)  # each thread has one
    with trace_context("internal"):
        app.tasks["pool.inner"].delay()

    [line] = ended(lines, 1)
    assert ("FAILURE", "ConnectionError") == (line["state"], line["error_type"])
    assert [line] == [line for line in lines if "exception" in line]


def test_a_revoked_task_is_reported_once(app: Celery, lines: Lines) -> None:
    """The line has no latency, as the task never started."""
    with trace_context("expired"):
        app.tasks["pool.inner"].apply_async(expires=-1)

    [line] = ended(lines, 1)
    assert ("REVOKED", "expired") == (line["state"], line["trace_id"])
    assert "latency_ms" not in line


@pytest.mark.parametrize("header", ["bad id", "", 7, None, "x" * 129, "\ud800", ["id"]])
def test_an_invalid_id_is_replaced(app: Celery, lines: Lines, header: object) -> None:
    """Worker and task use the same fresh id."""
    trace_id = (
        app.tasks["pool.inner"]
        .apply_async(headers={"x-trace-id": header})
        .get(SECONDS, interval=0.01)
    )

    [line] = ended(lines, 1)
    assert 36 == len(trace_id)
    assert trace_id == line["trace_id"]
    assert [trace_id] == [line["trace_id"] for line in lines if line["event"].endswith("received")]


def test_fields_that_somebody_forges_do_not_cross(app: Celery, lines: Lines) -> None:
    """Fields of an incoming message cross only if they are in the list."""
    headers = {"x-trace-id": "forged", "x-trace-fields": {"user_id": ["x"], "admin": True}}
    app.tasks["pool.inner"].apply_async(headers=headers)
    app.tasks["pool.inner"].apply_async(headers={**headers, "x-trace-fields": 7})

    for line in ended(lines, 2):
        assert "forged" == line["trace_id"]
        assert {"user_id", "admin"}.isdisjoint(line)


@pytest.mark.parametrize("configured", [False, True])
def test_logging_is_taken_over_again_in_a_process_of_the_pool(
    monkeypatch: pytest.MonkeyPatch, *, configured: bool
) -> None:
    """It may have been set up since the worker has started."""
    started: list[str] = []
    on_startup = partial(started.append, "once") if configured else None
    monkeypatch.setattr(celery_tracing.process, "is_pool_child", False)
    monkeypatch.setattr(celery_tracing.process, "on_startup", on_startup)
    instrument_celery(Celery("forking", set_as_current=False))
    child = SimpleNamespace(name="ForkPoolWorker-1")
    monkeypatch.setattr(celery_worker, "current_process", lambda: child)

    signals.worker_process_init.send(sender=None)

    assert celery_tracing.process.is_pool_child
    assert ["once"] * configured == started


def test_our_handler_survives_celerys_own_set_up(lines: Lines) -> None:
    """Celery removes all handlers of the root logger, by default."""
    app = instrument_celery(Celery("hijacking", set_as_current=False))
    app.conf.worker_hijack_root_logger = True
    handlers = list(logging.getLogger().handlers)
    type(app.log)._setup = False  # noqa: SLF001 - as celery.contrib.testing does
    try:
        app.log.setup(loglevel="INFO")
        logging.getLogger("celery.task.some").info("heard")
    finally:
        logging.getLogger().handlers[:] = handlers

    assert ["heard"] == [line["event"] for line in lines if line["event"] == "heard"]


def test_a_worker_that_starts_once_more_finds_its_tasks_as_they_are() -> None:
    """Celery makes new steps for each worker, and the tasks stay wrapped once."""
    app = instrument_celery(Celery("again", set_as_current=False))
    [step] = app.steps["consumer"]

    step(SimpleNamespace(app=app, on_unknown_task=print))
    first = {name: task.Request for name, task in app.tasks.items()}
    step(SimpleNamespace(app=app, on_unknown_task=print))

    assert first == {name: task.Request for name, task in app.tasks.items()}
    assert all(issubclass(request, Request) for request in first.values())
