"""What a Django project can set, and what happens to it where no server is in sight."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.adapters.contract import new_id
from tests.support.django import APP, run, serve
from tests.support.lines import parse_line
from tests.support.server import SECONDS, Server, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

django = pytest.importorskip("django")

OURS = "pantheon_obs.adapters.django.TraceIdMiddleware"


def program(
    name: str, settings: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Run one of `programs.py`; its lines, without anything on standard error."""
    code = f"from {APP} import programs; programs.{name}()"
    status, lines, err = run("-c", code, settings=settings, env=env)
    assert (0, "") == (status, err)
    return lines


def get(server: Server, path: str, headers: dict[str, str]) -> httpx.Response:
    """Send a request."""
    return httpx.get(server.url + path, headers=headers, trust_env=False, timeout=SECONDS)


def results(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a program has found out."""
    head = ("timestamp", "level", "event", "logger", "trace_id", "request_id")
    return [
        {key: value for key, value in line.items() if key not in head}
        for line in lines
        if line["event"] == "result"
    ]


def stories(lines: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """How each request has ended, by its path."""
    found = {
        line["path"]: (line["outcome"], line.get("status_code"), line.get("error_type"))
        for line in lines
        if line["event"] == "request_finished"
    }
    assert len(found) == sum(line["event"] == "request_finished" for line in lines)
    return found


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        pytest.param({}, 20, id="djangos-default"),
        pytest.param({"DEBUG": True}, 20, id="debug"),
        pytest.param({"LOGGING_CONFIG": None}, 20, id="none"),
        pytest.param({"LOGGING_ARGUMENTS": {}}, 20, id="logging_config"),
        pytest.param({"LOGGING_ARGUMENTS": {"log_level": "DEBUG"}}, 10, id="logging_config-debug"),
        pytest.param({"PANTHEON_OBS": {"log_level": "DEBUG"}}, 10, id="own-setting"),
    ],
)
def test_djangos_loggers_come_out_as_single_lines(settings: dict[str, Any], level: int) -> None:
    """However logging is configured, also when Django is set up a second time."""
    lines = program("log_as_django", settings)

    [found] = results(lines)
    assert level == found["level"]
    said = [(line["logger"], line["event"]) for line in lines if line["event"] != "result"]
    assert [
        ("django", "first"),
        ("django.request", "first"),
        ("django.server", "first"),
        ("django.db.backends", "first"),
        ("django", "second"),
        ("django.request", "second"),
        ("django.server", "second"),
        *([("django", "detail")] if level == 10 else []),
        ("django.server", "- Broken pipe from x"),
    ] == said
    assert [] == [line for line in lines if "request" in line]


def test_mails_to_admins_are_still_sent() -> None:
    """Only handlers that print are replaced."""
    [found] = results(program("log_as_django"))

    assert ["AdminEmailHandler"] == found["handlers"]


@pytest.mark.parametrize(
    ("own", "env", "expected"),
    [
        pytest.param({}, "", ["X-Request-ID", "X-Trace-ID"], id="djangos-profile"),
        pytest.param({}, "X-Env", ["X-Env"], id="environment"),
        pytest.param({"response_headers": ["X-Own"]}, "X-Env", ["X-Own"], id="own-setting"),
        pytest.param(None, "not a name", ["X-Request-ID", "X-Trace-ID"], id="bad-environment"),
    ],
)
def test_the_projects_setting_wins_over_the_environment_and_that_over_the_profile(
    own: dict[str, Any] | None, env: str, expected: list[str]
) -> None:
    """The profile is a default."""
    lines = program(
        "tell_settings", {"PANTHEON_OBS": own}, {"PANTHEON_OBS_RESPONSE_HEADERS": env}
    )

    assert [{"headers": expected}] == results(lines)
    [story] = [line for line in lines if line["event"] == "request_finished"]
    assert "t-1" == story["trace_id"] == story["request_id"]
    problems = [line["problem"] for line in lines if line["event"] == "setting_refused"]
    assert (env == "not a name") == bool(problems)
    assert all("the default ('X-Trace-ID', 'X-Request-ID') is used" in text for text in problems)


BAD = [
    pytest.param({"log_levle": "INFO"}, "PANTHEON_OBS: 'log_levle' is not a setting", id="name"),
    pytest.param({"log_level": "LOUD"}, "PANTHEON_OBS: log_level='LOUD' is not", id="value"),
    pytest.param("log_level", "PANTHEON_OBS must be a dict of settings, not a str", id="kind"),
]


@pytest.mark.parametrize(("own", "said"), BAD)
def test_a_bad_setting_is_reported_by_the_checks_and_refused_by_the_middleware(
    own: Any, said: str
) -> None:
    """No server starts with it; what Django runs without one goes on by the environment's."""
    settings = {"PANTHEON_OBS": own}
    status, _, checked = run("check", settings=settings)
    served, lines, _ = run("-c", f"import {APP}.wsgi", settings=settings)
    script = program("log_as_django", settings)

    assert 1 == status
    assert f"(pantheon_obs.E001) {said}" in checked
    assert 1 == served
    [warning, failure] = lines
    assert "setting_refused" == warning["event"] == script[0]["event"]
    assert warning["problem"].startswith(said)
    assert ("uncaught_exception", "ConfigError") == (failure["event"], failure["error_type"])
    assert said in failure["exception"]


@pytest.mark.parametrize(
    ("middleware", "said"),
    [
        pytest.param([], "pantheon_obs.W001", id="missing"),
        pytest.param([f"{APP}.middleware.cors", OURS], "pantheon_obs.W002", id="not-first"),
        pytest.param([OURS, f"{APP}.middleware.cors"], "", id="first"),
    ],
)
def test_the_checks_want_the_middleware_first(middleware: list[str], said: str) -> None:
    """Only what stands behind it can have the id."""
    status, _, checked = run("check", settings={"MIDDLEWARE": middleware})

    assert 0 == status
    assert said in checked
    assert bool(said) == ("pantheon_obs" in checked)


def test_a_command_is_a_trace() -> None:
    """Its lines and those of the commands it calls share an id, its failure too."""
    status, lines, err = run("tell", "--fail")

    assert (1, "") == (status, err)
    assert ["told", "told", "uncaught_exception"] == [line["event"] for line in lines]
    assert 1 == len({line["trace_id"] for line in lines})
    assert lines[0]["trace_id"] == lines[0]["request_id"]
    assert [None, 7, None] == [line.get("batch") for line in lines]
    assert "LookupError: nothing to tell" == lines[-1]["exception"].splitlines()[-1]


def test_a_command_that_a_request_calls_is_part_of_it() -> None:
    """Its lines have the request's id; the next command has its own."""
    *lines, found = program("command_in_request")

    by_id = {line.get("trace_id"): line["event"] for line in lines if "trace_id" in line}
    events = [line["event"] for line in lines if line.get("trace_id") == "outer"]
    assert ["told", "told", "told all", "request_finished"] == events
    assert 2 == len(by_id)
    assert "" == found["now"]


def test_in_debug_an_unhandled_error_is_one_line_too() -> None:
    """Django's pages for developers are left as they are."""
    lines = program("fail_in_debug", {"DEBUG": True})

    assert [(500, True), (404, True), (404, True), (400, True)] == [
        (found["status"], found["page"]) for found in results(lines)
    ]
    with_traceback = [line for line in lines if "exception" in line]
    assert ["pantheon_obs.request", "django.security.SuspiciousOperation"] == [
        line["logger"] for line in with_traceback
    ]
    assert {
        "/boom": ("error", 500, "ZeroDivisionError"),
        "/not-found": ("ok", 404, None),
        "/nowhere": ("ok", 404, None),
        "/suspicious": ("ok", 400, None),
    } == stories(lines)


def test_each_request_has_one_line_however_its_response_ends() -> None:
    """Dropped, never read, closed again, cached, shared, or not a response at all."""
    lines = program("endings")

    assert {
        "/dropped": ("client_disconnected", 200, None),
        "/never-read": ("client_disconnected", 200, None),
        "/head": ("ok", 200, None),
        "/twice": ("ok", 200, None),
        "/text": ("no_response", None, None),
        "/broken": ("ok", 200, None),
    } == {path: story for path, story in stories_of_others(lines).items()}
    again = [line for line in lines if line.get("path") == "/again"]
    assert ["first", "second"] == [line["trace_id"] for line in again]
    [failed] = [line for line in lines if line["event"] == "telemetry_failed"]
    assert "django response" == failed["site"]
    assert [{"text": "text", "now": ""}] == results(lines)


def stories_of_others(lines: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """How requests ended, but for the one that is sent again."""
    return stories([line for line in lines if line.get("path") != "/again"])


def test_a_generator_that_is_closed_speaks_in_its_trace() -> None:
    """What it raises there is Django's to ignore."""
    closing, story, found = program("failing_closer")[1:]

    assert ("closing", story["trace_id"]) == (closing["event"], closing["trace_id"])
    assert ("client_disconnected", "") == (story["outcome"], found["now"])


def test_what_the_project_raises_passes() -> None:
    """Errors and what is no error, the very objects, with the context given back."""
    lines = program("raising")

    assert [{"same": True, "now": ""}] * 3 == results(lines)
    assert {
        "/LookupError": ("error", None, "LookupError"),
        "/SystemExit": ("cancelled", None, None),
        "/CancelledError": ("cancelled", None, None),
    } == stories(lines)


def test_a_cancelled_request_says_who_has_cancelled_it() -> None:
    """Django cancels for want of a client; a server says why, the loop's end takes all."""
    lines = program("cancelling")

    assert [{"bystander": False, "late": False}] == results(lines)
    assert {
        "/left": ("client_disconnected", None, None),
        "/stopped": ("cancelled", None, None),
        "/itself": ("cancelled", None, None),
        "/late": ("cancelled", None, None),
    } == stories(lines)


def test_an_async_stack_needs_no_other_thread() -> None:
    """Not even one is started."""
    assert [{"threads": 1, "is_async": True}] == results(program("no_hop"))


def test_djangos_async_client_finds_no_trace_left_behind() -> None:
    """Neither by a response nor by a stream that nobody reads."""
    lines = program("async_client", env={"DJANGO_APP_IS_ASYNC": "1"})

    assert [{"id": "t-1", "now": ""}] == results(lines)
    assert {"/ok": ("ok", 200, None), "/llm-stream": ("client_disconnected", 200, None)} == stories(
        lines
    )


def test_the_user_of_rest_framework_counts() -> None:
    """It authenticates by itself, and leaves its user on Django's request."""
    pytest.importorskip("rest_framework")

    [story] = program("rest_framework", {"PANTHEON_OBS": {"bind_user_id": True}})[1:]

    assert 7 == story["user_id"]


def test_the_user_id_is_off_by_default() -> None:
    """It is personal data."""
    pytest.importorskip("rest_framework")

    [story] = program("rest_framework")[1:]

    assert "user_id" not in story


def test_a_middleware_that_fails_outside_of_ours_is_an_error() -> None:
    """Its answer has no header, which the checks warn of; the line tells what came of it."""
    settings = {
        "MIDDLEWARE": [f"{APP}.middleware.failing_outside", OURS],
        "PANTHEON_OBS": {"log_format": "json"},
    }
    code = (
        f"from {APP} import programs; from django.test import Client; "
        "programs.result(status=Client(raise_request_exception=False).get('/ok').status_code)"
    )
    status, lines, err = run("-c", code, settings=settings)

    assert (0, "", [{"status": 500}]) == (status, err, results(lines))
    assert {"/ok": ("error", 500, "MiddlewareError")} == stories(lines)


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_instrumented_as_well_it_is_still_one_trace(protocol: str) -> None:
    """The outer trace goes on; Django adds what only it knows."""
    if protocol == "wsgi":
        pytest.importorskip("gunicorn")
    with serve(protocol, module="instrumented", app="served") as server:
        answers = []
        for path in ("/classes/7/", "/member/known", "/boom", "/nowhere"):
            trace_id = new_id()
            response = get(server, path, {"X-Trace-ID": trace_id})
            assert [trace_id] * 2 == [response.headers[f"x-{name}-id"] for name in ("trace", "request")]
            server.wait_for(lambda: any(trace_id in line and '"request_finished"' in line for line in server.out))
            answers.append(trace_id)
        server.stop()
    lines = [parse_line(line.encode()) for line in server.out]
    found = [
        [line for line in lines if line.get("trace_id") == trace_id and "outcome" in line]
        for trace_id in answers
    ]

    assert [1] * 4 == [len(each) for each in found]
    thing, member, boom, nowhere = (each[0] for each in found)
    assert "/classes/<int:thing_id>/" == thing["route"]
    assert 42 == member["user_id"]
    assert ("error", "ZeroDivisionError", "/boom") == (
        boom["outcome"],
        boom["error_type"],
        boom["route"],
    )
    assert 1 == sum("ZeroDivisionError" in line for line in server.out)
    assert ("ok", None) == (nowhere["outcome"], nowhere.get("route"))


def test_instrumenting_an_application_twice_changes_nothing() -> None:
    """As for any other application."""
    assert [{"same": True, "installed": None}] == results(program("sync_over_instrumented"))


def test_runservers_requests_are_traces_of_their_own() -> None:
    """Its access lines, which show query strings, are dropped; what else it says stays."""
    port = free_port()
    environ = {"DJANGO_SETTINGS_MODULE": f"{APP}.settings"}
    options = ("runserver", "--noreload", "--nothreading", f"127.0.0.1:{port}")
    with Server("django", *options, port=port, env=environ) as server:
        ids = [get(server, "/ok?token=secret", {}).headers["x-trace-id"] for _ in range(2)]
        with server.connect() as connection:
            connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
            connection.recv(65536)
        server.wait_for(lambda: any("over HTTPS" in line for line in server.out))
        server.stop(signal.SIGINT)

    lines = [parse_line(line.encode()) for line in server.out if line.startswith("{")]
    assert 2 == len(set(ids))
    finished = [line["trace_id"] for line in lines if line["event"] == "request_finished"]
    assert ids == finished
    assert "secret" not in server.output()
    [https] = [line for line in lines if "over HTTPS" in line["event"]]
    assert ("django.server", "error") == (https["logger"], https["level"])
