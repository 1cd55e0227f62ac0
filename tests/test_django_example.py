"""The Django example runs under gunicorn, with real Postgres and Redis.

The first tests are the four points of the seed's "Final Verification Criteria".
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from examples.processes import Server, manage, start_django, start_provider, start_worker
from tests.sinks.receiver import Receiver
from tests.support.examples import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    QUESTION,
    ask,
    client_of,
    events_of,
    iter_until_data,
    story_of,
)
from tests.support.lines import parse_line
from tests.support.server import environment, uvicorn, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from examples.databases import Database, Postgres, Redis

    Databases = dict[str, Database]

pytest.importorskip("django")
pytest.importorskip("celery")
pytest.importorskip("starlette")  # for the local provider

CHAT = "/api/v1/chat/"
STREAM = "/api/v1/chat/stream/"
KEPT = "/api/v1/conversations/about-local/"
SUMMARY = f"{KEPT}summary/"
LIVE = "/api/v1/health/live/"
READY = "/api/v1/health/ready/"


@pytest.fixture(scope="module")
def clients() -> None:
    """Skip tests that need the clients of the databases, where one is missing."""
    pytest.importorskip("psycopg")
    pytest.importorskip("redis")


@pytest.fixture(scope="module")
def databases(clients: None, postgres: Postgres, redis_server: Redis) -> Databases:
    """Name the servers of the project."""
    return {"postgres": postgres, "redis": redis_server}


@pytest.fixture(scope="module")
def env(databases: Databases) -> dict[str, str]:
    """Create the tables, and return the variables that name the databases."""
    env = {"DATABASE_URL": databases["postgres"].url, "REDIS_URL": databases["redis"].url}
    manage("migrate", "--skip-checks", env=env)
    return env


@pytest.fixture(scope="module")
def provider() -> Iterator[Server]:
    """Run the local provider."""
    with start_provider() as server:
        yield server


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Run the receiver that the service's DSN points to."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def service(provider: Server, env: dict[str, str], receiver: Receiver) -> Iterator[Server]:
    """Run the service under gunicorn, with its databases, provider and receiver."""
    pytest.importorskip("sentry_sdk")
    with start_django(provider.url, env={**env, "SENTRY_DSN": receiver.dsn}) as server:
        yield server


@pytest.fixture(scope="module")
def worker(provider: Server, env: dict[str, str]) -> Iterator[Server]:
    """Run the service's Celery worker."""
    with start_worker(provider.url, env=env) as server:
        yield server


