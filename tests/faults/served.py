"""A Starlette and a Flask application, each bare and instrumented, with hooks that misbehave.

`GET /fault/DOOR/HOW` says which hook misbehaves from now on. A path below `/bare` is served by the
bare application, any other one by the instrumented one.
"""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from flask import Flask, Response
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from pantheon_obs import instrument, llm_call
from pantheon_obs.core.pipeline import add_sink

if TYPE_CHECKING:
    from collections.abc import Iterator

chosen = ["", ""]


def hook(door: str) -> Any:
    """Make a hook that does as it should, unless it is the one that was chosen."""

    def misbehave(*_arguments: Any, **_options: Any) -> Any:
        how = chosen[1] if chosen[0] == door else ""
        if how == "raises":
            raise RuntimeError(door)
        if how == "is-cancelled":
            raise CancelledError
        if how == "is-slow":
            time.sleep(0.01)
        return object() if how == "returns-nonsense" else None

    return misbehave


class Sink:
    """A sink of the application's own."""

    name = "misbehaving"
    handle = staticmethod(hook("sink-handle"))
    started = staticmethod(hook("sink-started"))
    ended = staticmethod(hook("sink-ended"))
    adopt = staticmethod(hook("sink-adopt"))


@llm_call(model="m", usage=hook("usage"), prices=hook("prices"))
def ask() -> dict[str, str]:
    """Answer as a model does."""
    return {"answer": "42"}


def parts() -> Iterator[bytes]:
    """Stream an answer."""
    yield from (b"one", b"two")


def starlette() -> Starlette:
    """Make the application."""
    return Starlette(
        routes=[
            Route("/ok", lambda _: PlainTextResponse("ok")),
            Route("/llm", lambda _: PlainTextResponse(str(ask()))),
            Route("/stream", lambda _: StreamingResponse(parts())),
            Route("/boom", lambda request: request.no_such_attribute),
        ]
    )


def flask() -> Flask:
    """Make the application."""
    made = Flask(__name__)
    made.add_url_rule("/ok", "ok", lambda: "ok")
    made.add_url_rule("/llm", "llm", lambda: str(ask()))
    made.add_url_rule("/stream", "stream", lambda: Response(parts()))
    made.add_url_rule("/boom", "boom", lambda: {}["boom"])
    return made


def choose(path: str) -> bool:
    """Choose the hook that a path names."""
    if not path.startswith("/fault/"):
        return False
    chosen[:] = path.split("/")[2:]
    return True


bare_asgi, ours_asgi = starlette(), instrument(starlette(), id_generator=hook("id"))
bare_wsgi, ours_wsgi = flask(), instrument(flask(), id_generator=hook("id"))
add_sink(Sink())  # type: ignore[arg-type]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Serve over ASGI."""
    path = scope.get("path", "")
    if choose(path):
        await PlainTextResponse("chosen")(scope, receive, send)
    elif path.startswith("/bare/"):
        await bare_asgi({**scope, "path": path.removeprefix("/bare")}, receive, send)
    else:
        await ours_asgi(scope, receive, send)


def wsgi(environ: Any, start_response: Any) -> Any:
    """Serve over WSGI."""
    path = environ["PATH_INFO"]
    if choose(path):
        start_response("200 OK", [("Content-Length", "0")])
        return []
    if path.startswith("/bare/"):
        environ["PATH_INFO"] = path.removeprefix("/bare")
        return bare_wsgi(environ, start_response)
    return ours_wsgi(environ, start_response)
