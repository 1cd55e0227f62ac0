"""Lines are kept aside until their request has ended, and are written or dropped then."""

from __future__ import annotations

import asyncio
import logging
import sys
import tracemalloc
from contextlib import contextmanager
from hashlib import sha256
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import structlog

from pantheon_obs import (
    Settings,
    bind,
    configure_logging,
    get_logger,
    keep,
    llm_call,
    trace_context,
)
from pantheon_obs.adapters.asgi import TraceIdMiddleware
from pantheon_obs.adapters.wsgi import TraceIdMiddleware as WsgiMiddleware
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import begin, current_trace, end, leave_on
from pantheon_obs.core.exchange import Exchange
from pantheon_obs.core.guard import reported
from pantheon_obs.core.task import TaskRun
from pantheon_obs.sinks.logs import buffer
from pantheon_obs.sinks.logs.buffer import LINES, MEMORY, TEXT, text_size
from pantheon_obs.sinks.logs.recorder import _is_chosen
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Logged = Callable[[], list[dict[str, Any]]]
    Work = Callable[[], object]

shop = logging.getLogger("recorded.shop")
orders = get_logger("recorded.orders")
QUIET = Settings(quiet_paths=("/quiet",))


def request(work: Work, *, status: int = 200, after: Work = str, path: str = "/pay") -> None:
    """Serve one ASGI request that does the work; an exception of it is raised again."""

    async def app(scope: Any, _: Any, send: Any) -> None:
        work()
        await send({"type": "http.response.start", "status": scope["status"], "headers": []})
        await send({"type": "http.response.body", "body": b"done"})
        after()

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(_: Any) -> None:
        """Take a message."""

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "status": status}
    asyncio.run(TraceIdMiddleware(app, QUIET)(scope, receive, send))  # type: ignore[arg-type]


