"""An application that cannot start or stop: one log line with one traceback, one Sentry event."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from pantheon_obs import TraceIdMiddleware, configure_logging, init_sentry, instrument
from pantheon_obs.testing import capture_events
from tests.sinks.receiver import Receiver
from tests.support.server import SECONDS, environment

pytest.importorskip("starlette")
uvicorn = pytest.importorskip("uvicorn")
sentry_sdk = pytest.importorskip("sentry_sdk")

COMMANDS = {
    "uvicorn": ("--port", "0"),
    "hypercorn": ("--bind", "127.0.0.1:0"),
    "granian": ("--interface", "asgi", "--port", "0"),
    "gunicorn": ("--worker-class", "asgi", "--bind", "127.0.0.1:0"),
}
FAILED = ("lifespan_failed", "error")


@pytest.mark.parametrize("server", COMMANDS)
def test_an_application_that_cannot_start_is_one_event_and_one_line(server: str) -> None:
    """The server also says it as text, or raises an exception of its own around that text."""
    pytest.importorskip("gunicorn.workers.gasgi" if server == "gunicorn" else server)
    with Receiver() as receiver:
        command = [sys.executable, "-m", server, "tests.apps.failing_lifespan:app"]
        env = {"SENTRY_DSN": receiver.dsn, "FAILS": "startup group", "no_proxy": "127.0.0.1"}
        done = subprocess.run(
            [*command, *COMMANDS[server]],
            env={**environment(), **env},
            capture_output=True,
            check=False,
            timeout=SECONDS,
            text=True,
        )
        receiver.wait_for(1)

    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    told = [line for line in lines if "Traceback" in json.dumps(line)]
    assert [FAILED] == [(line["event"], line["level"]) for line in told]
    assert ("startup", "ExceptionGroup") == (told[0]["phase"], told[0]["error_type"])
    [event] = receiver.events
    assert "ExceptionGroup" in [error["type"] for error in event["exception"]["values"]]


async def serve(app: Any) -> None:
    """Start and stop an application as uvicorn does, without its sockets."""
    from uvicorn.lifespan.on import LifespanOn  # noqa: PLC0415 - as above

    lifespan = LifespanOn(uvicorn.Config(app, log_config=None))
    await lifespan.startup()
    if not lifespan.should_exit:
        await lifespan.shutdown()
    assert lifespan.should_exit


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
@pytest.mark.parametrize("kind", ["plain", "silent", "noted", "group"])
def test_any_exception_of_any_phase_is_one_event_and_one_line(
    receiver: Receiver, phase: str, kind: str
) -> None:
    """One without a text, with notes, or a group: the text that the server prints differs."""
    from tests.apps.failing_lifespan import failing  # noqa: PLC0415 - an extra

    configure_logging()
    init_sentry(sentry_dsn=receiver.dsn)
    with capture_events() as events:
        asyncio.run(serve(failing(phase, kind)))
    sentry_sdk.flush()

    told = [event for event in events if "Traceback" in json.dumps(event, default=str)]
    assert [("lifespan_failed", phase)] == [(event["event"], event["phase"]) for event in told]
    assert 1 == len(receiver.events)


def test_two_middlewares_of_ours_say_it_once(receiver: Receiver) -> None:
    """A project may have added one by hand before it found `instrument`."""
    from tests.apps.failing_lifespan import failing  # noqa: PLC0415 - an extra

    app = failing("startup", "plain")
    app.add_middleware(TraceIdMiddleware)
    configure_logging()
    init_sentry(sentry_dsn=receiver.dsn)
    with capture_events() as events:
        asyncio.run(serve(app))
    sentry_sdk.flush()

    assert 1 == [event["event"] for event in events].count("lifespan_failed")
    assert 1 == len(receiver.events)


def test_a_start_up_that_ends_without_an_exception_of_ours_is_the_servers_to_tell(
    receiver: Receiver,
) -> None:
    """The application refuses to start with a text; `sys.exit` and a cancellation are as before."""

    async def refusing(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no licence"})

    init_sentry(sentry_dsn=receiver.dsn)
    with capture_events() as events:
        asyncio.run(serve(instrument(refusing)))
    sentry_sdk.flush()

    told = [event["event"] for event in events if event["level"] == "error"]
    assert ["no licence", "Application startup failed. Exiting."] == told
    assert ["no licence"] == [event["logentry"]["message"] for event in receiver.events]
