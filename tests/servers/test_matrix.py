"""Each adapter under its real servers, which run in processes of their own."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.adapters.contract import ADAPTERS, DJANGO
from tests.servers.matrix import ask, check_output, check_requests
from tests.support.server import Server, granian, gunicorn, hypercorn, uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable

LOG_CONFIG = str(files("pantheon_obs") / "log_config.json")
LOGGER_CLASS = {
    "GUNICORN_CMD_ARGS": "--logger-class pantheon_obs.adapters.gunicorn.JSONLogger"
    " --no-control-socket"
}
NO_SOCKET = {"GUNICORN_CMD_ARGS": "--no-control-socket"}  # it has one path for all servers

# FastAPI is an application of Starlette.
ASGI = {
    adapter.name: adapter.path
    for adapter in ADAPTERS
    if adapter.is_asgi and adapter.name != "starlette"
}
WSGI = {adapter.name: adapter.path for adapter in ADAPTERS if not adapter.is_asgi}

# Raw lines that each server prints outside of the application's process; see docs/servers.md.
GUNICORN_S = re.compile(
    r"\[[^]]+\] \[\d+\] \[INFO\] (Starting gunicorn .+|Listening at: .+|Using worker: .+"
    r"|Booting worker with pid: \d+|Handling signal: term|Worker \(pid:\d+\) was sent SIGTERM!"
    r"|Shutting down: Master)"
)
GRANIAN_S = re.compile(
    r"\[INFO\] (Starting granian .+|Listening at: .+|Spawning worker-1 .+|Shutting down granian"
    r"|Stopped worker-1|Granian shutdown completed, see ya!"
    r"|Websockets are not supported on WSGI, ignoring)"
    r"|\[WARNING\] Configuration allows spawning up to .+"
)
UVICORN_S = re.compile(
    r"INFO: +(Uvicorn running on .+|Started parent process .+|Received SIGTERM, exiting\."
    r"|(Terminated|Waiting for) child process .+|Stopping parent process .+"
    r"|Will watch for changes .+|(Started|Stopping) reloader process .+)"
)


class Served(NamedTuple):
    """A server, its options and environment, and a pattern of the lines that stay raw."""

    serve: Callable[..., Server]
    options: tuple[str, ...] = ()
    env: dict[str, str] = {}  # noqa: RUF012 - never changed
    beyond: re.Pattern[str] | None = None


# A client's departure is reported soon, and does not delay the end.
BRIEF = ("--graceful-timeout", "1")
WORKER = ("-k", "asgi", "--asgi-disconnect-grace-period", "1", *BRIEF)
REMEDY = {"GRANIAN_LOG_CONFIG": LOG_CONFIG}

ASGI_SERVERS = {
    "hypercorn": Served(hypercorn, (*BRIEF, "--access-logfile", "-")),
    "granian": Served(granian, ("--interface", "asgi", "--access-log"), REMEDY),
    "gunicorn": Served(gunicorn, WORKER, LOGGER_CLASS),
}
# gunicorn with threads serves all tests of the contract.
WSGI_SERVERS = {
    "gunicorn sync": Served(gunicorn, (*BRIEF, "--access-logfile", "-"), LOGGER_CLASS),
    "granian": Served(granian, ("--interface", "wsgi", "--access-log"), REMEDY),
}
PRELOADED = {
    "gunicorn sync, preload": ("flask", Served(gunicorn, (*BRIEF, "--preload"), NO_SOCKET)),
    "gunicorn threads, preload": (
        "django-wsgi",
        Served(
            gunicorn, (*BRIEF, "--threads", "4", "--preload", "--access-logfile", "-"), NO_SOCKET
        ),
    ),
}
WITHOUT_REMEDY = {
    "granian asgi": ("asgi", Served(granian, ("--interface", "asgi"), beyond=GRANIAN_S)),
    "granian wsgi": ("flask", Served(granian, ("--interface", "wsgi"), beyond=GRANIAN_S)),
    "gunicorn asgi": ("asgi", Served(gunicorn, WORKER, NO_SOCKET, GUNICORN_S)),
    "gunicorn sync": ("wsgi", Served(gunicorn, BRIEF, NO_SOCKET, GUNICORN_S)),
    "gunicorn uvicorn": (
        "asgi",
        Served(gunicorn, ("-k", "uvicorn_worker.UvicornWorker", *BRIEF), NO_SOCKET, GUNICORN_S),
    ),
}
CASES = [
    *(
        pytest.param(name, server, id=f"{name}-{on}")
        for name in ASGI
        for on, server in ASGI_SERVERS.items()
    ),
    *(
        pytest.param(name, server, id=f"{name}-{on}")
        for name in WSGI
        for on, server in WSGI_SERVERS.items()
        # granian reads status and headers before it asks for the body: an application that starts
        # its response with the first part fails there, with us and without.
        if (name, on) != ("wsgi", "granian")
    ),
    *(pytest.param(name, server, id=f"{name}-{on}") for on, (name, server) in PRELOADED.items()),
    *(
        pytest.param(name, server, id=f"{on}, no remedy")
        for on, (name, server) in WITHOUT_REMEDY.items()
    ),
]


@pytest.mark.parametrize(("app", "server"), CASES)
def test_a_served_app_prints_nothing_but_lines(app: str, server: Served) -> None:
    """Each request is one line, the error one traceback; only the documented lines stay raw."""
    framework = app.partition("-")[0]
    if framework not in {"asgi", "wsgi"}:
        pytest.importorskip(framework)
    with server.serve((ASGI | WSGI)[app], *server.options, env={**DJANGO, **server.env}) as running:
        check_requests(running, server.beyond)


@pytest.mark.parametrize("remedy", [True, False], ids=["remedy", "no remedy"])
@pytest.mark.parametrize(
    "option",
    [("--workers", "2"), ("--reload", "--reload-dir", "tests/servers")],
    ids=["workers", "reload"],
)
def test_the_parent_of_uvicorn_s_workers(option: tuple[str, ...], remedy: bool) -> None:  # noqa: FBT001
    """It never imports the application; the log config file makes its output lines."""
    env = {"UVICORN_LOG_CONFIG": LOG_CONFIG} if remedy else {}
    with uvicorn(ASGI["asgi"], *option, env=env) as server:
        ask(server, "/ok")
        failed, _ = ask(server, "/boom")
        server.stop()

    lines = check_output(server, None if remedy else UVICORN_S)
    assert [failed] == [line["trace_id"] for line in lines if "exception" in line]
    assert remedy == any(line["event"].startswith("Uvicorn running") for line in lines)
    assert remedy == any(line["event"].startswith("Stopping") for line in lines)