def told(lines: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    """Return the level and event of each line, and whether it was kept aside."""
    return [(line["level"], line["event"], line.get("recorded", False)) for line in lines]


def details() -> None:
    """Log below the level in both ways, and at it."""
    shop.debug("cart of %d", 3, extra={"size": 3})
    orders.debug("reserved", order=7)
    shop.info("paid")


def fail() -> None:
    """Log, and fail."""
    details()
    msg = "card refused"
    raise ValueError(msg)


def test_a_failed_request_has_its_debug_lines_in_order_before_its_own(logged: Logged) -> None:
    """They have the time at which they were said, and the fields that were bound then."""
    configure_logging(log_format="json", debug_on_error=True)

    def work() -> None:
        bind(step=1)
        structlog.contextvars.bind_contextvars(user="ann", step="not this")
        details()
        bind(step=2)
        structlog.contextvars.clear_contextvars()
        shop.debug("card", exc_info=KeyError("no card"))
        fail()

    with pytest.raises(ValueError, match="card refused"):
        request(work)

    lines = logged()
    assert [
        ("info", "paid", False),
        ("info", "paid", False),
        ("debug", "cart of 3", True),
        ("debug", "reserved", True),
        ("debug", "card", True),
        ("debug", "cart of 3", True),
        ("debug", "reserved", True),
        ("error", "request_finished", False),
    ] == told(lines)
    recorded = [line for line in lines if "recorded" in line]
    times = [line["timestamp"] for line in recorded]
    assert times == sorted(times)
    assert times[0] < lines[0]["timestamp"]
    assert 1 == len({line["trace_id"] for line in lines})
    assert [1, 1, 2, 2, 2] == [line["step"] for line in recorded]
    assert ["ann", "ann", None, None, None] == [line.get("user") for line in recorded]
    assert (3, 7) == (recorded[0]["size"], recorded[1]["order"])
    assert "KeyError" in recorded[2]["exception"]


def test_a_request_that_ends_well_has_none_of_them(logged: Logged) -> None:
    """Lines that come after its own are dropped as well, and all others are as ever."""
    configure_logging(log_format="json", debug_on_error=True)

    request(details, after=details)

    assert [
        ("info", "paid", False),
        ("info", "request_finished", False),
        ("info", "paid", False),
    ] == told(logged())


def test_a_line_is_put_together_only_if_it_is_written(logged: Logged) -> None:
    """An argument is not asked for its text before; it shows its later state, a secret never."""
    configure_logging(log_format="json", debug_on_error=True)
    asked = []

    class Cart:
        def __str__(self) -> str:
            asked.append(self)
            return "password=hunter2"

    state: dict[str, Any] = {"items": 1}
    request(lambda: shop.debug("%s", Cart()))
    assert [] == asked
    logged()

    def work() -> None:
        shop.debug("%s", Cart())
        orders.debug("cart", state=state, api_key="sk-1")
        state["items"] = 2

    request(work, status=503)

    first, second, _ = logged()
    assert "hunter2" not in first["event"]
    assert ({"items": 2}, "[redacted]") == (second["state"], second["api_key"])


@pytest.mark.parametrize(
    ("slow_ms", "path", "expected"),
    [
        (0.0001, "/pay", [("debug", "said", True), ("info", "request_finished", False)]),
        (0, "/pay", [("info", "request_finished", False)]),
        (60_000, "/pay", [("info", "request_finished", False)]),
        (0.0001, "/quiet", []),
    ],
)
def test_a_slow_request_has_them_too(
    logged: Logged, slow_ms: float, path: str, expected: list[Any]
) -> None:
    """0 means that none is slow, and no probe is."""
    configure_logging(log_format="json", debug_on_error=True, slow_ms=slow_ms)

    request(lambda: shop.debug("said"), path=path)

    assert expected == told(logged())


def test_keep_writes_what_is_kept_aside_and_all_that_comes(logged: Logged) -> None:
    """DEBUG lines included, up to the end of the request; outside of one it does nothing."""
    configure_logging(log_format="json", debug_on_error=True, keep_rate=0)
    keep()

    def work() -> None:
        details()
        keep()
        details()

    request(work, after=details)

    assert [
        ("debug", "cart of 3", True),
        ("debug", "reserved", True),
        ("info", "paid", True),
        ("debug", "cart of 3", False),
        ("debug", "reserved", False),
        ("info", "paid", False),
        ("info", "request_finished", False),
        ("info", "paid", False),
    ] == told(logged())


def test_libraries_and_stricter_loggers_stay_as_they_are(logged: Logged) -> None:
    """A logger takes part if nobody has given it a level; the library's if somebody has."""
    logging.getLogger("recorded.strict").setLevel(logging.ERROR)
    logging.getLogger("httpx").setLevel(logging.NOTSET)
    logging.getLogger("recorded.apart").propagate = False
    logging.getLogger("recorded.off").disabled = True
    open_httpx = logging.getLogger("httpx.opened")
    open_httpx.setLevel(logging.DEBUG)
    configure_logging(log_format="json", debug_on_error=True)
    names = ("httpx", "openai", "uvicorn.error", "asyncio", "recorded.strict", "recorded.apart")

    def work() -> None:
        for name in (*names, "recorded.off"):
            assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)
            logging.getLogger(name).debug("not said")
        open_httpx.debug("said")
        shop.log(5, "too low")
        logging.disable(logging.DEBUG)
        shop.debug("hidden")
        logging.disable(logging.NOTSET)

    try:
        request(work, status=500)
    finally:
        for name in ("recorded.strict", "httpx.opened"):
            logging.getLogger(name).setLevel(logging.NOTSET)
        logging.getLogger("recorded.apart").propagate = True
        logging.getLogger("recorded.off").disabled = False

    assert [("debug", "said", True), ("error", "request_finished", False)] == told(logged())


class Seeing(logging.Handler):
    """Another handler on the root logger, which keeps its records."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.seen.append(record.getMessage())


@contextmanager
def another_handler() -> Iterator[list[str]]:
    """Put another handler on the root logger; give the messages that it sees."""
    handler = Seeing()
    logging.getLogger().addHandler(handler)
    try:
        yield handler.seen
    finally:
        logging.getLogger().removeHandler(handler)


def test_other_handlers_see_what_they_would_have_seen(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does a replaced `callHandlers`, such as Sentry's; a passed record is for all handlers."""
    configure_logging(log_format="json", debug_on_error=True, keep_rate=0)
    called = []
    original = logging.Logger.callHandlers

    def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        called.append(record.getMessage())
        original(self, record)

    monkeypatch.setattr(logging.Logger, "callHandlers", call_handlers)

    def work() -> None:
        details()
        shop.handle(logging.LogRecord(shop.name, logging.DEBUG, "", 1, "handed over", (), None))

    with another_handler() as seen:
        request(work)

    assert ["paid", "handed over", "request_finished"] == called == seen
    assert [] == logged()


