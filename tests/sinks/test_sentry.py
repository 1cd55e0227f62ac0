"""Sentry: when it starts, which events it gets, and that without a DSN nothing happens."""

from __future__ import annotations

import json
import os
import socket
import sys
import warnings
from typing import Any

import httpx
import pytest

from pantheon_obs import MissingExtraError, Settings, init_sentry
from tests.sinks.receiver import Receiver
from tests.support import loopback
from tests.support.lines import parse_line
from tests.support.server import Server, read_until, run_python, uvicorn

sentry_sdk = pytest.importorskip("sentry_sdk")
pytest.importorskip("fastapi")

SECRET = "hunter2-hunter2"  # noqa: S105 - nobody's


class Run:
    """The ids, lines and events of an application, from its start to its end."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.lines: list[dict[str, Any]] = []
        self.err: list[str] = []
        self.receiver = Receiver()

    def events(self, path: str) -> list[dict[str, Any]]:
        """Return the events with the tag of the request to this path."""
        return [
            event
            for event in self.receiver.events
            if event.get("tags", {}).get("trace_id") == self.ids[path]
        ]

    def ask(self, server: Server, method: str, path: str) -> None:
        """Send a request with secrets in each part; keep the id of its response."""
        headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}"}
        with loopback.stream(
            method,
            f"{server.url}{path}?token={SECRET}",
            headers={**headers, "X-Auth-Token": SECRET},
            content=json.dumps({"password": SECRET}),
        ) as response:
            self.ids[path] = response.headers["x-trace-id"]
            try:
                response.read()
            except httpx.RemoteProtocolError:
                assert path == "/streaming"


def serve(module: str, variable: str, requests: list[tuple[str, str]], expected: int) -> Run:
    """Serve an app of `apps/`, send it requests, stop it."""
    run = Run()
    with run.receiver as receiver:
        env = {variable: receiver.dsn, "no_proxy": "127.0.0.1", "SENTRY_TRACES_SAMPLE_RATE": "1"}
        with uvicorn(f"tests.sinks.apps.{module}:app", env=env) as server:
            for method, path in requests:
                run.ask(server, method, path)
            receiver.wait_for(expected)
            server.stop()
        run.lines = [parse_line(line.encode()) for line in server.out]
        run.err = server.err
    return run


REQUESTS = [
    ("POST", "/unhandled"),
    ("GET", "/streaming"),
    ("GET", "/background"),
    ("GET", "/structlog/1"),
    ("GET", "/structlog/2"),
    ("GET", "/stdlib"),
    ("GET", "/handled"),
    ("GET", "/llm"),
    ("GET", "/nowhere"),
]


@pytest.fixture(scope="module")
def served() -> Run:
    """Serve the application, with the DSN in the environment from the start."""
    return serve("service", "SENTRY_DSN", REQUESTS, 6)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/unhandled", "ZeroDivisionError"),
        ("/streaming", "RuntimeError"),
        ("/background", "LookupError"),
    ],
)
def test_an_unhandled_error_is_one_event_with_the_responses_id(
    served: Run, path: str, kind: str
) -> None:
    """The error is sent once, with the id that the client has, wherever it is raised."""
    [event] = served.events(path)

    assert [kind] == [error["type"] for error in event["exception"]["values"]]
    assert path == event["transaction"]
    transactions = [item for kind, item in served.receiver.items if kind == "transaction"]
    assert [served.ids[path]] == [
        transaction["tags"]["trace_id"]
        for transaction in transactions
        if transaction["transaction"] == path
    ]


def test_a_structlog_error_has_its_name_its_fields_and_its_exception(served: Run) -> None:
    """The message is the event's name, so that a repeated error is one issue."""
    events = [served.events(f"/structlog/{order}")[0] for order in (1, 2)]

    for order, event in enumerate(events, 1):
        assert "payment_failed" == event["logentry"]["message"]
        assert order == event["extra"]["order"]
        assert "[redacted]" == event["extra"]["api_key"]
        assert "ZeroDivisionError" == event["exception"]["values"][0]["type"]
        assert "shop" == event["logger"]


