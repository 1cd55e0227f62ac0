"""For each trace a sink gets one call of `started` and one of `ended`, however it ends."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs.adapters.wsgi import TraceIdMiddleware
from tests.adapters import messages, wsgi_server
from tests.adapters.counting import Counter, counting
from tests.adapters.messages import BODY, START, raises, sends
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import Callable

counter = pytest.fixture(counting)

PARTS = {**BODY, "more_body": True}
ACCEPT = {"type": "websocket.accept"}
DISCONNECT = {"type": "websocket.disconnect", "code": 1001}


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(sends(START, BODY), id="complete"),
        pytest.param(sends(START, PARTS), id="unfinished"),
        pytest.param(sends(), id="nothing"),
        pytest.param(raises(LookupError()), id="raised"),
        pytest.param(raises(LookupError(), START, BODY), id="background"),
        pytest.param(raises(asyncio.CancelledError(), START), id="cancelled"),
        pytest.param(raises(SystemExit(1)), id="exit"),
    ],
)
@pytest.mark.parametrize("quiet", [False, True], ids=["loud", "quiet"])
def test_http_over_asgi(counter: Counter, app: Callable[..., Any], *, quiet: bool) -> None:
    """An ASGI application may end in each of these ways, on quiet paths as well."""
    messages.Server(app, path="/health/live" if quiet else "/").serve()

    assert (1, 1, 0) == counter.report()


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(sends(ACCEPT), id="returned"),
        pytest.param(sends(), id="nothing"),
        pytest.param(raises(LookupError(), ACCEPT), id="raised"),
        pytest.param(raises(asyncio.CancelledError(), ACCEPT), id="cancelled"),
    ],
)
def test_a_websocket(counter: Counter, app: Callable[..., Any]) -> None:
    """A websocket may end in each of these ways."""
    messages.Server(app, DISCONNECT, type="websocket").serve()

    assert (1, 1, 0) == counter.report()


async def never(scope: Any, receive: Any, send: Any) -> None:
    """Wait forever."""
    await send(START)
    await asyncio.Event().wait()


def test_a_task_that_is_cancelled(counter: Counter) -> None:
    """A server cancels what still runs when it stops."""

    async def serve() -> None:
        server = messages.Server(never)
        task = asyncio.create_task(server.app(server.scope, server.receive, server.send))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(serve())

    assert (1, 1, 0) == counter.report()


def test_a_coroutine_that_the_garbage_collector_closes(counter: Counter) -> None:
    """A loop that is dropped leaves coroutines behind, which are closed in another context."""
    server = messages.Server(never)
    running = server.app(server.scope, server.receive, server.send)
    loop = asyncio.new_event_loop()
    # Its first step runs within the loop's context, its last one here.
    loop.run_until_complete(stepped(running))
    loop.close()
    assert (1, 0, 1) == counter.report()
    del running
    collect_garbage()

    assert (1, 1, 0) == counter.report()


async def stepped(running: Any) -> None:
    """Run one step of a coroutine."""
    running.send(None)


def read(server: wsgi_server.Server) -> None:
    """Serve the request to its end."""
    server.serve()


def leave(server: wsgi_server.Server, *, closes: bool) -> None:
    """Read one part; then close the body or drop it."""
    body = iter(server.call())
    next(body)
    if closes:
        server.close()
    server.body = None


def never_begin(server: wsgi_server.Server) -> None:
    """Drop the body unread."""
    server.call()
    server.body = None


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(wsgi_server.returns([b"a", b"b"]), id="list"),
        pytest.param(wsgi_server.yields(b"a", b"b"), id="stream"),
        pytest.param(wsgi_server.yields(b"a", LookupError()), id="broken"),
        pytest.param(wsgi_server.yields(b"a", KeyboardInterrupt()), id="interrupted"),
    ],
)
@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(read, id="read"),
        pytest.param(partial(leave, closes=True), id="left"),
        pytest.param(partial(leave, closes=False), id="dropped"),
        pytest.param(never_begin, id="unread"),
    ],
)
def test_http_over_wsgi(
    counter: Counter, app: Callable[..., Any], serve: Callable[[wsgi_server.Server], None]
) -> None:
    """A WSGI server may end a body in each of these ways; it may kill a generator."""
    serve(wsgi_server.Server(TraceIdMiddleware(app)))
    collect_garbage()

    assert (1, 1, 0) == counter.report()


@pytest.mark.parametrize("error", [LookupError(), KeyboardInterrupt()])
def test_an_app_over_wsgi_that_raises(counter: Counter, error: BaseException) -> None:
    """An app may raise before its response, whether we answer or not."""
    wsgi_server.Server(TraceIdMiddleware(wsgi_server.raises(error))).serve()

    assert (1, 1, 0) == counter.report()


def counts_of(*program: str) -> tuple[list[int], str]:
    """Run a program that prints counts; return them and its standard error."""
    done = subprocess.run(
        [sys.executable, "-m", *program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(done.stdout or "[]"), done.stderr


def test_django() -> None:
    """A request of Django may end in each of these ways, under WSGI and ASGI."""
    pytest.importorskip("django")
    counts, errors = counts_of("tests.adapters.django_pairs")

    assert [13, 13, 0] == counts, errors


@pytest.mark.parametrize(("kind", "rpcs"), [("sync", 13), ("aio", 18)])
def test_grpc(kind: str, rpcs: int) -> None:
    """An RPC may end in each of these ways: its client leaves, or its server stops."""
    pytest.importorskip("grpc")
    counts, errors = counts_of("tests.adapters.grpc_pairs", kind, "0")

    assert [rpcs, rpcs, 0] == counts, errors