@pytest.fixture(scope="module")
def client(service: Server) -> Iterator[httpx.Client]:
    """Open a client of the service."""
    with client_of(service) as client:
        yield client


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Create the tables in SQLite, and return the variables of a service without servers."""
    file = tmp_path_factory.mktemp("sqlite") / "db.sqlite3"
    env = {"DATABASE_URL": f"sqlite:///{file}", "REDIS_URL": ""}
    manage("migrate", "--skip-checks", env=env)
    return env


def test_each_line_of_a_request_is_one_json_object_with_its_request_id(
    service: Server, client: httpx.Client
) -> None:
    """Criterion 1: all output is JSON, and the response has the id of its log lines."""
    response = client.post(CHAT, json=ask("local?"))

    request_id = response.headers["x-request-id"]
    assert request_id == response.headers["x-trace-id"]
    events = events_of(service, request_id)
    assert ["llm.generate", "chat_answered", "request_finished"] == [
        event["event"] for event in events
    ]
    assert {request_id} == {event["request_id"] for event in events}
    assert {"chat"} == {event["service"] for event in events}
    assert [parse_line(line.encode()) for line in list(service.lines)]


def test_an_error_arrives_at_sentry_once_with_the_id_of_its_response(
    service: Server, client: httpx.Client, receiver: Receiver
) -> None:
    """Criterion 2: the ZeroDivisionError of the debug URL is one event with context and tag."""
    responses = [client.get("/sentry-debug/", headers=named(name)) for name in ("bug", "again")]

    assert [500, 500] == [response.status_code for response in responses]
    assert ["bug", "again"] == [response.headers["x-request-id"] for response in responses]
    wait_until(lambda: sent_about(receiver, "again"))  # events are sent in order
    [event] = sent_about(receiver, "bug")
    assert ["ZeroDivisionError"] == [error["type"] for error in event["exception"]["values"]]
    assert "/sentry-debug/" == event["transaction"]
    assert "bug" == event["tags"]["trace_id"]
    events = events_of(service, "bug")
    assert 1 == sum("exception" in event for event in events)
    assert ("error", "ZeroDivisionError") == (events[-1]["outcome"], events[-1]["error_type"])


def named(name: str) -> dict[str, str]:
    """Make the header that gives a request this id."""
    return {"X-Request-ID": name}


def sent_about(receiver: Receiver, trace_id: str) -> list[dict[str, Any]]:
    """Find the Sentry events that are tagged with this id."""
    return [event for event in receiver.events if event["tags"]["trace_id"] == trace_id]


def wait_for_status(client: httpx.Client, path: str, status: int) -> None:
    """Send requests until the status matches: readiness is cached for a second."""
    wait_until(lambda: client.get(path).status_code == status)


WITHOUT_DJANGO = """
import sys
from flask import Flask
from pantheon_obs import instrument
instrument(Flask("shop"), sentry_dsn="http://public@127.0.0.1:9/1")
from sentry_sdk import get_client
print(sorted({"django", "flask"} & get_client().integrations.keys()), file=sys.stderr)
"""


def test_sentry_treats_a_service_without_django_as_one() -> None:
    """Sentry imports parts of an installed Django itself; the application has not imported it."""
    pytest.importorskip("sentry_sdk")
    pytest.importorskip("flask")
    command = [sys.executable, "-c", WITHOUT_DJANGO]

    run = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)

    assert "['flask']\n" == run.stderr


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_readiness_follows_a_database_and_liveness_does_not(
    client: httpx.Client, databases: Databases, name: str
) -> None:
    """Criterion 3: readiness is 503 while a database is stopped; liveness is always 200."""
    wait_for_status(client, READY, 200)
    assert 200 == client.get(LIVE).status_code
    client.post(CHAT, json=ask("local"))  # the service keeps a connection open from now on

    databases[name].stop()
    try:
        wait_for_status(client, READY, 503)
        assert 200 == client.get(LIVE).status_code
    finally:
        databases[name].start()

    wait_for_status(client, READY, 200)
    assert 200 == client.get(LIVE).status_code
    assert 200 == client.get(KEPT).status_code


def test_request_finished_has_latency_and_status_of_each_endpoint(
    service: Server, client: httpx.Client
) -> None:
    """Criterion 4: each request has one such log event, errors included, and a probe has none."""
    requests = [
        ("POST", CHAT, "api/v1/chat/", 200),
        ("GET", KEPT, "api/v1/conversations/<slug:conversation_id>/", 200),
        ("GET", CHAT, "api/v1/chat/", 405),
        ("GET", "/nowhere", None, 404),
        ("GET", "/sentry-debug/", "sentry-debug/", 500),
    ]
    probe = client.get(READY)
    answers = [
        client.request(method, path, json=ask("local") if method == "POST" else None)
        for method, path, _, _ in requests
    ]

    for answer, (method, path, route, status) in zip(answers, requests, strict=True):
        assert status == answer.status_code
        [line] = [
            event
            for event in events_of(service, answer.headers["x-request-id"])
            if event["event"] == "request_finished"
        ]
        assert (method, path, status) == (line["method"], line["path"], line["status_code"])
        assert route == line.get("route", "").removeprefix("/") or route is line.get("route")
        assert line["latency_ms"] > 0
    assert not [line for line in service.lines if probe.headers["x-request-id"] in line]


def test_an_answer_from_the_cache_makes_no_llm_call(service: Server, client: httpx.Client) -> None:
    """A repeated question is answered without the model, and its log event counts no call."""
    body = ask("local?first_ms=1")
    client.post(CHAT, json=body)
    answer = client.post(CHAT, json=body, headers=named("cached"))

    assert QUESTION == answer.json()["answer"]
    finished = events_of(service, "cached")[-1]
    assert "llm_calls" not in finished


def test_the_lines_of_a_task_are_under_the_id_of_the_request_that_sent_it(
    service: Server, worker: Server, client: httpx.Client
) -> None:
    """The worker logs the task's LLM call and its end under the id of the request."""
    client.post(CHAT, json=ask("local"))

    answer = client.post(SUMMARY, json={"model_alias": "local"}, headers=named("summary"))

    assert 202 == answer.status_code
    wait_until(lambda: any("task_finished" in line for line in worker.lines))
    lines = [parse_line(line.encode()) for line in list(worker.lines)]
    own = [line for line in lines if not line["logger"].startswith("celery.")]
    received, call, text, finished = [line for line in lines if line.get("request_id") == "summary"]
    assert [call, text, finished] == [line for line in own if "trace_id" in line]
    assert answer.json()["task_id"] == finished["task_id"] == received["task_id"]
    assert ("llm.generate", "conversation_summarised") == (call["event"], text["event"])
    assert ("SUCCESS", 0, "celery") == (finished["state"], finished["retries"], finished["queue"])
    assert (1, call["input_tokens"]) == (finished["llm_calls"], finished["llm_input_tokens"])
    assert {"about-local"} == {line["conversation_id"] for line in (call, text, finished)}
    assert client.get(KEPT).json()["summary"].startswith("Sum up:")
    assert ["request_finished"] == [line["event"] for line in events_of(service, "summary")]


def test_a_provider_that_fails_is_an_error_of_the_call_and_a_handled_502(
    service: Server, client: httpx.Client
) -> None:
    """The failing call is an ERROR event; the request that handles it is `ok`."""
    answer = client.post(CHAT, json=ask("local?fail=500"), headers=named("fails"))

    assert 502 == answer.status_code
    call, finished = story_of(service, "fails")
    assert ("error", "InternalServerError") == (call["outcome"], call["error_type"])
    assert ("ok", 1) == (finished["outcome"], finished["llm_errors"])


