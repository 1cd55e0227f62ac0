"""Mistakes with `instrument`: a result that is thrown away, a second call, parts and classes."""

from __future__ import annotations

import weakref
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import ConfigError, Health, Settings, TraceIdMiddleware, instrument
from pantheon_obs.adapters.wsgi import TraceIdMiddleware as WsgiMiddleware
from pantheon_obs.testing import capture_events, reset
from tests.logs.running import run
from tests.logs.test_commands import FLASK, command
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from pathlib import Path

APPS = """
import asyncio, os
from pantheon_obs import instrument

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

def wsgi(environ, start_response):
    start_response("204 No Content", [])
    return []

async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}

async def send(message):
    pass

def call_asgi(app, kind="http"):
    scope = {"type": kind, "method": "GET", "path": "/", "headers": []}
    asyncio.run(app(scope, receive, send))

def call_wsgi(app):
    body = app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)
    list(body)
    getattr(body, "close", lambda: None)()
"""


def events_of(program: str, *ignored: str) -> list[str]:
    """Run a program that has the apps; return its events, without those that all have."""
    events = run(f"{APPS}\n{program}").events
    return [event for event in events if event not in {"observability_configured", *ignored}]


@pytest.mark.parametrize("app", ["asgi", "wsgi"])
def test_a_wrapper_that_is_thrown_away_is_a_warning_at_once(app: str) -> None:
    """`instrument(app)` as a statement does nothing for an object that can only be wrapped."""
    done = run(f"{APPS}\ninstrument({app})\nlogging.info('serving')")

    configured, unused, serving = done.lines
    assert ["observability_configured", "serving"] == [configured["event"], serving["event"]]
    assert ("wrapper_unused", "warning", "pantheon_obs") == tuple(
        unused[key] for key in ("event", "level", "logger")
    )
    assert unused["app"].startswith(f"<function {app} at ")
    assert unused["problem"].endswith("serve its result, app = instrument(app)")


@pytest.mark.parametrize("options", ["", "log_delivery='queue'"])
def test_a_wrapper_that_is_kept_and_never_called_is_a_warning_when_the_process_ends(
    options: str,
) -> None:
    """The server was given the application itself."""
    program = f"served = instrument(asgi, {options}); call_asgi(asgi); logging.info('ending')"

    assert ["ending", "wrapper_unused"] == events_of(program)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("call_asgi(instrument(asgi))", id="asgi"),
        pytest.param("call_asgi(instrument(asgi), 'lifespan')", id="asgi-lifespan"),
        pytest.param("call_wsgi(instrument(wsgi))", id="wsgi"),
        pytest.param("asgi = instrument(asgi); call_asgi(instrument(asgi))", id="twice"),
        pytest.param("call_asgi(instrument(instrument(asgi).__call__))", id="within-asgi"),
        pytest.param(
            "inner = instrument(wsgi); call_wsgi(instrument(lambda *given: inner(*given)))",
            id="within-wsgi",
        ),
        pytest.param("app = instrument(wsgi); os.fork() or call_wsgi(app)", id="forked"),
    ],
)
def test_a_wrapper_that_is_called_is_none(program: str) -> None:
    """Within another trace too; a parent process may leave the calls to its children."""
    assert [] == events_of(program, "request_finished")


def test_an_application_that_is_instrumented_in_place_is_no_wrapper() -> None:
    """The statement is enough."""
    pytest.importorskip("starlette")
    program = "from starlette.applications import Starlette; instrument(Starlette())"

    assert [] == events_of(program)


def test_a_wrapper_that_a_command_leaves_unused_is_none(tmp_path: Path) -> None:
    """The command serves nothing."""
    pytest.importorskip("flask")
    program = FLASK.format(extra="kept = instrument(lambda environ, start_response: [])")
    done = command(tmp_path, program, "flask", "routes")

    assert b"/static/" in done.stdout
    assert b'"made"' in done.stderr
    assert b"wrapper_unused" not in done.stderr