def test_a_standard_library_error_is_tagged_too(served: Run) -> None:
    """An error that is logged in a request belongs to it."""
    [event] = served.events("/stdlib")

    assert ("stock is low", 2) == (event["logentry"]["message"], event["extra"]["left"])


@pytest.mark.parametrize("path", ["/handled", "/llm", "/nowhere"])
def test_our_own_lines_make_no_event(served: Run, path: str) -> None:
    """`request_finished` of a 5xx and `llm.*` of a failed call are lines at ERROR only."""
    assert [] == served.events(path)
    assert served.ids[path] in {
        line.get("trace_id") for line in served.lines if line["level"] in ("error", "warning")
    }


def test_there_are_no_other_events_and_nothing_on_stderr(served: Run) -> None:
    """Each failure came once; Sentry prints nothing, also at the end of the process."""
    assert 6 == len(served.receiver.events)
    assert [] == served.err


def test_no_secret_leaves_in_any_envelope(served: Run) -> None:
    """Query values, cookies, credentials, bodies and local variables are not sent."""
    kinds = {kind for kind, _ in served.receiver.items}
    [event] = served.events("/unhandled")

    assert {"event", "transaction"} <= kinds
    assert SECRET not in json.dumps(served.receiver.items)
    assert "token=[redacted]" == event["request"]["query_string"]
    assert "data" not in event["request"]
    frames = event["exception"]["values"][0]["stacktrace"]["frames"]
    assert [] == [frame for frame in frames if "vars" in frame]


def test_an_application_that_starts_sentry_itself_gets_its_events_tagged() -> None:
    """Its own options stay; we only add the id."""
    served = serve("own_client", "OWN_DSN", [("POST", "/unhandled")], 1)

    assert 1 == len(served.receiver.events)
    assert 1 == len(served.events("/unhandled"))
    assert [] == [line for line in served.lines if line["event"] == "sentry_initialized"]


def run(code: str, **env: str) -> tuple[list[dict[str, Any]], str]:
    """Run a program; return the lines that it printed, and its standard error."""
    done = run_python(code, **env)
    return [parse_line(line.encode()) for line in done.stdout.splitlines()], done.stderr


# The app is started as by a server: a problem is logged once, not at start-up again.
INSTRUMENT = """
import asyncio, sys
from pantheon_obs import instrument
async def app(scope, receive, send): ...
app = instrument(app)
asyncio.run(app({"type": "lifespan"}, None, None))
"""
BLOCK = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sentry_sdk":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""


@pytest.mark.parametrize("dsn", [None, "  "])
def test_without_a_dsn_sentry_is_not_even_imported(dsn: str | None) -> None:
    """With no DSN, or a blank one, Sentry is off, and one line says why."""
    env = {} if dsn is None else {"SENTRY_DSN": dsn}

    lines, err = run(f"{INSTRUMENT}assert 'sentry_sdk' not in sys.modules", **env)

    assert ["off: no DSN"] == [line["sentry"] for line in lines]
    assert "" == err


@pytest.mark.parametrize("dsn", ["foo", f"https://{SECRET}@host.example/abc"])
def test_a_malformed_dsn_is_one_clear_line(dsn: str) -> None:
    """The application runs; the line describes a DSN, without the secret in this one."""
    lines, err = run(INSTRUMENT, SENTRY_DSN=dsn)

    assert ["sentry_disabled", "observability_configured"] == [line["event"] for line in lines]
    reason = "the DSN is malformed: use the URL with key and project that Sentry shows"
    assert ("error", reason) == (lines[0]["level"], lines[0]["reason"])
    assert f"off: {reason}" == lines[1]["sentry"]
    assert SECRET not in json.dumps(lines) + err


def test_a_dsn_in_the_environment_without_the_package_is_one_clear_line() -> None:
    """The application runs; the line names the package to install."""
    lines, err = run(BLOCK + INSTRUMENT, SENTRY_DSN="https://key@host.example/1")

    assert ["sentry_disabled", "observability_configured"] == [line["event"] for line in lines]
    assert "pip install 'pantheon-obs[sentry]'" in lines[0]["reason"]
    assert "" == err


