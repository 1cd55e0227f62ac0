"""An instrumented application is freed with its last reference, where the bare one is."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from weakref import ref

import httpx
import pytest
from fastapi import FastAPI
from flask import Flask
from quart import Quart
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pantheon_obs import instrument
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


async def ask(app: Any) -> None:
    """Send a request to an ASGI application."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert 200 == (await client.get("/")).status_code


def ask_wsgi(app: Any) -> None:
    """Send a request to a WSGI application."""
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test") as client:
        assert 200 == client.get("/").status_code


def flask() -> Any:
    """A Flask application."""
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "ok")
    return app


def quart() -> Any:
    """A Quart application."""

    async def index() -> str:
        return "ok"

    app = Quart(__name__, static_folder=None)  # with one Quart makes a cycle itself
    app.add_url_rule("/", view_func=index)
    return app


def starlette() -> Any:
    """A Starlette application."""

    async def index(_: Any) -> PlainTextResponse:
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/", index)])


def plain() -> Any:
    """A plain callable, which is wrapped."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("ok")(scope, receive, send)

    return app


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Turn off the garbage collector."""
    collect_garbage()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("served", [False, True], ids=["new", "served"])
@pytest.mark.parametrize("build", [flask, quart, starlette, plain])
def test_the_last_reference_frees_the_application(
    uncollected: None, build: Callable[[], Any], *, served: bool
) -> None:
    """No cycle of ours keeps it for the garbage collector, which may run late or never."""
    app = instrument(build())
    if served:
        ask_wsgi(app) if isinstance(app, Flask) else asyncio.run(ask(app))
        collect_garbage()  # what a request leaves behind
    known = ref(app)

    del app

    assert known() is None


def test_no_reference_of_ours_is_in_the_cycles_of_fastapi(uncollected: None) -> None:
    """FastAPI makes cycles itself; nothing of ours refers to the application."""
    app = instrument(FastAPI())
    collect_garbage()

    owners = [type(each).__module__ for each in gc.get_referrers(app)]

    assert [] == [name for name in owners if name.startswith("pantheon_obs")]


@pytest.mark.parametrize(("build", "name"), [(flask, "wsgi_app"), (quart, "asgi_app")])
def test_the_method_that_servers_call_keeps_the_application(
    uncollected: None, build: Callable[[], Any], name: str
) -> None:
    """A factory may return no more than the method, or a middleware around it."""
    served = getattr(instrument(build()), name)

    if name == "wsgi_app":
        ask_wsgi(served)
    else:
        asyncio.run(ask(served))


DJANGO = """
import gc
import io
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["pantheon_obs.adapters.django"],
    MIDDLEWARE=["pantheon_obs.adapters.django.TraceIdMiddleware"],
)
urlpatterns = [path("", lambda request: HttpResponse("ok"))]
app = get_wsgi_application()


def ask():
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "test"}
    environ |= {"SERVER_PORT": "80", "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http"}
    app(environ, lambda *_: None).close()


for _ in range(10):  # what is made once per process
    ask()
gc.collect()
gc.disable()
for _ in range(10):
    ask()
print(gc.collect(), file=open(os.environ["RESULT"], "w"))
"""


def test_a_request_of_django_leaves_nothing_to_the_garbage_collector(tmp_path: Path) -> None:
    """The request carries its trace, and the trace no longer the request once it has ended."""
    pytest.importorskip("django")
    program, result = tmp_path / "program.py", tmp_path / "result"
    program.write_text(DJANGO)

    subprocess.run(
        [sys.executable, program], env={**os.environ, "RESULT": str(result)}, check=True, timeout=60
    )

    assert 0 == int(result.read_text())