def test_the_applications_filters_run_on_lines_kept_aside(logged: Logged) -> None:
    """They may change a record, drop it, or fail: which is reported, and harms nobody."""
    configure_logging(log_format="json", debug_on_error=True)

    def judge(record: logging.LogRecord) -> bool:
        if record.msg == "fails":
            raise ZeroDivisionError
        record.seen = True
        return record.msg != "dropped"

    [ours] = [each for each in logging.getLogger().handlers if hasattr(each, "emitter")]
    ours.addFilter(lambda record: record.msg != "dropped later")
    shop.addFilter(judge)
    try:
        request(
            lambda: [shop.debug(text) for text in ("said", "dropped", "dropped later", "fails")],
            status=500,
        )
    finally:
        shop.removeFilter(judge)

    lines = logged()
    assert [("debug", "said", True)] == [line for line in told(lines) if line[0] == "debug"]
    assert [True] == [line["seen"] for line in lines if line["event"] == "said"]
    assert "recorder" in reported()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a filter returns another record since 3.12")
def test_a_filter_may_put_another_record_in_place(logged: Logged) -> None:
    """The other one is kept aside."""
    configure_logging(log_format="json", debug_on_error=True)

    def swap(record: logging.LogRecord) -> Any:
        return logging.LogRecord(record.name, record.levelno, "", 1, "another", (), None)

    shop.addFilter(swap)
    try:
        request(lambda: shop.debug("one"), status=500)
    finally:
        shop.removeFilter(swap)

    assert ("debug", "another", True) == told(logged())[0]


def test_a_message_that_is_no_text_is_kept_aside_as_it_is_now(logged: Logged) -> None:
    """A dict becomes the line's fields, as ever."""
    configure_logging(log_format="json", debug_on_error=True)

    request(lambda: shop.debug({"event": "moved", "to": "here"}), status=500)

    first = logged()[0]
    assert ("moved", "here", True) == (first["event"], first["to"], first["recorded"])


def test_a_logger_with_a_lower_level_of_its_own_is_held_back_too(
    logged: Logged,
) -> None:
    """Its records go to other handlers at once, as ever."""
    configure_logging(log_format="json", debug_on_error=True)
    shop.setLevel(logging.DEBUG)
    try:
        with another_handler() as seen:
            request(lambda: shop.debug("detail"))
            request(lambda: shop.debug("detail"), status=500)
    finally:
        shop.setLevel(logging.NOTSET)

    assert [
        ("info", "request_finished", False),
        ("debug", "detail", True),
        ("error", "request_finished", False),
    ] == told(logged())
    assert 2 == seen.count("detail")


def test_lines_outside_of_requests_are_as_without_the_recorder(logged: Logged) -> None:
    """No DEBUG line is written, and INFO lines have no rate; a `trace_context` is no request."""
    configure_logging(log_format="json", debug_on_error=True, keep_rate=0)

    details()
    with trace_context("job-1"):
        details()
        keep()
    orders.info("done")

    lines = logged()
    assert [("info", "paid", False)] * 2 + [("info", "done", False)] == told(lines)
    assert all("keep_rate" not in line for line in lines)


def share(trace_id: str) -> float:
    """The fraction that stands for a trace id, as every language computes it."""
    return int.from_bytes(sha256(trace_id.encode()).digest()[:8], "big") / 2**64


def serve(trace_id: str, work: Work = str, status: int = 200) -> None:
    """Have one exchange with this id."""
    exchange = Exchange(trace_id)
    begin(exchange)
    exchange.watch("GET", "/", "", frozenset())
    pipeline.started(exchange)
    work()
    exchange.started(status)
    exchange.part(2)
    exchange.complete()
    exchange.finish()
    end(exchange)