def test_a_stream_under_wsgi_arrives_piece_by_piece_and_is_counted_after_the_last(
    service: Server, client: httpx.Client
) -> None:
    """The LLM call is one event before the request's event, which has the times of a stream."""
    body = ask("local?chunk_ms=20")
    answer = client.post(STREAM, json=body, headers=named("stream"))

    assert len(QUESTION.split()) == answer.text.count("event: piece")
    assert_recorded_as_a_stream(*story_of(service, "stream"))


def assert_recorded_as_a_stream(call: dict[str, Any], finished: dict[str, Any]) -> None:
    """Check the events of a call that was streamed to its end and of its request."""
    assert ("llm.stream", "ok") == (call["event"], call["outcome"])
    assert len(QUESTION.split()) == call["chunks"]
    assert (INPUT_TOKENS, OUTPUT_TOKENS) == (call["input_tokens"], call["output_tokens"])
    assert "ok" == finished["outcome"]
    assert OUTPUT_TOKENS == finished["llm_output_tokens"]
    assert finished["ttfb_ms"] < finished["latency_ms"]


def test_a_client_that_leaves_a_stream_is_recorded(service: Server, client: httpx.Client) -> None:
    """gunicorn notices the disconnect when it writes; both events record the end."""
    body = ask("local?chunk_ms=100")
    with client.stream("POST", STREAM, json=body, headers=named("leaves")) as answer:
        data = [line for line in iter_until_data(answer) if line.startswith("data:")]

    assert ['data: {"text": "one"}'] == data
    call, finished = story_of(service, "leaves")
    assert call["outcome"] in ("cancelled", "closed")
    assert "client_disconnected" == finished["outcome"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"message": ""}', b"\xff"])
def test_a_body_that_is_no_question_is_a_400(client: httpx.Client, body: bytes) -> None:
    """Anything but an object with a message is the client's error."""
    assert 400 == client.post(CHAT, content=body).status_code


def test_the_project_logs_the_same_under_asgi(provider: Server, sqlite: dict[str, str]) -> None:
    """Under uvicorn responses have both ids, and each request has one log event."""
    models = {"OPENAI_API_KEY": "local", "OPENAI_BASE_URL": provider.url, "no_proxy": "127.0.0.1"}
    with uvicorn("examples.django_app.asgi:application", env={**sqlite, **models}) as server:
        with client_of(server) as client:
            wait_for_status(client, READY, 200)
            answers = {
                "chat": client.post(CHAT, json=ask("local"), headers=named("chat")),
                "stream": client.post(STREAM, json=ask("local"), headers=named("stream")),
                "kept": client.get(KEPT, headers=named("kept")),
                "summary": client.post(SUMMARY, headers=named("summary")),
                "fails": client.get("/sentry-debug/", headers=named("fails")),
                "live": client.get(LIVE, headers=named("live")),
                "ready": client.get(READY, headers=named("ready")),
            }
        server.wait_for(lambda: any("request_finished" in x and "fails" in x for x in server.out))
        server.stop()

    assert [] == server.err
    lines = [parse_line(line.encode()) for line in server.out]
    for name, answer in answers.items():
        assert {"fails": 500, "summary": 202}.get(name, 200) == answer.status_code
        assert name == answer.headers["x-request-id"] == answer.headers["x-trace-id"]
    finished = {line["request_id"]: line for line in lines if line["event"] == "request_finished"}
    assert ["chat", "stream", "kept", "summary", "fails"] == list(finished)
    # Without a broker the task runs in the request, so the request counts its LLM call.
    assert 1 == finished["summary"]["llm_calls"]
    [task] = [line for line in lines if line["event"] == "task_finished"]
    assert ("summary", "SUCCESS") == (task["request_id"], task["state"])
    [call] = [line for line in lines if line["event"] == "llm.stream"]
    assert_recorded_as_a_stream(call, finished["stream"])
    assert ["fails"] == [line["request_id"] for line in lines if "exception" in line]


def test_the_lines_of_a_management_command_share_an_id(
    client: httpx.Client, env: dict[str, str]
) -> None:
    """A job has an id of its own on each of its log lines."""
    client.post(CHAT, json=ask("local"))

    lines = [parse_line(line.encode()) for line in manage("forget", "--skip-checks", env=env)]

    job = [line for line in lines if line["logger"].startswith("examples.")]
    assert ["conversation_forgotten", "forgetting_finished"] == [line["event"] for line in job]
    [trace_id] = {line["trace_id"] for line in job}
    assert {trace_id} == {line["request_id"] for line in job}


def test_django_finds_no_problem_in_the_project(sqlite: dict[str, str]) -> None:
    """System checks pass, and the migrations match the models."""
    output = manage("makemigrations", "--check", env=sqlite)

    assert "No changes detected" == output[-1]
    assert not [line for line in output if "WARNINGS" in line]
