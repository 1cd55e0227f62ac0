"""A Django project by its settings alone, under a WSGI server with threads and an ASGI server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.contract import Service, as_json, check_whole_output, new_id, read_all
from tests.support.django import serve
from tests.support.server import uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.server import Server

pytest.importorskip("django")

BOTH = ("x-trace-id", "x-request-id")


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """Serve the project under the server of each of its adapters."""
    if request.param == "wsgi":
        pytest.importorskip("gunicorn")
    with serve(request.param) as server:
        yield service_of(request.param, server)
        server.stop()
    check_whole_output(service_of(request.param, server))


def service_of(protocol: str, server: Server) -> Service:
    """Wrap a server for the helpers of the contract."""
    from tests.adapters.contract import ADAPTERS  # noqa: PLC0415 - a name that is used once

    [adapter] = [adapter for adapter in ADAPTERS if adapter.name == f"django-{protocol}"]
    return Service(adapter, server)


def lines_of(service: Service, trace_id: str) -> list[dict[str, Any]]:
    """Return the lines of a trace, without the second line of a security error of Django 5.2.0."""
    lines = service.lines_of(trace_id)
    secure = any(line["logger"].startswith("django.security.") for line in lines)
    return [line for line in lines if not (secure and line["event"].startswith("Bad Request: "))]


def events_of(service: Service, response: Any) -> list[str]:
    """Return the events of a request's lines."""
    return [line["event"] for line in service.lines_of(response.headers["x-trace-id"])]


@pytest.mark.parametrize(
    ("method", "path", "status", "event"),
    [
        pytest.param("GET", "/ok", 200, None, id="200"),
        pytest.param("GET", "/classes/7/", 200, "in a class view", id="class-view"),
        pytest.param("GET", "/sync/7", 200, "in a thread", id="sync-view"),
        pytest.param("GET", "/file", 200, None, id="file"),
        pytest.param("GET", "/static/asgi_app.py", 200, None, id="file-of-the-system"),
        pytest.param("GET", "/slash", 308, None, id="slash"),
        pytest.param("GET", "/nowhere", 404, "Not Found: /nowhere", id="404"),
        pytest.param("GET", "/not-found", 404, "Not Found: /not-found", id="Http404"),
        pytest.param(
            "GET", "/denied", 403, "Forbidden (Permission denied): /denied", id="PermissionDenied"
        ),
        pytest.param("GET", "/bad-request", 400, "a bad request: /bad-request", id="BadRequest"),
        pytest.param("GET", "/suspicious", 400, "a suspicious operation", id="SuspiciousOperation"),
        pytest.param("POST", "/form", 403, "Forbidden (CSRF cookie not set.): /form", id="csrf"),
        pytest.param("POST", "/ok", 405, "Method Not Allowed (POST): /ok", id="405"),
        pytest.param(
            "GET", "/handled/503", 503, "Service Unavailable: /handled/503", id="handled-503"
        ),
    ],
)
def test_every_response_has_both_headers_and_its_lines_both_ids(
    service: Service, method: str, path: str, status: int, event: str | None
) -> None:
    """Django's own lines have the ids too, even after the middleware has ended."""
    trace_id = new_id()

    response = service.get(f"{path}?token=secret", {"X-Request-ID": trace_id}, method)

    assert status == response.status_code
    assert [[trace_id]] * 2 == [response.headers.get_list(name) for name in BOTH]
    lines = lines_of(service, trace_id)
    assert [event, "request_finished"][event is None :] == [line["event"] for line in lines]
    assert {trace_id} == {line["request_id"] for line in lines}
    assert ("ok", status) == (lines[-1]["outcome"], lines[-1]["status_code"])
    assert "secret" not in str(lines)


@pytest.mark.parametrize(
    ("path", "error", "route"),
    [
        pytest.param("/boom", "ZeroDivisionError", "/boom", id="view"),
        pytest.param("/none", "ValueError", "/none", id="no-response"),
        pytest.param("/middleware/before", "MiddlewareError", None, id="middleware-before-view"),
        pytest.param(
            "/middleware/after", "MiddlewareError", "/middleware/after", id="middleware-after-view"
        ),
    ],
)
def test_an_unhandled_error_is_one_line(
    service: Service, path: str, error: str, route: str | None
) -> None:
    """The line has the traceback and the outcome, so Django's own line is dropped."""
    response = service.get(path)

    [line] = service.lines_of(response.headers["x-trace-id"])

    assert 500 == response.status_code
    assert response.headers["x-trace-id"] == response.headers["x-request-id"]
    assert ("error", 500, "error", error, route) == (
        line["outcome"],
        line["status_code"],
        line["level"],
        line["error_type"],
        line.get("route"),
    )
    assert error in line["exception"].splitlines()[-1]