def test_the_rate_keeps_a_trace_whole_or_drops_it_whole(logged: Logged) -> None:
    """Only the id decides, and lines that are written because of it have the rate."""
    configure_logging(log_format="json", keep_rate=0.2)
    ids = [f"order-{number}" for number in range(50)]
    chosen = [each for each in ids if share(each) < 0.2]
    assert 0 < len(chosen) < 25

    for each in ids:
        serve(each, lambda: (shop.info("paid"), shop.debug("not enabled")))

    lines = logged()
    assert [each for each in chosen for _ in range(2)] == [line["trace_id"] for line in lines]
    assert ["paid", "request_finished"] * len(chosen) == [line["event"] for line in lines]
    assert {0.2} == {line["keep_rate"] for line in lines}
    assert [True, None] * len(chosen) == [line.get("recorded") for line in lines]


def test_three_services_keep_the_same_traces_and_their_counts_are_restored(logged: Logged) -> None:
    """The count is exact if the rule keeps the rate's share of the ids; tokens always are."""
    configure_logging(log_format="json", keep_rate=0.05)
    numbers = Random(16)  # noqa: S311 - no secret
    random_ids = [str(UUID(int=numbers.getrandbits(128), version=4)) for _ in range(400)]
    chosen = [each for each in random_ids if share(each) < 0.05][:2]
    ids = chosen + [each for each in random_ids if share(each) >= 0.05][:38]

    def paid() -> None:
        shop.info("paid")
        with llm_call(model="m", operation="chat") as call:
            call.usage({"prompt_tokens": 3, "completion_tokens": 2})

    async def asgi(_: Any, __: Any, send: Any) -> None:
        paid()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    async def nothing(*_: Any) -> Any:
        return {"type": "http.request"}

    async def ask(trace_id: str) -> None:
        headers = [(b"x-trace-id", trace_id.encode())]
        scope: Any = {"type": "http", "method": "GET", "path": "/asgi", "headers": headers}
        await TraceIdMiddleware(asgi)(scope, nothing, nothing)

    def wsgi(_: Any, start_response: Any) -> list[bytes]:
        paid()
        start_response("200 OK", [])
        return [b"done"]

    for trace_id in ids:
        asyncio.run(ask(trace_id))
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/wsgi", "HTTP_X_TRACE_ID": trace_id}
        body: Any = WsgiMiddleware(wsgi)(environ, lambda *_: lambda _: None)  # type: ignore[arg-type]
        list(body)
        body.close()
        task = TaskRun(trace_id, "id", task="t", queue=None, retries=0, quiet=False, bound={})
        begin(task)
        pipeline.started(task)
        task.finish("SUCCESS", seconds=0.1)
        end(task)

    lines = logged()
    for key, value in (("path", "/asgi"), ("path", "/wsgi"), ("task", "t")):
        own = [line for line in lines if line.get(key) == value]
        assert [*chosen] == [line["trace_id"] for line in own]
        assert 40 == sum(1 / line["keep_rate"] for line in own)
    assert 2 * len(chosen) == sum(line["event"] == "paid" for line in lines)
    calls = [line for line in lines if line["event"] == "llm.chat"]
    assert (240, 160) == tuple(
        sum(call[name] for call in calls) for name in ("input_tokens", "output_tokens")
    )


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_of_random_ids_the_rate_keeps_its_share(rate: float) -> None:
    """The count that is restored is within four standard errors."""
    numbers, ids = Random(16), 20_000  # noqa: S311 - no secret

    kept = sum(_is_chosen(f"{numbers.getrandbits(128):032x}", rate) for _ in range(ids))

    assert abs(kept / rate - ids) <= 4 * (ids * (1 - rate) / rate) ** 0.5


