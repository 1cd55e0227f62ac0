"""A Starlette and a Flask application with hooks that misbehave, bare or instrumented.

`GET /fault/DOOR/HOW` says which hook misbehaves from now on, and `GET /called` how often it did.
With `FAULTS_BARE` in the environment nothing of the library runs; the hooks of logging, structlog
and Sentry are the application's own and misbehave then too. So it is not the sample application,
which is always instrumented.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import CancelledError
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import prometheus_client
import sentry_sdk
import structlog
from flask import Flask, Response
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration
from sentry_sdk.transport import Transport
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from pantheon_obs import Health, budget, instrument, llm_call, measure
from pantheon_obs.core.pipeline import add_sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BARE = "FAULTS_BARE" in os.environ
SECONDS = 30.0
chosen = ["", ""]
released = [threading.Event()]
called = [0]


def hook(door: str, usual: Callable[..., Any] = lambda *_arguments, **_options: None) -> Any:
    """Make a hook that does as usual, unless it is the one that was chosen."""

    def misbehave(*arguments: Any, **options: Any) -> Any:
        how = chosen[1] if chosen[0] == door else ""
        called[0] += bool(how)
        if how == "raises":
            raise RuntimeError(door)
        if how == "is-cancelled":
            raise CancelledError
        if how == "is-slow":
            time.sleep(0.01)
        if how == "hangs":
            released[0].wait(SECONDS)
        return object() if how == "returns-nonsense" else usual(*arguments, **options)

    return misbehave


class Sink:
    """A sink of the application's own."""

    name = "misbehaving"
    handle = staticmethod(hook("sink-handle"))
    started = staticmethod(hook("sink-started"))
    ended = staticmethod(hook("sink-ended"))
    adopt = staticmethod(hook("sink-adopt"))
    timed = staticmethod(hook("sink-timed"))


handled = hook("handler")


class Other(logging.Handler):
    """A handler of the application's own; it stands before any other one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Misbehave, but for the servers' records: that would end the bare ones."""
        if record.name.startswith(("faults", "pantheon_obs")):
            handled(record)


class Collector(prometheus_client.registry.Collector):
    """A collector of the application's own."""

    collect = staticmethod(hook("collector", lambda: ()))


class Nowhere(Transport):
    """Sends nothing."""

    def capture_envelope(self, envelope: object) -> None:
        """Forget it."""


class Value:
    """A value that is logged."""

    __repr__ = hook("repr", object.__repr__)


made_record = hook("factory", logging.LogRecord)


def make_record(name: str, *arguments: Any, **options: Any) -> Any:
    """Make a record; a factory that fails for the records of servers ends the bare ones."""
    known = name.startswith(("faults", "pantheon_obs"))
    return (made_record if known else logging.LogRecord)(name, *arguments, **options)


logging.getLogger().addHandler(Other())
logging.getLogger().addHandler(logging.StreamHandler())
logging.getLogger("faults").addFilter(hook("filter", lambda _record: True))
logging.setLogRecordFactory(make_record)
structlog.configure(
    processors=[
        hook("processor", lambda _logger, _name, event: event),
        structlog.processors.JSONRenderer(default=object.__repr__),
    ]
)
sentry_sdk.init(
    "http://key@127.0.0.1:1/1",
    auto_enabling_integrations=False,  # importing all takes many seconds
    integrations=[FlaskIntegration(), StarletteIntegration()],
    transport=Nowhere,
    before_send=hook("before-send", lambda event, _hint: event),
    before_breadcrumb=hook("before-breadcrumb", lambda crumb, _hint: crumb),
    traces_sampler=hook("traces-sampler", lambda _context: 1.0),
)


def answer() -> dict[str, str]:
    """Answer as a model does."""
    return {"answer": "42"}


if not BARE:
    costs = hook("prices", lambda _call: 1.0)
    answer = llm_call(model=hook("model"), usage=hook("usage"), prices=costs)(answer)
    answer = measure("answer")(answer)


def ask() -> str:
    """Call the model, which goes beyond a budget."""
    with nullcontext() if BARE else budget(0.5, on_exceeded=hook("exceeded")):
        return str(answer())


def log() -> str:
    """Log through every kind of logger."""
    logging.getLogger("faults").warning("said %s", "this", extra={"value": Value()})
    structlog.get_logger("faults").warning("said", value=Value())
    return "logged"


def parts() -> Iterator[bytes]:
    """Stream an answer."""
    yield from (b"one", b"two")


def starlette() -> Starlette:
    """Make the application."""
    return Starlette(
        routes=[
            Route("/ok", lambda _: PlainTextResponse("ok")),
            Route("/llm", lambda _: PlainTextResponse(ask())),
            Route("/log", lambda _: PlainTextResponse(log())),
            Route("/stream", lambda _: StreamingResponse(parts())),
            Route("/boom", lambda request: request.no_such_attribute),
        ]
    )


def flask() -> Flask:
    """Make the application."""
    made = Flask(__name__)
    made.add_url_rule("/ok", "ok", lambda: "ok")
    made.add_url_rule("/llm", "llm", ask)
    made.add_url_rule("/log", "log", log)
    made.add_url_rule("/stream", "stream", lambda: Response(parts()))
    made.add_url_rule("/boom", "boom", lambda: {}["boom"])
    return made


def choose(path: str) -> str | None:
    """Choose the hook that a path names; return an answer to the test."""
    if path == "/called":
        return str(called[0])
    if not path.startswith("/fault/"):
        return None
    chosen[:], called[0] = path.split("/")[2:], 0
    released[0].set()
    released[0] = threading.Event()
    return "chosen"


plain_asgi, made_asgi, plain_wsgi, made_wsgi = starlette(), starlette(), flask(), flask()
if not BARE:
    add_sink(Sink())  # type: ignore[arg-type]
    prometheus_client.REGISTRY.register(Collector())
    health = Health(timeout=0.2, cache_ttl=0, hooked=hook("check"))
    instrument(plain_asgi, health=health, metrics_path="/metrics")
    instrument(made_asgi, id_generator=hook("id"))
    instrument(plain_wsgi, health=health, metrics_path="/metrics")
    instrument(made_wsgi, id_generator=hook("id"))


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Serve over ASGI."""
    said = choose(scope.get("path", ""))
    if said is not None:
        await PlainTextResponse(said)(scope, receive, send)
    else:
        await (made_asgi if chosen[0] == "id" else plain_asgi)(scope, receive, send)


def wsgi(environ: Any, start_response: Any) -> Any:
    """Serve over WSGI."""
    said = choose(environ["PATH_INFO"])
    if said is not None:
        start_response("200 OK", [("Content-Length", str(len(said)))])
        return [said.encode()]
    return (made_wsgi if chosen[0] == "id" else plain_wsgi)(environ, start_response)
