"""The off switch: nothing is traced, logged, patched or sent, and health endpoints still answer."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.config
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog

import pantheon_obs
from pantheon_obs import (
    Health,
    Settings,
    TraceIdMiddleware,
    configure_logging,
    current_trace_id,
    init_sentry,
    instrument,
    instrument_celery,
    instrument_llm,
    llm_call,
    logging_config,
    propagate,
    trace_context,
)
from pantheon_obs.adapters import wsgi
from pantheon_obs.testing import capture_events
from tests.logs.running import run
from tests.servers.matrix import client_of
from tests.support import django
from tests.support.server import Server, gunicorn, uvicorn
from tests.test_instrument_mistakes import FRAMEWORKS, make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ON = {"PANTHEON_OBS_DISABLED": "1"}
PACKAGED = Path(pantheon_obs.__file__).parent / "log_config.json"
IDS = ("x-trace-id", "x-request-id")
LINE = "INFO pantheon_obs observability_disabled reason='PANTHEON_OBS_DISABLED is set'"


@pytest.fixture
def off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn the library off by the variable."""
    monkeypatch.setenv("PANTHEON_OBS_DISABLED", "1")


def set_up() -> tuple[Any, ...]:
    """Describe the library's changes to a process."""
    root = logging.getLogger()
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)
    return (*root.handlers, root.level, *hooks, structlog.get_config()["processors"])


@pytest.mark.usefixtures("off")
@pytest.mark.parametrize("framework", FRAMEWORKS, ids=[name for _, name, _ in FRAMEWORKS])
def test_an_application_stays_as_it_is(framework: Any) -> None:
    """It is returned untouched, and nothing of the process is changed."""
    app = make(*framework)
    attributes = {
        name: getattr(app, name) for name in ("__dict__", "asgi_handler") if hasattr(app, name)
    }
    before, state = {name: str(value) for name, value in attributes.items()}, set_up()

    assert app is instrument(app, Settings(service="shop"), log_level="DEBUG")

    assert before == {name: str(getattr(app, name)) for name in before}
    assert state == set_up()


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the id of the trace."""
    body = current_trace_id.get().encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def answer_wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer with the id of the trace."""
    start_response("200 OK", [])
    return [current_trace_id.get().encode()]


@pytest.mark.usefixtures("off")
def test_a_callable_is_not_wrapped() -> None:
    """It is returned itself, for either protocol."""
    assert plain is instrument(plain)
    assert answer_wsgi is instrument(answer_wsgi)


