"""The settings of a Django project, and its behaviour without a server."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.contract import new_id
from tests.support import loopback
from tests.support.django import APP, run, serve
from tests.support.lines import parse_line, parse_lines
from tests.support.server import ROOT, Server, environment, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

pytest.importorskip("django")

APPS = [
    *("django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"),
    "tests.apps.django_app",
]
Sections = dict[str, list[dict[str, Any]]]


def program(
    name: str, settings: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Run one of `programs.py`; return its lines, and fail if it writes to standard error."""
    code = f"from {APP} import programs; programs.{name}()"
    status, lines, err = run("-c", code, settings=settings, env=env)
    assert (0, "") == (status, err)
    return lines


def get(server: Server, path: str, headers: dict[str, str]) -> httpx.Response:
    """Send a request."""
    return loopback.get(server.url + path, headers=headers)


def results(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the results that a program has logged."""
    head = ("timestamp", "level", "event", "logger", "trace_id", "request_id")
    return [
        {key: value for key, value in line.items() if key not in head}
        for line in lines
        if line["event"] == "result"
    ]


@pytest.fixture(scope="module")
def sections() -> Sections:
    """Run the program with many sections, and return the lines of each."""
    pytest.importorskip("rest_framework")
    found: Sections = {}
    for line in program("everything", {"PANTHEON_OBS": {"bind_user_id": True}}):
        if line["event"] == "section":
            section = found.setdefault(line["section"], [])
        elif line["event"] != "observability_configured":
            section.append(line)
    return found


def stories(lines: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Map each path to the end of its request."""
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
    """Lines are single for each logging configuration, and after a second set-up of Django."""
    lines = program("log_as_django", settings)

    [found] = results(lines)
    assert level == found["root_level"]
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
    """Only handlers that print are replaced, and those that send mails stay."""
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
    """The profile counts only if neither the setting nor the environment does."""
    lines = program("tell_settings", {"PANTHEON_OBS": own}, {"PANTHEON_OBS_RESPONSE_HEADERS": env})

    assert [{"headers": expected}] == results(lines)
    [story] = [line for line in lines if line["event"] == "request_finished"]
    assert "t-1" == story["trace_id"] == story["request_id"]
    problems = [line["problem"] for line in lines if line["event"] == "setting_refused"]
    assert (env == "not a name") == bool(problems)
    assert all("the default ('X-Trace-ID', 'X-Request-ID') is used" in text for text in problems)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        pytest.param({"log_levle": 1}, "PANTHEON_OBS: 'log_levle' is not a setting", id="name"),
        pytest.param({"log_level": "LOUD"}, "PANTHEON_OBS: log_level='LOUD' is not", id="value"),
        pytest.param("log_level", "PANTHEON_OBS must be a dict of settings, not a str", id="kind"),
    ],
)
def test_a_bad_setting_is_reported_by_the_checks_and_refused_by_the_middleware(
    own: Any, said: str
) -> None:
    """No server starts with a bad setting; commands go on with the environment's settings."""
    warning, *rest = program("find_problems", {"PANTHEON_OBS": own})

    assert ("setting_refused", "warning") == (warning["event"], warning["level"])
    assert warning["problem"].startswith(said)
    checked, served = results(rest)
    [problem] = checked["problems"]
    assert problem.startswith(f"pantheon_obs.E001 {said}")
    assert served["raised"].startswith(said)


def test_a_bad_setting_fails_the_check_command() -> None:
    """The command `check` fails as it does for any other error."""
    status, _, err = run("check", settings={"PANTHEON_OBS": {"log_level": "LOUD"}})

    assert 1 == status
    assert "(pantheon_obs.E001) PANTHEON_OBS: log_level='LOUD' is not accepted" in err


