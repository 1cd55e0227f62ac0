"""Three services, each in a process of its own: one id in every header, line and Sentry event."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import pytest

from tests.sinks.receiver import Receiver
from tests.support import loopback
from tests.support.lines import parse_line
from tests.support.server import Server, gunicorn, uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("fastapi")
pytest.importorskip("flask")
pytest.importorskip("sentry_sdk")

RELAYS = "tests.apps.relays"


class Services(NamedTuple):
    """The services, and where their errors go."""

    front: Server
    middle: Server
    last: Server
    receiver: Receiver


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """Run the services; the first calls the last through the middle one."""
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        env = {"SENTRY_DSN": receiver.dsn, "no_proxy": "127.0.0.1"}
        last = stack.enter_context(uvicorn("tests.apps.starlette_app:app", env=env, ready=False))
        env = {**env, "NEXT": last.url}
        middle = stack.enter_context(
            gunicorn(f"{RELAYS}:flask()", "--no-control-socket", env=env, ready=False)
        )
        env = {**env, "NEXT": middle.url}
        front = stack.enter_context(uvicorn(f"{RELAYS}:fastapi", "--factory", env=env, ready=False))
        for server in (last, middle, front):
            server.wait_until_ready()
        yield Services(front, middle, last, receiver)


def call(services: Services, path: str, headers: dict[str, str]) -> set[str]:
    """Send a request to the first service; return each id in a header, a line or an event."""
    sent = len(services.receiver.events)
    before = [len(server.out) for server in services[:3]]
    answer = loopback.get(f"{services.front.url}/relay/{path}", headers=headers)
    assert 500 == answer.status_code
    ids = {answer.headers["x-trace-id"], *answer.json().values()}

    services.receiver.wait_for(sent + 1)
    (event,) = services.receiver.events[sent:]
    assert "ZeroDivisionError" == event["exception"]["values"][-1]["type"]
    ids.add(event["tags"]["trace_id"])

    for server, start in zip(services[:3], before, strict=True):

        def is_last(server: Server = server, start: int = start) -> bool:
            return any('"event":"request_finished"' in line for line in server.out[start:])

        server.wait_for(is_last, "request_finished")
        lines = [parse_line(line.encode()) for line in server.out[start:]]
        ids.update(line["trace_id"] for line in lines if "trace_id" in line)
        assert ["request_finished"] == [
            line["event"] for line in lines if line["event"] == "request_finished"
        ]
        assert lines[-1]["trace_id"] == answer.headers["x-trace-id"]
    return ids


def test_three_services_share_the_id_of_the_first(services: Services) -> None:
    """All have the caller's id, in any form, or the id that the first service makes."""
    assert {"my-custom-id"} == call(services, "propagated", {"X-Trace-ID": "my-custom-id"})
    trace_id = str(uuid4())
    assert {trace_id} == call(services, "propagated", {"X-Request-ID": trace_id})
    (fresh,) = call(services, "propagated", {})
    assert 36 == len(fresh)


def test_traceparent_alone_is_enough(services: Services) -> None:
    """The caller, or a service in between, sends no other header."""
    trace_id = uuid4().hex
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}

    assert {trace_id} == call(services, "propagated", headers)
    assert {trace_id} == call(services, "forwarded", headers)