def test_a_dsn_as_an_argument_without_the_package_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An explicit request fails loudly, with the command to type."""
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    expected = (
        "sentry_dsn needs the package 'sentry_sdk', which is not installed: "
        "pip install 'pantheon-obs[sentry]'"
    )

    with pytest.raises(MissingExtraError) as missing:
        init_sentry(sentry_dsn="https://key@host.example/1")
    with pytest.raises(MissingExtraError):
        init_sentry(Settings(sentry_dsn="https://key@host.example/1"))

    assert expected == str(missing.value)


def test_events_that_wait_at_the_end_are_sent_without_a_message() -> None:
    """A receiver that does not answer delays the end of a program, and prints no line."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"http://public@127.0.0.1:{silent.getsockname()[1]}/1"

        lines, err = run(f"{INSTRUMENT}import logging; logging.error('last')", SENTRY_DSN=dsn)

    assert "last" == lines[-1]["event"]
    assert "" == err


def test_a_second_init_changes_nothing(receiver: Receiver) -> None:
    """The first call's client stays, with other settings too."""
    assert init_sentry(sentry_dsn=receiver.dsn, environment="first") is True
    client = sentry_sdk.get_client()

    assert init_sentry(sentry_dsn=receiver.dsn, environment="second") is True
    assert client is sentry_sdk.get_client()
    assert "first" == client.options["environment"]


def test_an_event_outside_of_a_request_has_no_tag(receiver: Receiver) -> None:
    """An event that belongs to no trace is sent as it is."""
    init_sentry(sentry_dsn=receiver.dsn)

    sentry_sdk.capture_message("started")
    receiver.wait_for(1)

    assert "trace_id" not in receiver.events[0].get("tags", {})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks")
def test_the_only_event_of_a_forked_process_is_sent(receiver: Receiver) -> None:
    """A copy of the parent's queue has a waiting thread that the child has not."""
    init_sentry(sentry_dsn=receiver.dsn)
    sentry_sdk.capture_message("parent")
    receiver.wait_for(1)
    transport: Any = sentry_sdk.get_client().transport

    def waiting() -> int:
        return len(transport._worker._queue.not_empty._waiters)  # noqa: SLF001 - a race

    read_until(1, waiting)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(writing)
            before = waiting()
            transport._worker.start()  # noqa: SLF001 - as the first event does
            read_until(before + 1, waiting)
            sentry_sdk.capture_message("child")
            os.read(reading, 1)  # until the parent has seen it
        finally:
            os._exit(0)
    try:
        receiver.wait_for(2)
    finally:
        os.close(writing)
        os.waitpid(child, 0)
        os.close(reading)

    assert ["parent", "child"] == [event["message"] for event in receiver.events]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks")
def test_a_transport_of_the_applications_own_stays_in_a_forked_process(receiver: Receiver) -> None:
    """It has no queue of Sentry's."""
    reading, writing = os.pipe()

    class Own(sentry_sdk.Transport):  # type: ignore[name-defined,misc]
        """Writes to a pipe."""

        def capture_envelope(self, envelope: Any) -> None:
            os.write(writing, envelope.get_event()["message"].encode())

    init_sentry(sentry_dsn=receiver.dsn, transport=Own)
    child = os.fork()
    if child == 0:
        try:
            sentry_sdk.capture_message("child")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        assert "child" == lines.read()


def test_personal_data_is_collected_where_the_application_asks_for_it(receiver: Receiver) -> None:
    """The setting reaches Sentry, whose newer versions warn that it is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        init_sentry(sentry_dsn=receiver.dsn, sentry_send_default_pii=True)

    assert sentry_sdk.get_client().options["send_default_pii"] is True


def test_the_application_runs_where_sentry_fails_to_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An exception in `sentry_sdk.init` turns Sentry off, and a line names its class."""

    def fail(**_options: object) -> None:
        raise OSError

    monkeypatch.setattr(sentry_sdk, "init", fail)

    assert init_sentry(sentry_dsn="https://key@host.example/1") is False