def test_what_is_written_whatever_the_rate_does_not_have_it(logged: Logged) -> None:
    """Failed requests are whole; of others the warnings are written, and LLM calls."""
    configure_logging(log_format="json", keep_rate=0)

    def work() -> None:
        shop.info("paid")
        shop.warning("late")
        with llm_call(model="m", operation="chat") as call:
            call.usage({"prompt_tokens": 3, "completion_tokens": 2})

    serve("well", work)
    serve("refused", work, 404)
    serve("failed", work, 500)

    lines = logged()
    assert ["late", "llm.chat"] == [line["event"] for line in lines if line["trace_id"] == "well"]
    assert ["late", "llm.chat", "request_finished"] == [
        line["event"] for line in lines if line["trace_id"] == "refused"
    ]
    assert ["late", "llm.chat", "paid", "request_finished"] == [
        line["event"] for line in lines if line["trace_id"] == "failed"
    ]
    assert 15 == sum(
        line["input_tokens"] + line["output_tokens"] for line in lines if "input_tokens" in line
    )
    assert all("keep_rate" not in line for line in lines)


def test_lines_after_the_requests_own_follow_its_decision(logged: Logged) -> None:
    """Lines of a trace that the rate keeps have the rate; those of a failed trace do not."""
    configure_logging(log_format="json", keep_rate=0.5)
    kept = next(f"id-{n}" for n in range(99) if share(f"id-{n}") < 0.5)
    dropped = next(f"id-{n}" for n in range(99) if share(f"id-{n}") >= 0.5)

    for trace_id, status in ((kept, 200), (dropped, 200), (dropped, 500)):
        serve(trace_id, lambda: None, status)
        left = Exchange(trace_id)
        begin(left)
        left.watch("GET", "/", "", frozenset())
        pipeline.started(left)
        left.started(status)
        left.complete()
        left.finish()
        shop.info("later")
        end(left)

    later = [line for line in logged() if line["event"] == "later"]
    assert [(kept, 0.5, None), (dropped, None, None)] == [
        (line["trace_id"], line.get("keep_rate"), line.get("recorded")) for line in later
    ]


def test_a_task_with_llm_calls_is_written_whatever_the_rate(logged: Logged) -> None:
    """Token and cost totals stay exact."""
    configure_logging(log_format="json", keep_rate=0)

    def run(work: Work) -> None:
        task = TaskRun("task-1", "id", task="t", queue=None, retries=0, quiet=False, bound={})
        begin(task)
        pipeline.started(task)
        work()
        task.finish("SUCCESS", seconds=0.1)
        end(task)

    def calls() -> None:
        with llm_call(model="m", operation="chat") as call:
            call.usage({"prompt_tokens": 3, "completion_tokens": 2})

    run(str)
    run(calls)

    lines = logged()
    assert ["llm.chat", "task_finished"] == [line["event"] for line in lines]
    assert "keep_rate" not in lines[1]


def test_a_field_of_the_applications_gives_way_to_ours(logged: Logged) -> None:
    """It is renamed, so that nothing is lost."""
    configure_logging(log_format="json", debug_on_error=True)

    request(lambda: orders.debug("taped", recorded="on tape"), status=500)

    first = logged()[0]
    assert (True, "on tape") == (first["recorded"], first["recorded_"])


def test_the_oldest_lines_of_a_request_go_first_and_are_counted(logged: Logged) -> None:
    """There is room for a number of lines and a number of characters."""
    configure_logging(log_format="json", debug_on_error=True)

    request(lambda: [shop.debug("line %d", n) for n in range(LINES + 5)], status=500)
    *recorded, own = logged()
    assert ["line 5", LINES, 5] == [recorded[0]["event"], len(recorded), own["lines_not_recorded"]]

    request(lambda: [orders.debug("x", n=n, text="x" * 20_000) for n in range(5)], status=500)
    *recorded, own = logged()
    assert ([2, 3, 4], 2) == ([line["n"] for line in recorded], own["lines_not_recorded"])

    request(lambda: (orders.debug("small"), orders.debug("x" * (TEXT + 1))), status=500)
    *recorded, own = logged()
    assert (["small"], 1) == ([line["event"] for line in recorded], own["lines_not_recorded"])


def memory_of_lines() -> int:
    """Count the traced memory that the code of logging has taken: other threads take some, too."""
    collect_garbage()
    code = ("*/pantheon_obs/*", "*/structlog/*", logging.__file__, __file__)
    filters = [tracemalloc.Filter(inclusive=True, filename_pattern=each) for each in code]
    taken = tracemalloc.take_snapshot().filter_traces(filters)
    return sum(statistic.size for statistic in taken.statistics("filename"))