def test_the_checks_want_the_middleware_first(sections: Sections) -> None:
    """Only middleware after ours can have the id, so the checks want ours first.

    A class of the project that derives from ours counts, and so does ours by its longer path.
    """
    ids = ("W001", "W001", "W002", "", "", "", "W001", "E003 W001", "E003", "E003 W001")
    assert [[f"pantheon_obs.{name}" for name in each.split()] for each in ids] == [
        found["problems"] for found in results(sections["check_middleware"])
    ]


@pytest.mark.parametrize(
    ("settings", "status", "said"),
    [
        pytest.param(
            {"INSTALLED_APPS": [*APPS, "pantheon_obs"]},
            1,
            "(pantheon_obs.E002) 'pantheon_obs' in INSTALLED_APPS is not the Django app of "
            "pantheon-obs.\n\tHINT: Write 'pantheon_obs.adapters.django' in its place.",
            id="package",
        ),
        pytest.param(
            {"INSTALLED_APPS": [*APPS, "pantheon_obs", "pantheon_obs.adapters.django"]},
            1,
            "(pantheon_obs.E002)",
            id="package-beside-the-app",
        ),
        pytest.param(
            {"MIDDLEWARE": ["pantheon_obs.TraceIdMiddleware"]},
            1,
            "(pantheon_obs.W001) Responses have no trace id: MIDDLEWARE lacks TraceIdMiddleware. "
            "It has 'pantheon_obs.TraceIdMiddleware', which is not the one for Django.",
            id="of-asgi",
        ),
        pytest.param(
            {"PANTHEON_OBS_SERVICE": "shop"},
            0,
            "(pantheon_obs.W003) PANTHEON_OBS_SERVICE is not read from Django's settings: use "
            "PANTHEON_OBS = {'service': ...}",
            id="setting",
        ),
        pytest.param({"PANTHEON_OBS_ZZZ": 1}, 0, "use PANTHEON_OBS = {...: ...}", id="no-setting"),
        pytest.param({"PANTHEON_OBS_HEALTH": None}, 0, "", id="a-setting-that-is-read"),
    ],
)
def test_names_that_were_mixed_up_are_reported_by_the_check_command(
    settings: dict[str, Any], status: int, said: str
) -> None:
    """The message names the wrong entry, and the right one."""
    found, _, err = run("check", settings=settings)

    assert status == found
    assert said in err
    assert bool(said) == ("pantheon_obs." in err)


@pytest.mark.parametrize("installed", ["", "pantheon_obs"])
def test_the_middleware_without_the_app_says_so_once_and_works(installed: str) -> None:
    """It sets up the process itself: lines have the id, and an error its one traceback."""
    pytest.importorskip("gunicorn")
    settings = {"INSTALLED_APPS": [*APPS, installed] if installed else APPS}
    trace_id = new_id()
    with serve("wsgi", settings) as server:
        for path in ("/ok", "/boom"):
            get(server, path, {"X-Trace-ID": trace_id})
        server.stop()

    lines = [parse_line(line.encode()) for line in server.out]
    [warning] = [line for line in lines if line["event"] == "middleware_without_app"]
    place = f" in place of {installed!r}" if installed else ""
    assert f"add 'pantheon_obs.adapters.django' to INSTALLED_APPS{place}" == warning["hint"]
    assert ("pantheon_obs", "warning") == (warning["logger"], warning["level"])
    assert [("ok", 200), ("error", 500)] == [
        (line["outcome"], line["status_code"])
        for line in lines
        if line["event"] == "request_finished"
    ]
    assert 1 == sum("exception" in line for line in lines)
    assert 1 == sum(line["event"] == "observability_configured" for line in lines)
    assert [] == server.err


def test_a_project_that_has_configured_logging_itself_keeps_its_arguments() -> None:
    """The middleware without the app does not configure it again."""
    env = {"PANTHEON_OBS_LOG_FORMAT": "json"}
    lines = program("middleware_alone", {"INSTALLED_APPS": APPS}, env=env)

    assert [{"service": "own"}] == results(lines)


