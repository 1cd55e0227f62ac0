"""The applications under their real servers, with requests to them and their answers."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import uuid4

import httpx

from tests.bugsink.apps import SECRET
from tests.support.lines import parse_line
from tests.support.server import SECONDS, Server, granian, gunicorn, hypercorn, uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

APPS = "tests.bugsink.apps"
JSON_LOGGER = ("--logger-class", "pantheon_obs.adapters.gunicorn.JSONLogger")
THREADED = ("--threads", "8", "--no-control-socket", *JSON_LOGGER)
LOG_CONFIG = str(files("pantheon_obs") / "log_config.json")
AT_ONCE = 4
"""Number of applications that run side by side; their start keeps the processor busy."""


class Kind(NamedTuple):
    """An application and its server.

    Attributes:
        serve: Starts the server.
        app: What it serves, `module:attribute` below `apps`.
        options: More options of the server's.
        rate: Sentry's own tracing, on or off.
        in_background: Whether the framework has background tasks.
        env: Environment variables.
    """

    serve: Callable[..., Server]
    app: str
    options: tuple[str, ...] = ()
    rate: str = "0"
    in_background: bool = False
    env: Mapping[str, str] = MappingProxyType({})


KINDS = {
    "fastapi": Kind(uvicorn, "fastapi_app:app", rate="1", in_background=True),
    "starlette": Kind(hypercorn, "starlette_app:app", in_background=True),
    "litestar": Kind(uvicorn, "litestar_app:app", in_background=True),
    "quart": Kind(hypercorn, "quart_app:app", rate="1", in_background=True),
    "flask": Kind(gunicorn, "flask_app:app", THREADED, rate="1"),
    "django-wsgi": Kind(gunicorn, "django_project.wsgi:app", THREADED),
    # Django refuses the lifespan that uvicorn offers it: that is no failure.
    "django-asgi": Kind(uvicorn, "django_project.asgi:app", rate="1"),
    "asgi": Kind(
        granian, "asgi_app:app", ("--interface", "asgi"), env={"GRANIAN_LOG_CONFIG": LOG_CONFIG}
    ),
    "wsgi": Kind(gunicorn, "wsgi_app:app", THREADED, rate="1"),
}
PRELOADED = Kind(
    gunicorn, "preloaded:app", ("--preload", "--workers", "4", "--no-control-socket", *JSON_LOGGER)
)


class Answer(NamedTuple):
    """The response as the client got it."""

    status: int
    trace_id: str
    body: str


def parts_of(response: httpx.Response) -> Iterator[bytes]:
    """Read a body as far as it arrives; some break off."""
    with suppress(httpx.ReadError, httpx.RemoteProtocolError):
        yield from response.iter_bytes()


class Service:
    """A running application; its `with` block stops it.

    Attributes:
        answers: The answers by path.
        lines: The lines of its standard output, once it is stopped.
        err: Its standard error, once it is stopped.
    """

    def __init__(self, kind: Kind, **env: str) -> None:
        """Start it; `wait_until_ready` waits."""
        env = {
            "no_proxy": "127.0.0.1",
            "SENTRY_TRACES_SAMPLE_RATE": kind.rate,
            **kind.env,
            **env,
        }
        self.server = kind.serve(f"{APPS}.{kind.app}", *kind.options, env=env, ready=False)
        # A connection per request: none is left for a server to wait for.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(limits=limits, timeout=SECONDS, trust_env=False)
        self.answers: dict[str, Answer] = {}
        self.lines: list[dict[str, Any]] = []
        self.err: list[str] = []

    def url_of(self, path: str) -> str:
        """Build the URL of a path, without its query."""
        return f"{self.server.url}{path.partition('?')[0]}"

    def ask(self, path: str, trace_id: str = "", method: str = "GET") -> None:
        """Send a request with secrets in each part."""
        _, _, query = path.partition("?")
        headers = {
            "Authorization": f"Bearer {SECRET}",
            "Cookie": f"session={SECRET}",
            "X-Auth-Token": SECRET,
        }
        if trace_id:
            headers["X-Trace-ID"] = trace_id
        with self._client.stream(
            method,
            f"{self.url_of(path)}?{query}&token={SECRET}",
            headers=headers,
            content=json.dumps({"password": SECRET}) if method == "POST" else None,
        ) as response:
            body = b"".join(parts_of(response))
        self.answers[path] = Answer(
            response.status_code, response.headers["x-trace-id"], body.decode()
        )

    def ask_at_once(self, names: Sequence[str]) -> None:
        """Send a request per name; the application answers when all have arrived."""
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda name: self.ask(f"/meet/{name}", uuid4().hex), names))

    def lines_of(self, trace_id: str) -> list[dict[str, Any]]:
        """Return its lines in a trace."""
        return [line for line in self.lines if line.get("trace_id") == trace_id]

    def stop(self) -> int:
        """Stop it, read its output, and return its exit status."""
        self._client.close()
        status = self.server.stop()
        self.lines = [parse_line(line.encode()) for line in self.server.out]
        self.err = self.server.err
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()
