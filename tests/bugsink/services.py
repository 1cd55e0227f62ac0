"""The applications under their real servers, with requests to them and their answers."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.resources import files
from itertools import cycle
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from uuid import uuid4

import httpx

from tests.adapters.contract import ADAPTERS
from tests.apps.failures import SECRET
from tests.support.lines import parse_line
from tests.support.server import SECONDS, Server, granian, gunicorn, hypercorn, uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

JSON_LOGGER = ("--logger-class", "pantheon_obs.adapters.gunicorn.JSONLogger")
LOG_CONFIG = str(files("pantheon_obs") / "log_config.json")
AT_ONCE = 4
"""Number of applications that run side by side; their start keeps the processor busy."""


class Kind(NamedTuple):
    """An application and its server.

    Attributes:
        app: The application, `module:attribute`.
        serve: Starts the server.
        options: More options of the server's.
        env: Environment variables.
        rate: Sentry's own tracing, on or off.
        in_background: Whether the framework has background tasks.
    """

    app: str
    serve: Callable[..., Server]
    options: tuple[str, ...] = ()
    env: Mapping[str, str] = MappingProxyType({})
    rate: str = "0"
    in_background: bool = False


GRANIAN = (granian, ("--interface", "asgi"), {"GRANIAN_LOG_CONFIG": LOG_CONFIG})
HYPERCORN: tuple[Any, ...] = (hypercorn, (), {})
UVICORN: tuple[Any, ...] = (uvicorn, (), {})
# Each server in turn. Django refuses the lifespan that uvicorn offers it: that is no failure.
ASGI_SERVERS = cycle([GRANIAN, HYPERCORN, UVICORN, UVICORN, HYPERCORN, UVICORN])
WSGI_SERVERS = cycle([(gunicorn, ("--threads", "8", "--no-control-socket", *JSON_LOGGER), {})])
RATES = cycle("01")
KINDS = {
    adapter.name: Kind(
        adapter.path,
        *next(ASGI_SERVERS if adapter.is_asgi else WSGI_SERVERS),
        rate=next(RATES),
        in_background="background" not in adapter.cannot,
    )
    for adapter in ADAPTERS
}
PRELOADED = Kind(
    "tests.bugsink.apps.preloaded:app",
    gunicorn,
    ("--preload", "--workers", "4", "--no-control-socket", *JSON_LOGGER),
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
        self.server = kind.serve(kind.app, *kind.options, env=env, ready=False)
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