def test_a_command_is_a_trace() -> None:
    """The lines of a command and of the commands it calls share an id."""
    status, printed, err = run("tell")

    lines = parse_lines(err.encode())
    assert (0, []) == (status, printed)
    assert ["started", "started", "finished"] == [line["event"] for line in lines]
    assert 1 == len({line["trace_id"] for line in lines})
    assert lines[0]["trace_id"] == lines[0]["request_id"]
    assert [None, 7, 7] == [line.get("batch") for line in lines]


def test_a_command_that_fails_leaves_its_traceback_as_text() -> None:
    """Django prints the traceback as without us, no line has it, and standard output is empty."""
    status, printed, err = run("tell", "--fail")

    assert (1, []) == (status, printed)
    *lines, traceback = err.split("\n", 2)
    assert ["started", "started"] == [
        line["event"] for line in parse_lines("\n".join([*lines, ""]).encode())
    ]
    assert traceback.startswith("Traceback (most recent call last):\n")
    assert traceback.endswith("\nLookupError: nothing to tell\n")
    assert 1 == traceback.count("Traceback")


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        pytest.param({"PANTHEON_OBS": {"log_stream": "stdout"}}, "out", id="stdout"),
        pytest.param({"LOGGING_ARGUMENTS": {"log_stream": "stdout"}}, "out", id="logging_config"),
        pytest.param({"LOGGING_ARGUMENTS": {}}, "err", id="auto-by-logging_config"),
    ],
)
def test_the_stream_of_a_command_can_be_set(settings: dict[str, Any], where: str) -> None:
    """A setting wins over the choice by the command, wherever logging is configured."""
    _, printed, err = run("tell", settings=settings)

    found = {"out": printed, "err": parse_lines(err.encode())}
    assert {"out": 0, "err": 0, where: 3} == {name: len(lines) for name, lines in found.items()}


def test_a_request_of_the_test_client_is_not_serving() -> None:
    """A command that sends one keeps its standard output, and announces nothing."""
    code = "from django.test import Client; print(Client().get('/nowhere').status_code)"

    done = subprocess.run(
        [sys.executable, "-m", "django", "shell", "-v", "0", "-c", code],
        cwd=ROOT,
        env={**environment(), "DJANGO_SETTINGS_MODULE": f"{APP}.settings"},
        capture_output=True,
        check=False,
    )

    assert b"404\n" == done.stdout
    events = [line["event"] for line in parse_lines(done.stderr)]
    assert ["Not Found: /nowhere", "request_finished"] == events


def test_a_command_that_a_request_calls_is_part_of_it(sections: Sections) -> None:
    """The command's lines have the request's id; a later command has its own."""
    *lines, alone, found = sections["command_in_request"]

    events = [line["event"] for line in lines if line.get("trace_id") == "outer"]
    assert ["started", "started", "finished", "request_finished"] == events
    assert "started" == alone["event"]
    assert "outer" != alone["trace_id"]
    assert "" == found["now"]


def test_in_debug_an_unhandled_error_is_one_line_too() -> None:
    """Django's error pages for developers are unchanged."""
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


def test_each_request_has_one_line_however_its_response_ends(sections: Sections) -> None:
    """A response may be dropped, unread, closed again, cached, shared, or no response at all."""
    lines = sections["endings"]

    assert {
        "/dropped": ("client_disconnected", 200, None),
        "/never-read": ("client_disconnected", 200, None),
        "/head": ("ok", 200, None),
        "/read": ("ok", 200, None),
        "/twice": ("ok", 200, None),
        "/text": ("no_response", None, None),
        "/broken": ("ok", 200, None),
    } == stories([line for line in lines if line.get("path") != "/again"])
    again = [line for line in lines if line.get("path") == "/again"]
    assert ["first", "second"] == [line["trace_id"] for line in again]
    [failed] = [line for line in lines if line["event"] == "telemetry_failed"]
    assert "django response" == failed["site"]
    assert [{"text": "text", "now": ""}] == results(lines)