def test_a_wrapper_is_reported_where_there_is_no_fork() -> None:
    """Windows has no `os.fork`."""
    # These modules ask for the platform, not for the function.
    no_fork = "import asyncio, os, random\ndel os.register_at_fork"
    done = run(f"{no_fork}\n{APPS}\ninstrument(asgi)")

    assert ["observability_configured", "wrapper_unused"] == done.events


def test_reset_forgets_the_wrappers() -> None:
    """A test suite may make applications that it does not call."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Serve nothing."""

    wrapper = instrument(app)
    reset()
    with capture_events() as events:
        del wrapper
        collect_garbage()

    assert [] == events


FRAMEWORKS = [
    ("starlette.applications", "Starlette", {}),
    ("fastapi", "FastAPI", {}),
    ("flask", "Flask", {"import_name": "shop"}),
    ("quart", "Quart", {"import_name": "shop"}),
    ("litestar", "Litestar", {}),
]


def make(module: str, name: str, options: dict[str, Any]) -> Any:
    """Make an application of a framework."""
    pytest.importorskip(module.partition(".")[0])
    return getattr(import_module(module), name)(**options)


def ignored(events: list[dict[str, Any]]) -> list[list[str]]:
    """Select the options that were ignored, per call."""
    return [event["options"] for event in events if event["event"] == "instrument_ignored"]


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=[name for _, name, _ in FRAMEWORKS])
def test_a_second_call_with_other_options_is_a_warning(framework: Any) -> None:
    """It names the options; the first call's stay in force."""
    app = make(*framework)
    with capture_events() as events:
        instrument(app, log_level="INFO")
        instrument(app, log_level="DEBUG", health=True, response_headers="X-Trace-ID")

    [warning] = [event for event in events if event["event"] == "instrument_ignored"]
    assert ("warning", "pantheon_obs", ["health", "log_level"]) == tuple(
        warning[key] for key in ("level", "logger", "options")
    )


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """Serve nothing."""


def test_a_second_call_for_a_wrapper_is_a_warning_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `Settings` object asks for all of its fields."""
    monkeypatch.delenv("PANTHEON_OBS_SLOW_LOOP_MS", raising=False)
    with capture_events() as events:
        app = instrument(plain, service="shop")
        assert app is instrument(app, Settings())

    assert [["service"]] == ignored(events)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({}, {}, id="bare"),
        pytest.param({"log_level": "DEBUG", "health": True}, {}, id="bare-after-options"),
        pytest.param({"log_level": "INFO"}, {"log_level": "info"}, id="equal"),
        pytest.param({}, {"log_level": "INFO", "health": False}, id="the-defaults"),
        pytest.param({"health": True}, {"health": True}, id="health"),
    ],
)
def test_a_second_call_that_asks_for_nothing_else_is_none(first: Any, second: Any) -> None:
    """A library may call `instrument` once more."""
    with capture_events() as events:
        app = instrument(plain, **first)
        instrument(app, **second)

    assert [] == ignored(events)


def test_another_health_is_an_option_that_is_ignored() -> None:
    """Its checks would never run."""
    health = Health()
    with capture_events() as events:
        app = instrument(plain, health=health)
        instrument(app, health=health)
        instrument(app, health=Health())

    assert [["health"]] == ignored(events)


class Unhashable:
    """An application without a hash."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


def test_an_application_without_a_hash_is_instrumented() -> None:
    """It is instrumented in place, and only the warning is missing."""
    starlette = pytest.importorskip("starlette.applications")
    own = {name: vars(Unhashable)[name] for name in ("__eq__", "__hash__")}
    kind = type("App", (starlette.Starlette,), own)
    app = kind()
    with capture_events() as events:
        assert app is instrument(app) is instrument(app, health=True)

    assert ["observability_configured"] == [event["event"] for event in events]