def ask_asgi(app: Any, path: str) -> httpx.Response:
    """Send a request in this process."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path, headers={"X-Trace-ID": "theirs"})

    return asyncio.run(ask())


def ask_wsgi(app: Any, path: str) -> httpx.Response:
    """Send a request in this process."""
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test") as client:
        return client.get(path, headers={"X-Trace-ID": "theirs"})


SERVED = [
    pytest.param(lambda: plain, ask_asgi, id="asgi"),
    pytest.param(lambda: answer_wsgi, ask_wsgi, id="wsgi"),
    *(
        pytest.param(
            lambda row=row: make(*row), ask_wsgi if row[1] == "Flask" else ask_asgi, id=row[1]
        )
        for row in FRAMEWORKS
    ),
]


@pytest.mark.usefixtures("off")
@pytest.mark.parametrize(("app_of", "ask"), SERVED)
def test_health_endpoints_still_answer(
    app_of: Callable[[], Any], ask: Callable[[Any, str], httpx.Response]
) -> None:
    """The orchestrator needs them; every other request passes untouched."""
    with capture_events() as events:
        app = instrument(app_of(), health=Health(database=lambda: None))
        assert app is instrument(app, health=True)
        ready, live = ask(app, "/health/ready"), ask(app, "/health/live/")
        other = [ask(app, "/nowhere") for _ in range(2)]

    assert {"database"} == set(ready.json()["checks"])
    assert {"status": "pass"} == live.json()
    assert [None, None] == [response.headers.get("x-trace-id") for response in (ready, *other[:1])]
    assert b"theirs" not in other[1].content
    assert [] == events


@pytest.mark.usefixtures("off")
@pytest.mark.parametrize(
    ("wrap", "ask"),
    [
        pytest.param(lambda: TraceIdMiddleware(plain), ask_asgi, id="asgi"),
        pytest.param(lambda: wsgi.TraceIdMiddleware(answer_wsgi), ask_wsgi, id="wsgi"),
    ],
)
def test_the_middleware_by_hand_passes_everything_on(wrap: Any, ask: Any) -> None:
    """No response has an id, and no request a trace."""
    app = wrap()
    for _ in range(2):
        response = ask(app, "/")
        assert (200, b"", None) == (
            response.status_code,
            response.content,
            response.headers.get("x-trace-id"),
        )


@pytest.mark.usefixtures("off")
def test_a_lifespan_passes_the_middleware() -> None:
    """With the messages of the server itself."""
    seen: list[Any] = []

    async def app(*connection: Any) -> None:
        seen.extend(connection)

    connection = ({"type": "lifespan"}, object(), object())
    asyncio.run(TraceIdMiddleware(app)(*connection))  # type: ignore[arg-type]

    assert [*connection] == seen


@pytest.mark.usefixtures("off")
def test_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """It is an ordinary record of the standard library, however much is set up."""
    caplog.set_level(logging.DEBUG)

    instrument(plain)
    instrument(answer_wsgi, health=True)
    configure_logging()
    init_sentry()

    [record] = caplog.records
    assert ("pantheon_obs", logging.INFO, "observability_disabled") == record_facts(record)
    assert "PANTHEON_OBS_DISABLED is set" == vars(record)["reason"]


def record_facts(record: logging.LogRecord) -> tuple[str, int, str]:
    """Return a record's logger, level and message."""
    return record.name, record.levelno, record.getMessage()


def test_an_argument_turns_it_off_too(caplog: pytest.LogCaptureFixture) -> None:
    """The line says that it was the argument; the functions that follow run bare."""
    caplog.set_level(logging.INFO)

    assert plain is instrument(plain, disabled=True)

    [record] = caplog.records
    assert "disabled=True was given" == vars(record)["reason"]
    assert plain is llm_call(plain)


@pytest.mark.usefixtures("off")
def test_an_argument_wins_over_the_variable() -> None:
    """The last set-up decides."""
    assert plain is llm_call(plain)
    with capture_events() as events:
        app = instrument(plain, Settings(), disabled=False, log_format="json")
        response = ask_asgi(app, "/")

    assert "theirs" == response.headers["x-trace-id"]
    assert "request_finished" in [event["event"] for event in events]
    assert plain is not llm_call(plain)


class Gateway:
    """A gateway of the application."""

    def generate(self, prompt: str) -> str:
        """Answer."""
        return prompt


@pytest.mark.usefixtures("off")
def test_functions_and_clients_stay_as_they_are() -> None:
    """Whatever they were decorated or instrumented with; bad options are refused as ever."""
    function = Gateway.generate
    gateway, client = Gateway(), httpx.Client()
    before = dict(vars(client))

    assert function is llm_call(function)
    assert function is llm_call(model="fast", prices={"fast": (1, 2)})(function)
    with instrument_llm(gateway), propagate(client):
        assert ({}, before) == (vars(gateway), vars(client))
    with llm_call(model="fast") as call:
        call.result({"usage": {"input_tokens": 1, "output_tokens": 2}})


@pytest.mark.usefixtures("off")
def test_a_celery_app_stays_as_it_is() -> None:
    """Nothing is put on it, nor on its messages."""
    celery = pytest.importorskip("celery")
    app = celery.Celery("shop", set_as_current=False)
    before = set(vars(app))

    assert app is instrument_celery(app, bound_fields=("user_id",))
    assert before == set(vars(app))


@pytest.mark.usefixtures("off")
def test_sentry_is_not_even_imported() -> None:
    """A DSN as an argument changes nothing."""
    program = """
    from pantheon_obs import init_sentry
    assert init_sentry(sentry_dsn="https://key@sentry.test/1") is False
    assert "sentry_sdk" not in sys.modules
    """
    done = run(program, **ON)

    assert (0, b"", [LINE]) == (done.status, done.stdout, done.stderr.decode().splitlines())