def test_a_security_error_has_its_traceback_on_djangos_line(service: Service) -> None:
    """A suspicious operation is answered with a 400, and the request has not failed."""
    response = service.get("/suspicious")

    django, story = lines_of(service, response.headers["x-trace-id"])

    assert ("django.security.SuspiciousOperation", "error", "GET /suspicious", 400) == (
        django["logger"],
        django["level"],
        django["request"],
        django["status_code"],
    )
    assert "SuspiciousOperation" in django["exception"]
    assert ("warning", None) == (story["level"], story.get("exception"))


@pytest.mark.parametrize(
    ("path", "route"),
    [
        pytest.param("/classes/7/", "/classes/<int:thing_id>/", id="converter"),
        pytest.param("/regex/abc", "/regex/<key>", id="regex"),
    ],
)
def test_the_route_is_written_as_in_the_project(service: Service, path: str, route: str) -> None:
    """The route begins with a slash, as other frameworks' templates do."""
    assert route == service.story(service.get(path))["route"]


def test_an_async_view_stays_on_the_thread_of_the_event_loop(service: Service) -> None:
    """An async stack stays async with our middleware in it."""
    threads = {as_json(service.get("/ok"))["thread"] for _ in range(5)}

    if service.adapter.name == "django-asgi":
        assert 1 == len(threads)
    assert len(threads) > 0


def test_a_stream_that_its_client_leaves_ends_in_its_trace(service: Service) -> None:
    """The generator's lines in its `finally` have the id; the outcome is `client_disconnected`."""
    key = new_id()
    with service.send(f"/endless/{key}", (b"X-Trace-ID", key.encode())) as connection:
        received = b""
        while b"data: again" not in received:
            received += connection.recv(65536)

    lines = service.lines_of(key)

    assert ["the stream ends", "request_finished"] == sorted(
        (line["event"] for line in lines), key=lambda event: event == "request_finished"
    )
    [story] = [line for line in lines if line["event"] == "request_finished"]
    assert ("client_disconnected", 200) == (story["outcome"], story["status_code"])
    assert story["ttfb_ms"] > 0


def test_an_error_in_the_middle_of_a_stream_is_an_error(service: Service) -> None:
    """The outcome is `error` after a sent status too; only this line has the traceback."""
    trace_id = new_id()
    with service.send("/broken-stream", (b"X-Trace-ID", trace_id.encode())) as connection:
        while connection.recv(65536):
            pass

    [story] = service.lines_of(trace_id)

    assert ("error", 200, "RuntimeError") == (
        story["outcome"],
        story["status_code"],
        story["error_type"],
    )


def test_a_sync_stream_under_asgi_is_collected_by_django_and_still_timed(
    service: Service,
) -> None:
    """Its first byte is sent after its last one is made; each part sees the id."""
    key = new_id()
    service.release(key)

    response = service.get(f"/sync-stream/{key}", {"X-Trace-ID": key})

    assert f"one {key}\ntwo {key}\n" == response.text
    second, *warnings, story = service.lines_of(key)
    assert ("second chunk", "request_finished", "ok") == (
        second["event"],
        story["event"],
        story["outcome"],
    )
    assert 0 < story["ttfb_ms"] <= story["latency_ms"]
    assert {"py.warnings"} >= {line["logger"] for line in warnings}  # Django's advice


def test_files_are_served_as_django_serves_them(service: Service) -> None:
    """Files are complete, and the server itself sends them where it can."""
    from_memory = service.get("/file")
    from_disk = service.get("/static/asgi_app.py")

    assert b"file " * 1000 == from_memory.content
    assert b"plain ASGI callable" in from_disk.content
    assert "ok" == service.story(from_memory)["outcome"]
    # Under WSGI the server sends the file itself, so the first byte is not observed.
    assert (service.adapter.name == "django-asgi") == ("ttfb_ms" in service.story(from_disk))


def test_a_head_request_is_complete_without_its_body(service: Service) -> None:
    """The unread body of a HEAD request does not count as left by the client."""
    key = new_id()
    service.release(key)

    story = service.story(service.get(f"/stream/{key}", {"X-Trace-ID": key}, "HEAD"))

    assert ("ok", 200) == (story["outcome"], story["status_code"])