def test_a_middleware_that_was_made_by_hand_has_no_options_to_compare() -> None:
    """`instrument` returns it, as one of its own."""
    middleware = TraceIdMiddleware(plain, on_startup=lambda: None)
    with capture_events() as events:
        assert middleware is instrument(middleware, health=True)

    assert [] == events


def instrumented_with_closures(framework: Any) -> weakref.ref[Any]:
    """Make an application, and give `instrument` options that refer to it."""
    app = make(*framework)
    instrument(app, health=Health(app=lambda: app is not None), id_generator=lambda: str(app))
    return weakref.ref(app)


@pytest.mark.parametrize("framework", FRAMEWORKS[:3], ids=[name for _, name, _ in FRAMEWORKS[:3]])
def test_options_that_refer_to_the_application_do_not_keep_it(framework: Any) -> None:
    """Checks and an `id_generator` may be closures over the application."""
    gone = instrumented_with_closures(framework)

    collect_garbage()

    assert gone() is None


@pytest.mark.parametrize(
    ("module", "name", "options", "instead"),
    [
        ("fastapi", "APIRouter", {}, "the FastAPI object that includes the APIRouter"),
        ("flask", "Blueprint", {"name": "shop", "import_name": "shop"}, "the Flask object that"),
        ("quart", "Blueprint", {"name": "shop", "import_name": "shop"}, "the Quart object that"),
        ("litestar", "Router", {"path": "/", "route_handlers": []}, "the Litestar object that"),
        ("celery", "Celery", {"main": "shop"}, "instrument_celery(app) for a Celery app"),
    ],
)
def test_a_part_of_an_application_is_refused(
    module: str, name: str, options: dict[str, Any], instead: str
) -> None:
    """The message has the object to use."""
    part = make(module, name, options)

    with pytest.raises(ConfigError) as refused:
        instrument(part)

    assert f" is not accepted: use {instead}" in str(refused.value)
    assert name in str(refused.value)


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=[name for _, name, _ in FRAMEWORKS])
def test_the_class_of_an_application_is_refused(framework: Any) -> None:
    """The message has the parentheses that are missing."""
    kind = type(make(*framework))

    with pytest.raises(ConfigError) as refused:
        instrument(kind)

    assert str(refused.value).endswith(f"use an app object, {kind.__name__}(), and not its class")


async def asgi(_scope: Any, _receive: Any, _send: Any) -> None:
    """Speak ASGI."""


def wsgi(_environ: Any, _start_response: Any) -> list[bytes]:
    """Speak WSGI."""
    return []


def get_response(_request: Any) -> None:
    """Stand for the rest of Django's middlewares."""


@pytest.mark.parametrize("app", [wsgi, get_response])
def test_the_asgi_middleware_around_something_else_is_refused(app: Any) -> None:
    """Where it is made, and not at each request; the message names the other two."""
    with pytest.raises(ConfigError) as refused:
        TraceIdMiddleware(app)

    message = str(refused.value)
    assert " is not accepted: use an ASGI application: app.add_middleware(" in message
    assert "'pantheon_obs.adapters.wsgi.TraceIdMiddleware'" in message
    assert "'pantheon_obs.adapters.django.TraceIdMiddleware'" in message


@pytest.mark.parametrize("app", [asgi, get_response])
def test_the_wsgi_middleware_around_something_else_is_refused(app: Any) -> None:
    """As above."""
    with pytest.raises(ConfigError) as refused:
        WsgiMiddleware(app)

    message = str(refused.value)
    assert " is not accepted: use a WSGI application: app.wsgi_app = TraceIdMiddleware(" in message
    assert "'pantheon_obs.TraceIdMiddleware'" in message
    assert "'pantheon_obs.adapters.django.TraceIdMiddleware'" in message


@pytest.mark.parametrize("middleware", [TraceIdMiddleware, WsgiMiddleware], ids=["asgi", "wsgi"])
def test_a_callable_that_takes_any_arguments_is_accepted(middleware: Any) -> None:
    """So is one whose arguments nobody can know."""
    for app in (lambda *_arguments: None, min):
        assert middleware(app).app is app