def test_the_memory_is_flat_under_many_open_streams(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process has one limit, whatever the lines carry; the oldest of all go first."""
    most = MEMORY // 10  # `make soak` tries the whole
    monkeypatch.setattr(buffer, "MEMORY", most)
    configure_logging(log_format="json", debug_on_error=True)
    streams = [Exchange(f"stream-{number}") for number in range(100)]
    for stream in streams:
        begin(stream)
        stream.watch("GET", "/", "", frozenset())
        pipeline.started(stream)
        end_later = current_trace.get()
        assert end_later is stream

    def talk(rounds: int) -> None:
        for _ in range(rounds):
            for stream in streams:
                current_trace.set(stream)
                orders.debug("chunk", size=3, text="x" * 100)
                shop.debug("chunk %d of %s", 3, ["a", "b"], extra={"left": 2})

    tracemalloc.start()
    talk(13)
    full = memory_of_lines()
    talk(10)
    later = memory_of_lines()
    tracemalloc.stop()

    assert full <= most
    # A deque takes and frees its memory in blocks of 64 items.
    assert later < full + len(streams) * 600
    assert any(stream.recording.dropped for stream in streams)
    for stream in streams:
        stream.recording.over = True
        stream.recording.take()
        end(stream, suspended=True)
    current_trace.set(None)
    assert [] == logged()
    assert 0 == buffer.memory.used


def test_a_line_that_comes_while_another_thread_decides_is_not_left_behind() -> None:
    """It is taken out again by the code that has put it in."""
    configure_logging(log_format="json", debug_on_error=True)
    exchange = Exchange("late")
    pipeline.started(exchange)
    exchange.recording.over = True

    exchange.recording.buffer(logging.LogRecord("", 10, "", 1, "late", (), None), 4)

    assert (0, 0) == (len(exchange.recording.lines), buffer.memory.used)


def test_a_line_that_others_have_taken_out_is_not_taken_twice() -> None:
    """Two threads may take the lines of a request out at once."""
    configure_logging(log_format="json", debug_on_error=True)
    exchange = Exchange("shared")
    pipeline.started(exchange)
    recording = exchange.recording
    for _ in range(2):
        recording.buffer(logging.LogRecord("", 10, "", 1, "text", (), None), 4)
    first, second = recording.lines
    buffer.drop(first)
    buffer.drop(first)
    assert 1 == recording.dropped
    assert [second] == recording.take()
    recording.lines.append(second)
    assert [] == recording.take()
    assert [] == buffer.take_all()


def test_the_tasks_of_a_request_that_has_ended_follow_its_decision(logged: Logged) -> None:
    """They have its trace for a while."""
    configure_logging(log_format="json", debug_on_error=True, keep_rate=0)
    exchange = Exchange("ended")
    begin(exchange)
    exchange.watch("GET", "/", "", frozenset())
    pipeline.started(exchange)
    exchange.started(500)
    exchange.finish()
    end(exchange)
    current_trace.set(exchange)

    details()

    current_trace.set(None)
    assert ["request_finished", "paid"] == [line["event"] for line in logged()]


def test_a_line_that_carries_its_request_has_the_fields_of_that(logged: Logged) -> None:
    """Whether it is kept aside as a record or as an entry."""
    configure_logging(log_format="json", debug_on_error=True, keep_rate=0)
    carried = Exchange("carried-1")
    carried.method, carried.path, carried.bound = "GET", "/carried", {"user": "ann"}
    view = type("Request", (), {})()
    leave_on(view, carried)

    def work() -> None:
        shop.debug("seen", extra={"request": view})
        shop.info("seen", extra={"request": view})

    request(work, status=500)

    assert [("carried-1", "GET /carried", "ann")] * 2 == [
        (line["trace_id"], line["request"], line["user"])
        for line in logged()
        if line["event"] == "seen"
    ]


def test_a_record_that_was_made_whatever_the_level_is_for_all(logged: Logged) -> None:
    """Outside of a request it goes the way of all records."""
    configure_logging(log_format="json", debug_on_error=True)

    with another_handler() as seen:
        shop._log(logging.DEBUG, "made by hand", ())  # noqa: SLF001 - as some libraries do

    assert ["made by hand"] == seen == [line["event"] for line in logged()]


def test_threads_and_requests_do_not_disturb_one_another(logged: Logged) -> None:
    """Each failed request has its own lines, all of them, in order."""
    configure_logging(log_format="json", debug_on_error=True)

    def work(name: str) -> None:
        for _ in range(5):
            serve(name, lambda: [shop.debug("%s %d", name, n) for n in range(20)], 500)

    threads = [Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    lines = logged()
    for number in range(4):
        mine = [line["event"] for line in lines if line["trace_id"] == f"t{number}"]
        expected = [*(f"t{number} {n}" for n in range(20)), "request_finished"]
        assert expected * 5 == mine


def test_an_end_without_an_event_writes_what_is_kept_aside(logged: Logged) -> None:
    """Nobody can say that it has ended well."""
    configure_logging(log_format="json", debug_on_error=True)
    exchange = Exchange("lost")
    begin(exchange)
    pipeline.started(exchange)
    shop.debug("kept")
    end(exchange)

    assert [("debug", "kept", True)] == told(logged())


def test_a_line_that_cannot_be_written_harms_no_other(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record may have become anything by then."""
    configure_logging(log_format="json", debug_on_error=True)

    def work() -> None:
        shop.debug("broken")
        recording = current_trace.get().recording  # type: ignore[union-attr]
        del recording.lines[0].line.__dict__["msg"]
        shop.debug("whole")

    request(work, status=500)

    lines = [line for line in logged() if line["event"] != "telemetry_failed"]
    assert [("debug", "whole", True), ("error", "request_finished", False)] == told(lines)
    assert "recorder" in reported()


def test_configuring_again_without_it_writes_what_is_kept_aside(logged: Logged) -> None:
    """Requests that run then are as without the recorder."""
    configure_logging(log_format="json", debug_on_error=True)

    def work() -> None:
        shop.debug("before")
        configure_logging(log_format="json")
        shop.debug("after")

    request(work)

    assert [("debug", "before", True), ("info", "request_finished", False)] == told(logged())


def test_the_recorder_works_on_wsgi(logged: Logged) -> None:
    """The body may log, too; its lines come before the request's own."""
    configure_logging(log_format="json", debug_on_error=True)

    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        shop.debug("begun")
        start_response("200 OK", [])

        def body() -> Iterator[bytes]:
            yield b"one"
            shop.debug("in the body")
            raise KeyError

        return body()

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.input": None}
    answer = WsgiMiddleware(app)(environ, lambda *_: lambda _: None)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        list(answer)
    answer.close()  # type: ignore[attr-defined]

    assert [
        ("debug", "begun", True),
        ("debug", "in the body", True),
        ("error", "request_finished", False),
    ] == told(logged())


def test_an_event_that_travels_as_a_record_is_kept_aside(logged: Logged) -> None:
    """Another handler does not see it, and our line has its fields."""
    configure_logging(log_format="json", debug_on_error=True)

    with another_handler() as seen:
        request(lambda: orders.debug("reserved", order=7), status=500)

    first = logged()[0]
    assert (7, True) == (first["order"], first["recorded"])
    assert ["request_finished"] == seen


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("abc", 3, 3),
        (b"bytes", 5, 5),
        (10**300, 300, 340),
        (None, 1, 20),
        (True, 1, 20),
        (1.5, 1, 20),
        (object(), 100, 1000),
        ({"a": "x" * 50}, 50, 100),
        (["x" * 50] * 1000, 50_000, 60_000),
        ({"x" * 50}, 50, 60),
        (frozenset({"x"}), 1, 10),
        ([[[[[["deep"]]]]]], 100, 1000),
    ],
)
def test_the_size_of_a_value_is_estimated(value: object, least: int, most: int) -> None:
    """A long container is looked at in part, and an object of any class counts as one."""
    assert least <= text_size(value) <= most
