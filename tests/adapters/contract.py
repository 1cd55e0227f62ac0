"""Who takes part in the adapter contract, and how its tests talk to a served app.

A new adapter joins with one row in `ADAPTERS`: its name, what serves an app of it that has the
routes of `apps/raw.py`, and what it cannot do, by name.
"""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest

from tests.support.lines import parse_line
from tests.support.server import SECONDS, Server, gunicorn, uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

FINISHED = ("request_finished", "websocket_finished")
SENT_TWICE = {"my-custom-id"}  # ids that tests of echoing use again


class Adapter(NamedTuple):
    """One way for requests to come in."""

    name: str
    serve: Callable[..., Server]  # takes uvicorn's options and `env`, returns the running server
    packages: tuple[str, ...] = ()  # what it needs installed
    cannot: frozenset[str] = frozenset()  # features of the contract that it has no notion of
    template: Callable[[str], str] = str  # writes a route's template in the framework's own way

    def needs(self, *features: str) -> None:
        """Skip a test of a feature that this adapter has no notion of."""
        for feature in features:
            if feature in self.cannot:
                pytest.skip(f"{self.name} cannot: {feature}")


def serve_raw(*options: str, env: dict[str, str] | None = None) -> Server:
    """A plain ASGI callable."""
    return uvicorn("tests.adapters.apps.raw:app", *options, env=env)


def serve_starlette(*options: str, env: dict[str, str] | None = None) -> Server:
    """A Starlette app."""
    return uvicorn("tests.adapters.apps.starlette_app:app", *options, env=env)


def serve_fastapi(*options: str, env: dict[str, str] | None = None) -> Server:
    """A FastAPI app."""
    return uvicorn("tests.adapters.apps.fastapi_app:app", *options, env=env)


def serve_litestar(*options: str, env: dict[str, str] | None = None) -> Server:
    """A Litestar app."""
    return uvicorn("tests.adapters.apps.litestar_app:app", *options, env=env)


def serve_quart(*options: str, env: dict[str, str] | None = None) -> Server:
    """A Quart app."""
    return uvicorn("tests.adapters.apps.quart_app:app", *options, env=env)


def in_angle_brackets(template: str) -> str:
    """A template as Werkzeug's rules are written."""
    return template.replace("{", "<").replace("}", ">")


def serve_wsgi(*_uvicorn_options: str, env: dict[str, str] | None = None) -> Server:
    """A plain WSGI callable."""
    return gunicorn("tests.adapters.apps.wsgi_app:app", *WITH_THREADS, env=env)


def serve_flask(*_uvicorn_options: str, env: dict[str, str] | None = None) -> Server:
    """A Flask app."""
    return gunicorn("tests.adapters.apps.flask_app:app", *WITH_THREADS, env=env)


# More threads than a test has requests waiting. Longer headers are hostile ones: they are to come
# to us.
WITH_THREADS = (
    *("--threads", "32", "--no-control-socket", "--limit-request-field_size", "65536"),
    *("--logger-class", "pantheon_obs.adapters.gunicorn.JSONLogger"),
)
# A thread cannot be cancelled, and a server tells of a client's departure only when it writes.
WSGI_CANNOT = frozenset({"departures", "half responses", "shutdown", "websockets"})


def serve_django_wsgi(*_uvicorn_options: str, env: dict[str, str] | None = None) -> Server:
    """A Django project by its settings, under a server with threads."""
    options = ("--threads", "32", "--no-control-socket")
    # Headers that are longer are hostile ones: they are to come to us.
    options += ("--limit-request-field_size", "65536")
    options += ("--logger-class", "pantheon_obs.adapters.gunicorn.JSONLogger")
    return gunicorn("tests.adapters.apps.django_app.wsgi", *options, env={**DJANGO, **(env or {})})


def serve_django_asgi(*options: str, env: dict[str, str] | None = None) -> Server:
    """The same project, its views async."""
    return uvicorn(
        "tests.adapters.apps.django_app.asgi:application",
        *("--lifespan", "off", *options),
        env={**DJANGO, **(env or {})},
    )


# Its own default is two headers; those and the rest of its profile are in test_django_*.py.
DJANGO = {"PANTHEON_OBS_RESPONSE_HEADERS": "X-Trace-ID"}
DJANGO_CANNOT = frozenset(
    {"background", "late answers", "mounted files", "no response", "validation", "websockets"}
)