def test_requests_and_responses_are_copied_and_pickled_as_without_us(sections: Sections) -> None:
    """A copy of the request belongs to its trace; nothing of a response's copy does."""
    lines = sections["copies"]

    assert [
        *({"again": "t-1"}, {"again": "t-1"}),
        *({"read": "ab"}, {"closing": ""}) * 2,
        *({"read": "ab"}, {"closing": "t-1"}),
    ] == results(lines)
    assert [("ok", 200)] * 2 == [
        (line["outcome"], line["status_code"])
        for line in lines
        if line["event"] == "request_finished"
    ]


def test_a_generator_that_is_closed_logs_in_its_trace(sections: Sections) -> None:
    """Django ignores an exception that the generator raises while it is closed."""
    closing, story, found = sections["failing_closer"]

    assert ("closing", story["trace_id"]) == (closing["event"], closing["trace_id"])
    assert ("client_disconnected", "") == (story["outcome"], found["now"])


def test_a_view_opens_djangos_caches_for_later_requests_too(sections: Sections) -> None:
    """Django keeps them in a context variable, and closes those that it finds after a request."""
    *_, found = sections["cache_of_a_view"]

    assert (1, 1) == (found["objects"], found["opened"])


def test_a_response_whose_parts_cannot_be_read_is_closed_all_the_same(sections: Sections) -> None:
    """Whether its client has left is then not known; the failure is reported, and stays ours."""
    failed, found = sections["odd_parts"]

    assert ("telemetry_failed", "TypeError") == (failed["event"], failed["error_type"])
    assert "" == found["now"]


def test_an_exception_of_the_project_passes(sections: Sections) -> None:
    """The exception object itself passes, an exit or cancellation too; the context is restored."""
    lines = sections["raising"]

    assert [{"same": True, "now": ""}] * 3 == results(lines)
    assert {
        "/LookupError": ("error", None, "LookupError"),
        "/SystemExit": ("cancelled", None, None),
        "/CancelledError": ("cancelled", None, None),
    } == stories(lines)


def test_the_outcome_of_a_cancelled_request(sections: Sections) -> None:
    """The outcome is `client_disconnected` if the client has left, and otherwise `cancelled`.

    A cancellation that nobody has asked for is an exception like any other.
    """
    lines = sections["cancelling"]

    assert [{"bystander": False, "late": False}] == results(lines)
    assert {
        "/left": ("client_disconnected", None, None),
        "/stopped": ("cancelled", None, None),
        "/itself": ("error", None, "CancelledError"),
        "/late": ("cancelled", None, None),
    } == stories(lines)


def test_an_async_stack_needs_no_other_thread(sections: Sections) -> None:
    """No thread is started."""
    assert [{"threads": 1, "is_async": True}] == results(sections["no_hop"])


def test_djangos_async_client_finds_no_trace_left_behind(sections: Sections) -> None:
    """Neither a response nor an unread stream leaves a trace in the context."""
    lines = sections["async_client"]

    assert [{"id": "t-1", "now": ""}] == results(lines)
    assert {"/ok": ("ok", 200, None), "/llm-stream": ("client_disconnected", 200, None)} == stories(
        lines
    )


def test_the_user_of_rest_framework_counts(sections: Sections) -> None:
    """REST framework authenticates itself, and stores its user on Django's request."""
    [story] = sections["rest_framework"]

    assert 7 == story["user_id"]


def test_a_user_that_fails_when_it_is_asked_fails_no_request(sections: Sections) -> None:
    """`bind_user_id` reads it; the failure is reported, and the request has no user."""
    failed, story = sections["unreadable_user"]

    assert ("telemetry_failed", "ConnectionError") == (failed["event"], failed["error_type"])
    assert (200, "ok") == (story["status_code"], story["outcome"])
    assert "user_id" not in story