def test_llm_calls_of_a_stream_are_on_the_requests_line(service: Service) -> None:
    """The calls end before the line is written."""
    response = service.get("/llm-stream")

    assert "ab" == response.text
    assert ["llm.generate", "request_finished"] == [
        event for event in events_of(service, response) if not event.startswith("Streaming")
    ]
    assert 1 == service.story(response)["llm_calls"]


def test_both_names_are_exposed_to_scripts_of_other_origins(service: Service) -> None:
    """Our headers follow those that the project exposes itself."""
    exposed = [
        service.get(path).headers["access-control-expose-headers"]
        for path in ("/cors", "/cors/X-Other", "/cors/X-Request-ID", "/cors/*")
    ]

    assert [
        "x-trace-id, x-request-id",
        "X-Other, x-trace-id, x-request-id",
        "X-Request-ID, x-trace-id",
        "*, x-trace-id, x-request-id",
    ] == exposed


def test_headers_of_a_projects_own_class_get_the_id(service: Service) -> None:
    """The rules are those for Django's own class."""
    response = service.get("/own-headers")

    assert [1, 1] == [len(response.headers.get_list(name)) for name in BOTH]
    assert service.story(response)["trace_id"] == response.headers["x-trace-id"]
    assert "x-trace-id, x-request-id" == response.headers["access-control-expose-headers"]
    assert ["</a>", "</b>"] == response.headers.get_list("link")


def test_the_projects_own_headers_are_replaced(service: Service) -> None:
    """A header of the project is replaced in any spelling."""
    response = service.get("/own-header")

    assert [1, 1] == [len(response.headers.get_list(name)) for name in BOTH]
    assert "mine" not in {response.headers[name] for name in BOTH}


@pytest.mark.parametrize(
    ("path", "user_id"),
    [
        pytest.param("/lazy", None, id="never-asked-for"),
        pytest.param("/member/unknown", None, id="anonymous"),
        pytest.param("/member/known", 42, id="authenticated"),
        pytest.param("/own-user", "mine", id="bound-by-the-project"),
    ],
)
def test_the_user_id_is_on_the_line_if_the_project_has_asked_for_the_user(
    service: Service, path: str, user_id: object
) -> None:
    """Reading the user opens no session, so responses do not vary by cookie more than before."""
    response = service.get(path)

    assert user_id == service.story(response).get("user_id")
    assert ("cookie" in response.headers.get("vary", "").lower()) == (path == "/member/unknown")


def test_a_call_of_a_model_is_attributed_to_the_user(service: Service) -> None:
    """Its line has the user, although the request's response is not there yet."""
    response = service.get("/member/asks")

    assert [("llm.ask", 42), ("request_finished", 42)] == [
        (line["event"], line["user_id"])
        for line in service.lines_of(response.headers["x-trace-id"])
    ]


def test_an_invalid_request_gets_no_second_line(service: Service) -> None:
    """A network host that Django does not serve is refused, with Django's line and ours."""
    with service.server.connect() as connection:
        connection.sendall(b"GET /ok HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n")
        head = read_all(connection).decode().lower()

    [trace_id] = [
        line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("x-trace-id")
    ]
    assert ["django.security.DisallowedHost", "pantheon_obs.request"] == [
        line["logger"] for line in lines_of(service, trace_id)
    ]


def test_the_settings_are_logged_once(service: Service) -> None:
    """Django may make several handlers; `observability_configured` is logged once."""
    service.get("/ok")

    [line] = [line for line in service.lines if line["event"] == "observability_configured"]

    assert ("django", "json") == (line["adapter"], line["log_format"])


def test_a_view_that_runs_when_the_server_stops_is_cancelled_with_the_wrapper() -> None:
    """uvicorn ends its process before the view is cancelled, unless there is a lifespan."""
    key = new_id()
    app = "tests.apps.django_app.instrumented:served"
    env = {"DJANGO_APP_IS_ASYNC": "1"}
    with uvicorn(app, "--timeout-graceful-shutdown", "1", env=env) as server:
        with server.connect() as connection:
            request = f"GET /slow/{key} HTTP/1.1\r\nHost: test\r\nX-Trace-ID: {key}\r\n\r\n"
            connection.sendall(request.encode())
            server.wait_for(lambda: any("waiting" in line for line in server.out))
            server.stop()
        lines = [json.loads(line) for line in server.out]

    [line] = [line for line in lines if line["event"] == "request_finished"]
    assert (key, "cancelled", "info") == (line["trace_id"], line["outcome"], line["level"])
    assert [] == [line for line in lines if "unsupported" in line["event"]]