@pytest.mark.usefixtures("off")
def test_a_job_still_has_its_id() -> None:
    """The application's own code may read it."""
    with trace_context("job-7"):
        assert "job-7" == current_trace_id.get()


def test_the_line_is_on_standard_error_where_nobody_logs() -> None:
    """The lines of the application are its own, on the streams that it chose."""
    program = """
    configure_logging()
    get_logger("shop").warning("structured", order=7)
    logging.getLogger("shop").warning("plain")
    """
    done = run(program, **ON)

    assert b"" == done.stdout
    assert [LINE, "structured", "plain"] == done.stderr.decode().splitlines()


def test_a_process_without_standard_error_runs() -> None:
    """As a service of Windows does."""
    done = run("sys.stderr = None; configure_logging(); print('runs')", **ON)

    assert (b"runs\n", b"") == (done.stdout, done.stderr)


@pytest.mark.usefixtures("off")
@pytest.mark.parametrize("config", [logging_config, lambda: json.loads(PACKAGED.read_text())])
def test_the_logging_config_prints_plain_lines(
    config: Callable[[], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The dict has taken the handlers of servers away: their access lines come out, too."""
    names = ("", "uvicorn", "uvicorn.access")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, [*logger.handlers], logger.level, logger.propagate) for logger in loggers]
    for logger in loggers[1:]:  # as in a new process
        logger.handlers[:], logger.propagate = (), True
    try:
        logging.config.dictConfig(config())
        logging.getLogger("uvicorn.access").info("GET /")
        [handler] = logging.getLogger().handlers
    finally:
        for logger, handlers, level, propagates in before:
            logger.handlers[:], logger.propagate = handlers, propagates
            logger.setLevel(level)

    assert logging.StreamHandler is type(handler)
    assert capsys.readouterr().out.endswith("INFO     uvicorn.access GET /\n")


@pytest.fixture(params=["fastapi", "flask"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Serve a sample application that is instrumented, with the variable set."""
    pytest.importorskip(request.param)
    app = f"tests.apps.{request.param}_app:app"
    if request.param == "flask":
        with gunicorn(app, "--no-control-socket", env=ON) as served:
            yield served
    else:
        with uvicorn(app, env=ON) as served:
            yield served


def test_a_served_application_is_as_without_the_library(server: Server) -> None:
    """The server logs in its own way, the response has no id, and one line says why."""
    with client_of(server) as client:
        response = client.get("/ok", headers={"X-Trace-ID": "theirs"})
    server.stop()

    assert (200, None) == (response.status_code, response.headers.get("x-trace-id"))
    assert "theirs" not in response.text
    assert 1 == server.err.count(LINE)
    assert "request_finished" not in server.output()


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
@pytest.mark.parametrize(
    ("settings", "env", "reason"),
    [
        pytest.param({}, ON, "PANTHEON_OBS_DISABLED is set", id="variable"),
        pytest.param({"disabled": True}, {}, "disabled=True was given", id="setting"),
    ],
)
def test_a_django_project_is_as_without_the_library(
    protocol: str, settings: dict[str, Any], env: dict[str, str], reason: str
) -> None:
    """Django leaves the middleware out, and the urls of health still answer."""
    pytest.importorskip("django")
    with (
        django.serve(protocol, {"PANTHEON_OBS": settings}, env=env) as server,
        client_of(server) as client,
    ):
        response = client.get("/ok", headers={"X-Trace-ID": "theirs"})
        ready = client.get("/api/v1/health/ready/")
        server.stop()

    ids = [answer.headers.get(name) for answer in (response, ready) for name in IDS]
    assert (200, [None] * 4) == (response.status_code, ids)
    assert {"database", "cache"} == set(ready.json()["checks"])
    [line] = [line for line in server.out + server.err if "observability" in line]
    assert "observability_disabled" in line  # gunicorn's logger may have set up logging before
    assert reason in line
    assert "request_finished" not in server.output()


def test_a_command_of_django_has_no_trace() -> None:
    """Its lines are Django's own."""
    pytest.importorskip("django")
    status, lines, errors = django.run("check", env=ON)

    assert (0, []) == (status, lines)
    assert LINE in errors.splitlines()
