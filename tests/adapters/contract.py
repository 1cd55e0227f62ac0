"""The table of adapters, and how the contract's tests talk to a served application.

A new adapter joins with a sample application in `tests/apps/` and one row in `ADAPTERS`: its name,
how the application is served, and the features that it cannot offer. The contract, and the tests of
Sentry and of the servers, then run over it.
"""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.apps.neutral import angled
from tests.support import loopback
from tests.support.lines import parse_line
from tests.support.server import Server, gunicorn, uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping

    import httpx

FINISHED = ("request_finished", "websocket_finished")
SENT_TWICE = {"my-custom-id"}  # ids that tests of echoing use again


JSON_LOGGER = ("--logger-class", "pantheon_obs.adapters.gunicorn.JSONLogger")
# More threads than a test has requests waiting. Longer headers are hostile ones, and must reach us.
WITH_THREADS = (
    *("--threads", "32", "--no-control-socket", "--limit-request-field_size", "65536"),
    *JSON_LOGGER,
)


class Adapter(NamedTuple):
    """One way for requests to come in.

    Attributes:
        name: The adapter's name; it begins with the name of the framework's package.
        app: The sample application, `module:attribute` below `tests.apps`.
        server: The server of the contract's tests, which says the protocol too.
        options: The server's options.
        env: Environment variables.
        cannot: The features of the contract that the adapter has no notion of.
        template: Writes a route's template in the syntax of the framework.
    """

    name: str
    app: str
    server: Callable[..., Server] = uvicorn
    options: tuple[str, ...] = ()
    env: Mapping[str, str] = MappingProxyType({})
    cannot: frozenset[str] = frozenset()
    template: Callable[[str], str] = str

    @property
    def path(self) -> str:
        """The application's full path."""
        return f"tests.apps.{self.app}"

    @property
    def is_asgi(self) -> bool:
        """Whether it speaks ASGI, not WSGI."""
        return self.server is uvicorn

    @property
    def package(self) -> str | None:
        """The package of its framework, if it has one."""
        package = self.name.partition("-")[0]
        return None if package in {"asgi", "wsgi"} else package

    def serve(self, *uvicorn_options: str, env: Mapping[str, str] | None = None) -> Server:
        """Start the server, with further options if it is uvicorn."""
        options = (*self.options, *(uvicorn_options if self.is_asgi else ()))
        return self.server(self.path, *options, env={**self.env, **(env or {})})

    def needs(self, *features: str) -> None:
        """Skip a test of a feature that this adapter has no notion of."""
        for feature in features:
            if feature in self.cannot:
                pytest.skip(f"{self.name} cannot: {feature}")


# By default the Django adapter sets two headers; tests/adapters/test_django.py tests those.
DJANGO = {"PANTHEON_OBS_RESPONSE_HEADERS": "X-Trace-ID"}
WITHOUT_ROUTER = frozenset({"methods", "mounts", "routes", "slash redirects", "validation"})
# A thread cannot be cancelled, and a server notices that a client has left only when it writes.
ON_THREADS = frozenset({"departures", "half responses", "lifespan", "shutdown", "websockets"})
OF_DJANGO = frozenset(
    {"background", "lifespan", "mounted files", "no response", "validation", "websockets"}
)

ADAPTERS = (
    Adapter("asgi", "asgi_app:app", cannot=WITHOUT_ROUTER | {"sync endpoints"}),
    Adapter("starlette", "starlette_app:app", cannot=frozenset({"no response", "validation"})),
    Adapter("fastapi", "fastapi_app:app", cannot=frozenset({"no response"})),
    Adapter(
        "litestar",
        "litestar_app:app",
        cannot=frozenset({"mounted files", "no response", "slash redirects", "validation"}),
    ),
    Adapter(
        "quart",
        "quart_app:app",
        # Since 0.23 it leaves a handshake open that its handler does not answer.
        cannot=frozenset({"mounted files", "no response", "silent websockets", "validation"}),
        template=angled,
    ),
    Adapter(
        "wsgi",
        "wsgi_app:app",
        gunicorn,
        WITH_THREADS,
        # An app that starts no response has taken the connection over, so it gets none of ours.
        cannot=ON_THREADS | WITHOUT_ROUTER | {"no response"},
    ),
    Adapter(
        "flask",
        "flask_app:app",
        gunicorn,
        WITH_THREADS,
        cannot=ON_THREADS | {"mounted files", "no response", "validation"},
        template=angled,
    ),
    Adapter(
        "django-wsgi",
        "django_app.wsgi:application",
        gunicorn,
        WITH_THREADS,
        env=DJANGO,
        # A WSGI server does not notice a client that leaves before its answer is there.
        cannot=OF_DJANGO | {"departures", "shutdown"},
        template=angled,
    ),
    Adapter(
        "django-asgi",
        "django_app.asgi:application",
        options=("--lifespan", "off"),
        env=DJANGO,
        # Django collects a sync stream before it sends it, and cancels a view whose client has
        # left. Before Django 6 the server's own cancelling does not reach the view. Django reads
        # the whole body before it calls a middleware.
        cannot=OF_DJANGO | {"shutdown", "sync streams", "uploads"},
        template=angled,
    ),
)

# Django calls a middleware synchronously, under ASGI too, as soon as another one is sync only. In a
# process of its own only: the environment has the project's settings.
SYNC_STACK = Adapter(
    "django-asgi-sync",
    "django_app.asgi:application",
    options=("--lifespan", "off"),
    env={
        **DJANGO,
        "DJANGO_APP_SETTINGS": json.dumps(
            {
                "MIDDLEWARE": [
                    "pantheon_obs.adapters.django.TraceIdMiddleware",
                    "tests.apps.django_app.middleware.sync_only",
                    "tests.apps.django_app.middleware.Cors",
                    "tests.apps.django_app.middleware.SlashMiddleware",
                ]
            }
        ),
    },
    cannot=OF_DJANGO | {"shutdown", "sync streams", "uploads"},
    template=angled,
)

PACKAGES = sorted({adapter.package for adapter in ADAPTERS if adapter.package})
"""The frameworks' packages."""


class Service:
    """A served application: requests go in, its log lines come out."""

    def __init__(self, adapter: Adapter, server: Server) -> None:
        self.adapter = adapter
        self.server = server
        self.client = loopback.client_of(server, limits=loopback.ONE_EACH)
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

    def send(self, path: str, *headers: tuple[bytes, bytes], method: str = "GET") -> socket.socket:
        """Send a request byte for byte; the connection stays open."""
        connection = self.server.connect()
        lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: test"]
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
        # Late lines have been written when a later request has ended.
        later = self.client.get("/ok").headers["x-trace-id"]
        self.wait_for(later, "request_finished")
        return [line for line in self.lines if line.get("trace_id") == trace_id]

    def story(self, of: httpx.Response | str) -> dict[str, Any]:
        """Find the one line that says how a request or websocket ended."""
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
    """Make a trace id that no other test has."""
    return str(uuid.uuid4())


def check_whole_output(service: Service) -> None:
    """Check a stopped server's output: only valid lines, one per request, no telemetry failure."""
    service.client.close()
    assert [] == service.server.err
    lines = service.lines
    stories = [line["trace_id"] for line in lines if line["event"] in FINISHED]
    repeated = {trace_id for trace_id in stories if stories.count(trace_id) > 1}
    assert repeated <= SENT_TWICE
    assert [] == [line for line in lines if line["event"] == "telemetry_failed"]


def as_json(response: httpx.Response) -> Any:
    """Parse the body."""
    return json.loads(response.content)
