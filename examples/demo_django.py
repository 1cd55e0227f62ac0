"""Run the Django service under gunicorn with Postgres and Redis, and send it requests."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack

from examples.databases import Database, MissingProgramError, Postgres, Redis
from examples.demo_checks import Call, Line, Tour, check, parse
from examples.demo_client import ask, client_of, say, show, wait_for_line
from examples.processes import manage, start_django, start_provider, start_worker

TITLE = "Django under gunicorn"
CHAT = "/api/v1/chat/"
STREAM = "/api/v1/chat/stream/"
LIVE = "/api/v1/health/live/"
READY = "/api/v1/health/ready/"
KEPT = "/api/v1/conversations/demo/"
SUMMARY = f"{KEPT}summary/"
SECONDS_TO_WORK = 10

# All probes that wait for a status bring the same id, so that their log lines can be found.
CALLS = [
    Call("is it alive?", LIVE, is_probe=True),
    Call("is it ready?", READY, sent_id="probe-first", is_probe=True, polls=True),
    Call("own request id", "/nowhere/", sent_id="my-custom-id", sent_as="X-Request-ID", status=404),
    Call("hostile id: too long", "/nowhere/", sent_id="x" * 129, refused=True, status=404),
    Call("chat", CHAT, ask("local"), llm_outcomes=("ok",), event="chat_answered"),
    Call("the same again, from the cache", CHAT, ask("local"), event="chat_answered"),
    Call(
        "chat, the provider fails",
        CHAT,
        ask("local?fail=500"),
        status=502,
        llm_outcomes=("error",),
    ),
    Call("read from the database", KEPT, event="conversation_read"),
    Call("stream", STREAM, ask("local?chunk_ms=50"), llm_outcomes=("ok",)),
    Call(
        "stream, the client leaves",
        STREAM,
        ask("local?chunk_ms=250"),
        disconnects=True,
        outcome="client_disconnected",
        llm_outcomes=("cancelled", "closed"),
    ),
    Call("stream, the provider cuts it", STREAM, ask("local?fail=cut"), llm_outcomes=("error",)),
    Call("an invalid body", CHAT, {}, status=400),
    Call("500", "/sentry-debug/", status=500, outcome="error"),
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
    Call("a request that needs the database", KEPT, status=500, outcome="error"),
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
    with ExitStack() as stack:
        provider = stack.enter_context(start_provider())
        postgres = _database(Postgres, stack, left_out)
        redis = _database(Redis, stack, left_out)
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        env = {
            "DATABASE_URL": postgres.url if postgres else f"sqlite:///{directory}/db.sqlite3",
            "REDIS_URL": redis.url if redis else "",
        }
        job_lines = manage("migrate", "--verbosity", "0", "--skip-checks", env=env)
        worker = None
        if redis:
            worker = stack.enter_context(start_worker(provider.url, env=env, on_line=_show_line))
        else:
            left_out.append("Celery: there is no broker")
        app = stack.enter_context(start_django(provider.url, env=env, on_line=_show_line))
        client = stack.enter_context(client_of(app))

        exchanges = [show(app, client, call) for call in CALLS]
        if worker:
            exchanges.append(show(app, client, IN_A_WORKER))
            wait_for_line(worker, "task_finished", exchanges[-1], SECONDS_TO_WORK)
        if postgres:
            say("\nPostgres is stopped")
            postgres.stop()
            exchanges += [show(app, client, call) for call in DATABASE_STOPPED]
            say("\nPostgres is started again")
            postgres.start()
            exchanges += [show(app, client, call) for call in DATABASE_BACK]
        say("\na job: manage.py forget")
        job = manage("forget", "--skip-checks", env=env)
        for line in job:
            _show_line(line)
        say("\nstop")
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


def _show_line(line: str) -> None:
    say(f"    {line}")


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
