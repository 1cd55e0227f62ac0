"""Run the Django service under gunicorn with Postgres and Redis, and send it requests."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from examples.databases import Database, MissingProgramError, Postgres, Redis
from examples.demo_checks import Call, Line, Tour, check, parse
from examples.demo_client import ask, client_of, show, wait_for_line, wait_until_it_answers
from examples.demo_table import GREEN, GREY, say, say_head, say_row
from examples.processes import RECORDER, manage, start_django, start_provider, start_worker

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE = "Django under gunicorn"
CHAT = "/api/v1/chat/"
STREAM = "/api/v1/chat/stream/"
LIVE = "/api/v1/health/live/"
READY = "/api/v1/health/ready/"
KEPT = "/api/v1/conversations/demo/"
SUMMARY = f"{KEPT}summary/"
SECONDS_TO_WORK = 120

# All probes that wait for a status bring the same id, so that their log lines can be found.
CALLS = [
    Call("is it alive?", LIVE, is_probe=True),
    Call("is it ready?", READY, sent_id="probe-first", is_probe=True, polls=True),
    Call("own request id", "/nowhere/", sent_id="my-custom-id", sent_as="X-Request-ID", status=404),
    Call("hostile id: too long", "/nowhere/", sent_id="x" * 129, refused=True, status=404),
    Call(
        "chat, a slow model",
        CHAT,
        ask("local?first_ms=300"),
        llm_outcomes=("ok",),
        event="chat_answered",
        slow_part="llm",
    ),
    Call("the same again, cached", CHAT, ask("local?first_ms=300"), event="chat_answered"),
    Call(
        "chat, the provider fails",
        CHAT,
        ask("local?fail=500"),
        status=502,
        llm_outcomes=("error",),
        detail="question_received",
    ),
    Call("read from the database", KEPT, event="conversation_read"),
    Call("stream", STREAM, ask("local?chunk_ms=50"), llm_outcomes=("ok",)),
    Call(
        "stream, the client leaves",
        STREAM,
        ask("local?chunk_ms=1000"),
        disconnects=True,
        outcome="client_disconnected",
        llm_outcomes=("cancelled", "closed"),
    ),
    Call("stream, the provider cuts it", STREAM, ask("local?fail=cut"), llm_outcomes=("error",)),
    Call("an invalid body", CHAT, {}, status=400),
    Call("500", "/sentry-debug/", status=500, outcome="error", shows=True),
]

DATABASE_STOPPED = [
    Call(
        "not ready any more",
        READY,
        sent_id="probe-stopped",
        status=503,
        event="health_check_failed",
        is_probe=True,
        polls=True,
    ),
    Call("still alive", LIVE, is_probe=True),
    Call("a read without the database", KEPT, status=500, outcome="error"),
]
DATABASE_BACK = [
    Call(
        "ready again",
        READY,
        sent_id="probe-back",
        event="health_check_recovered",
        is_probe=True,
        polls=True,
    ),
    Call("read from the database", KEPT, event="conversation_read"),
]
IN_A_WORKER = Call(
    "a summary, made by the worker",
    SUMMARY,
    {"model_alias": "local"},
    sent_id="summary-1",
    status=202,
)
TASK = ["llm.generate", "conversation_summarised", "task_finished"]
JOB = ["conversation_forgotten", "forgetting_finished"]


def run() -> Tour:
    """Start the provider, the databases and the service, send all requests, stop everything."""
    left_out: list[str] = []
    say("Starting ", end="")
    with ExitStack() as stack:
        provider = _step("the provider", lambda: stack.enter_context(start_provider()))
        postgres = _step("Postgres", lambda: _database(Postgres, stack, left_out))
        redis = _step("Redis", lambda: _database(Redis, stack, left_out))
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        env = {
            "DATABASE_URL": postgres.url if postgres else f"sqlite:///{directory}/db.sqlite3",
            "REDIS_URL": redis.url if redis else "",
            **RECORDER,
        }
        migrate = ("migrate", "--verbosity", "0", "--skip-checks")
        job_lines = _step("the tables", lambda: manage(*migrate, env=env))
        worker = None
        if redis:
            worker = stack.enter_context(start_worker(provider.url, env=env))
        else:
            left_out.append("Celery: there is no broker")
        app = _step("gunicorn", lambda: stack.enter_context(start_django(provider.url, env=env)))
        client = stack.enter_context(client_of(app))
        wait_until_it_answers(client, LIVE)
        say("ready.")

        say_head(TITLE)
        exchanges = [show(app, client, call) for call in CALLS]
        if worker:
            exchanges.append(show(app, client, IN_A_WORKER))
            wait_for_line(worker, "task_finished", exchanges[-1], SECONDS_TO_WORK)
            _show_task(worker.lines)
        if postgres:
            say("Postgres is stopped", GREY)
            postgres.stop()
            exchanges += [show(app, client, call) for call in DATABASE_STOPPED]
            say("Postgres is started again", GREY)
            postgres.start()
            exchanges += [show(app, client, call) for call in DATABASE_BACK]
        job = manage("forget", "--skip-checks", env=env)
        say_row("a job: manage.py forget", f"{len(job)} log lines with one id", GREEN)
    return Tour(
        exchanges,
        app.lines,
        job_lines=job_lines + job,
        worker_lines=worker.lines if worker else [],
        left_out=left_out,
    )


def _database(kind: type[Database], stack: ExitStack, left_out: list[str]) -> Database | None:
    try:
        return stack.enter_context(kind())
    except MissingProgramError as error:
        left_out.append(f"{kind.__name__}: {error}")
        return None


_T = TypeVar("_T")


def _step(name: str, start: Callable[[], _T]) -> _T:
    """Print the name of a process, and start it."""
    say(f"{name} ... ", end="")
    return start()


def _show_task(lines: list[str]) -> None:
    """Print the row of the task that the worker has finished."""
    task = next(line for line in parse(lines, []) if line["event"] == "task_finished")
    say_row("  its task", f"{task['state']}, with the id of its request", GREEN, task)


def problems_of(tour: Tour) -> list[str]:
    """Return the problems of this part, one sentence each."""
    problems = check(tour.exchanges, tour.lines)
    problems += [
        f"{exchange.call.name}: X-Request-ID {exchange.request_ids} is not the X-Trace-ID"
        for exchange in tour.exchanges
        if exchange.request_ids != exchange.trace_ids
    ]
    job_lines = parse(tour.job_lines, problems)
    worker_lines = parse(tour.worker_lines, problems)
    problems += [
        f"request_id is not the trace_id: {line}"
        for line in parse(tour.lines, []) + job_lines + worker_lines
        if line.get("request_id") != line.get("trace_id")
    ]
    problems += _problems_of_tasks(tour, worker_lines)
    job = [line for line in job_lines if line["logger"].startswith("examples.")]
    ids = {line.get("trace_id") for line in job}
    if [line["event"] for line in job] != JOB or len(ids) != 1 or None in ids:
        problems.append(f"the job has other lines than {JOB}, or they do not share an id: {job}")
    return problems


def _problems_of_tasks(tour: Tour, lines: list[Line]) -> list[str]:
    """Check the worker's log lines about the task; they must have the id of its request."""
    problems = []
    for exchange in tour.exchanges:
        if exchange.call is IN_A_WORKER:
            own = [line for line in lines if line.get("trace_id") in exchange.trace_ids]
            task = [line for line in own if not line["logger"].startswith("celery.")]
            last = task[-1] if task else {}
            if [line["event"] for line in task] != TASK or last.get("state") != "SUCCESS":
                problems.append(f"the task has other lines than {TASK}, or did not succeed: {own}")
    return problems