ADAPTERS = (
    Adapter(
        "asgi",
        serve_raw,
        cannot=frozenset(
            {"methods", "mounts", "routes", "slash redirects", "sync endpoints", "validation"}
        ),
    ),
    Adapter(
        "starlette",
        serve_starlette,
        packages=("starlette",),
        cannot=frozenset({"no response", "validation"}),
    ),
    Adapter(
        "fastapi",
        serve_fastapi,
        packages=("fastapi",),
        cannot=frozenset({"no response"}),
    ),
    Adapter(
        "litestar",
        serve_litestar,
        packages=("litestar",),
        cannot=frozenset({"mounted files", "no response", "slash redirects", "validation"}),
    ),
    Adapter(
        "quart",
        serve_quart,
        packages=("quart",),
        # Quart cancels a handler whose client has gone. Since 0.23 it needs some time to be
        # cancelled itself, and leaves a handshake open that its handler does not answer.
        cannot=frozenset(
            {
                "late answers",
                "mounted files",
                "no response",
                "shutdown",
                "silent websockets",
                "validation",
            }
        ),
        template=in_angle_brackets,
    ),
    Adapter(
        "wsgi",
        serve_wsgi,
        packages=("gunicorn",),
        cannot=WSGI_CANNOT | {"methods", "mounts", "routes", "slash redirects", "validation"},
    ),
    Adapter(
        "flask",
        serve_flask,
        packages=("flask", "gunicorn"),
        cannot=WSGI_CANNOT | {"mounted files", "no response", "validation"},
        template=in_angle_brackets,
    ),
    Adapter(
        "django-wsgi",
        serve_django_wsgi,
        packages=("django", "gunicorn"),
        # A WSGI server says nothing of a client that leaves before its answer is there.
        cannot=DJANGO_CANNOT | {"departures", "shutdown"},
        template=in_angle_brackets,
    ),
    Adapter(
        "django-asgi",
        serve_django_asgi,
        packages=("django",),
        # Django collects a sync stream before it sends it, and cancels what has lost its client.
        # Before Django 6 the server's own cancelling does not reach what is behind the handler.
        cannot=DJANGO_CANNOT | {"shutdown", "sync streams"},
        template=in_angle_brackets,
    ),
)


class Service:
    """A served app: requests go in, its lines come out."""

    def __init__(self, adapter: Adapter, server: Server) -> None:
        self.adapter = adapter
        self.server = server
        self.client = httpx.Client(
            base_url=server.url,
            timeout=SECONDS,
            trust_env=False,
            # uvicorn closes a connection after an unhandled error: none is used again.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._parsed: list[dict[str, Any]] = []

    def needs(self, *features: str) -> None:
        """Skip a test of a feature that this adapter has no notion of."""
        self.adapter.needs(*features)

    def get(self, path: str, headers: Any = None, method: str = "GET") -> httpx.Response:
        """Send a request with a trace id of its own, unless it brings headers."""
        return self.client.request(
            method, path, headers={"X-Trace-ID": new_id()} if headers is None else headers
        )

    @contextmanager
    def open(self, path: str, trace_id: str | None = None) -> Iterator[httpx.Response]:
        """Read the response as it comes."""
        headers = {"X-Trace-ID": trace_id or new_id()}
        with self.client.stream("GET", path, headers=headers) as response:
            yield response

    def send(self, path: str, *headers: tuple[bytes, bytes]) -> socket.socket:
        """Send a request byte for byte; the connection stays open."""
        connection = self.server.connect()
        lines = [f"GET {path} HTTP/1.1".encode(), b"Host: test"]
        lines += [name + b": " + value for name, value in headers]
        connection.sendall(b"\r\n".join([*lines, b"", b""]))
        return connection

    def raw(self, path: str, *headers: tuple[bytes, bytes]) -> dict[str, list[str]]:
        """Send a request byte for byte; return the response's headers, repeated ones too."""
        with self.send(path, *headers, (b"Connection", b"close")) as connection:
            head = read_all(connection).partition(b"\r\n\r\n")[0].decode("latin-1")
        found: dict[str, list[str]] = {}
        for line in head.split("\r\n")[1:]:
            name, _, value = line.partition(": ")
            found.setdefault(name.lower(), []).append(value)
        return found

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All lines so far, each validated against the schema."""
        for line in self.server.out[len(self._parsed) :]:
            self._parsed.append(parse_line(line.encode("utf-8", "surrogateescape")))
        return self._parsed

    def lines_of(self, trace_id: str) -> list[dict[str, Any]]:
        """All lines of a trace, once its last one has come and others after it."""
        self.wait_for(trace_id, *FINISHED)
        # What is written late has been written when a later request is through.
        later = self.client.get("/ok").headers["x-trace-id"]
        self.wait_for(later, "request_finished")
        return [line for line in self.lines if line.get("trace_id") == trace_id]

    def story(self, of: httpx.Response | str) -> dict[str, Any]:
        """The one line that tells how a request or websocket ended."""
        trace_id = of if isinstance(of, str) else of.headers["x-trace-id"]
        [story] = [line for line in self.lines_of(trace_id) if line["event"] in FINISHED]
        return story

    def wait_for(self, trace_id: str, *events: str) -> None:
        """Wait for a line of this trace with one of these events."""
        wanted = f'"trace_id":"{trace_id}"'
        names = [f'"event":"{event}"' for event in events]
        self.server.wait_for(
            lambda: any(
                wanted in line and any(name in line for name in names) for line in self.server.out
            ),
            f"{' or '.join(events)} of {trace_id}",
        )

    def release(self, key: str) -> None:
        """Let the handlers that wait at this gate go on."""
        assert self.client.get(f"/release/{key}").status_code == 204


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def new_id() -> str:
    """A trace id that no other test has."""
    return str(uuid.uuid4())


def check_whole_output(service: Service) -> None:
    """After the server has stopped: nothing but valid lines, one per request, none of a failure."""
    service.client.close()
    assert [] == service.server.err
    lines = service.lines
    stories = [line["trace_id"] for line in lines if line["event"] in FINISHED]
    repeated = {trace_id for trace_id in stories if stories.count(trace_id) > 1}
    assert repeated <= SENT_TWICE
    assert [] == [line for line in lines if line["event"] == "telemetry_failed"]


def as_json(response: httpx.Response) -> Any:
    """The body."""
    return json.loads(response.content)