def test_a_middleware_that_fails_outside_of_ours_is_an_error(sections: Sections) -> None:
    """Its answer has no header, which the checks warn of; the line has the error."""
    lines = sections["fail_outside"]

    assert [{"status": 500}] == results(lines)
    assert {"/ok": ("error", 500, "MiddlewareError")} == stories(lines)


def test_without_the_middleware_djangos_own_line_has_the_traceback(sections: Sections) -> None:
    """No other line has it; the request object is not shown, because it has the query."""
    django, own = sections["without_middleware"]

    assert ("django.request", "ZeroDivisionError") == (django["logger"], django["error_type"])
    assert "ZeroDivisionError" in django["exception"]
    assert "request" not in django
    assert "a text" == own["request"]


def test_an_error_on_a_quiet_path_has_its_traceback_on_djangos_line(sections: Sections) -> None:
    """The request's own line is at DEBUG, so it is not shown."""
    [line] = sections["on_quiet_paths"]

    assert ("django.request", "ZeroDivisionError") == (line["logger"], line["error_type"])
    assert "ZeroDivisionError" in line["exception"]


def test_a_second_set_up_changes_nothing(sections: Sections) -> None:
    """Commands are traced once; a name that does not exist is no check."""
    found, names = results(sections["second_time"])

    assert found["same"]
    assert "has no attribute 'databse_check'" in found["error"]
    assert ["database_check", "cache_check"] == names["checks"]


def test_a_failure_of_ours_within_an_outer_trace_is_only_reported(sections: Sections) -> None:
    """The project's response is not changed by our failure."""
    failed, found = sections["outer_that_fails"]

    assert ("telemetry_failed", 202) == (failed["event"], found["status"])


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_instrumented_as_well_it_is_still_one_trace(protocol: str) -> None:
    """The outer trace goes on, and Django adds the route and the user."""
    if protocol == "wsgi":
        pytest.importorskip("gunicorn")
    with serve(protocol, module="instrumented", app="served") as server:
        answers = [
            get(server, path, {"X-Trace-ID": new_id()})
            for path in ("/classes/7/", "/member/asks", "/boom", "/nowhere")
        ]
        finished = '"event":"request_finished"'
        server.wait_for(lambda: sum(finished in line for line in server.out) >= 4)
        server.stop()
    lines = [parse_line(line.encode()) for line in server.out]
    ids = [answer.headers["x-trace-id"] for answer in answers]
    assert ids == [answer.headers["x-request-id"] for answer in answers]
    found = [
        [line for line in lines if line.get("trace_id") == trace_id and "outcome" in line]
        for trace_id in ids
    ]

    assert [1, 2, 1, 1] == [len(each) for each in found]
    thing, member, boom, nowhere = (each[-1] for each in found)
    assert 42 == found[1][0]["user_id"]  # the call of a model
    assert "/classes/<int:thing_id>/" == thing["route"]
    assert 42 == member["user_id"]
    assert ("error", "ZeroDivisionError", "/boom") == (
        boom["outcome"],
        boom["error_type"],
        boom["route"],
    )
    assert 1 == sum("ZeroDivisionError" in line for line in server.out)
    assert ("ok", None) == (nowhere["outcome"], nowhere.get("route"))


def test_instrumenting_an_application_twice_changes_nothing(sections: Sections) -> None:
    """A second call of `instrument` has no effect on Django's application."""
    assert [{"same": True, "installed": None}] == results(sections["instrument_twice"])


def test_runservers_requests_are_traces_of_their_own() -> None:
    """Its access lines, which show query strings, are dropped; its other lines stay."""
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
    assert "observability_configured" == lines[0]["event"]  # a command that serves logs as a server
    assert [] == [line for line in server.err if line.startswith("{")]
    assert 2 == len(set(ids))
    finished = [line["trace_id"] for line in lines if line["event"] == "request_finished"]
    assert ids == finished
    assert "secret" not in server.output()
    [https] = [line for line in lines if "over HTTPS" in line["event"]]
    assert ("django.server", "error") == (https["logger"], https["level"])
