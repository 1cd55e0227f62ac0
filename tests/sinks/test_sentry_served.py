"""Sentry in an app of each kind: one event per failure, of the right request, in our trace."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.adapters.contract import ADAPTERS, PACKAGES
from tests.apps.failures import SECRET
from tests.sinks.receiver import Receiver
from tests.support import loopback
from tests.support.lines import parse_line
from tests.support.server import uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable

for package in ("sentry_sdk", *PACKAGES):
    pytest.importorskip(package)

KINDS = (*(adapter.name for adapter in ADAPTERS), "django-wrapped")
UUID = "0B5A1E5E-3d2c-4b1a-9f8e-7d6c5b4a3f21"
HEX = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "771a43a4192642f0b136d5159a501700"
# The headers of a request, its id, and the trace that Sentry files it under. None means a fresh id,
# the same for both.
NOTHING = "nothing"
CASES: dict[str, tuple[dict[str, str], str | None, str | None]] = {
    NOTHING: ({}, None, None),
    "a UUID": ({"X-Trace-ID": UUID}, UUID, UUID.replace("-", "").lower()),
    "32 hex digits": ({"X-Request-ID": HEX}, HEX, HEX),
    "a traceparent": ({"traceparent": f"00-{HEX}-00f067aa0ba902b7-01"}, HEX, HEX),
    "another id": ({"X-Trace-ID": "order:17"}, "order:17", "another"),
    "Sentry's header": (
        {"sentry-trace": f"{CALLER}-b7d6c5b4a3f21000-1"},
        "771a43a4-1926-42f0-b136-d5159a501700",
        CALLER,
    ),
    "both": ({"X-Trace-ID": UUID, "sentry-trace": f"{CALLER}-b7d6c5b4a3f21000"}, UUID, CALLER),
}


class Story:
    """Requests to all kinds of apps, and the items that Sentry got.

    Attributes:
        ids: The id of each response that failed, by path and case.
        probes: The status codes of the probes.
        headers: The names of the headers that plain apps got.
        items: All items that Sentry got, transactions included.
        events: The errors among them.
        sampling: The sampling contexts that came with them, by the event's id.
        out: The server's lines.
        err: The server's standard error.
    """

    probes: list[int]
    headers: list[str]

    def __init__(self, mode: str, requests: Callable[[Story, httpx.Client], int]) -> None:
        self.ids: dict[str, str] = {}
        with Receiver() as receiver:
            self.wait_for = receiver.wait_for
            dsn = "SENTRY_DSN" if mode == "early" else "KINDS_DSN"
            env = {
                "KINDS_MODE": mode,
                "KINDS_ASGI": json.dumps({a.name: a.path for a in ADAPTERS if a.is_asgi}),
                "KINDS_WSGI": json.dumps({a.name: a.path for a in ADAPTERS if not a.is_asgi}),
                "SENTRY_TRACES_SAMPLE_RATE": "1" if mode == "early" else "0",
                "no_proxy": "127.0.0.1",
                dsn: receiver.dsn,
            }
            with (
                uvicorn("tests.sinks.apps.kinds:app", env=env) as server,
                loopback.client_of(server, limits=loopback.ONE_EACH) as client,
            ):
                # uvicorn ends by the signal, without `atexit`: what is not sent by then is lost.
                receiver.wait_for(requests(self, client))
                server.stop()
        self.out = server.out
        self.err = server.err
        self.items = receiver.items
        self.events = receiver.events
        self.sampling = receiver.sampling

    def ask(self, client: httpx.Client, path: str, case: str) -> None:
        """Send a request with secrets in each part; keep the id of its response."""
        asked = f"{path} {case}"
        more = {
            "User-Agent": asked,
            "Cookie": f"a={SECRET}",
            "Referer": f"https://a.test/?{SECRET}",
        }
        more |= {
            "X-Customer-Name": SECRET,
            "X-Forwarded-For": "192.0.2.7",
            "X-Real-IP": "192.0.2.7",
        }
        headers = CASES[case][0] if case in CASES else {}
        url = f"/{path}?&q={SECRET}&{SECRET}"
        with client.stream("GET", url, headers={**more, **headers}) as response:
            self.ids[asked] = response.headers["x-trace-id"]
            try:
                response.read()
            except httpx.RemoteProtocolError:
                assert path.endswith("/stream")

    def event(self, path: str, case: str) -> dict[str, Any]:
        """Return the one event of a request, which has the tag of its response."""
        asked = f"{path} {case}"
        [event] = [event for event in self.events if _case_of(event) == asked]
        assert self.ids[asked] == event["tags"]["trace_id"]
        return event


def _case_of(event: dict[str, Any]) -> str | None:
    headers = event.get("request", {}).get("headers", {})
    agent = next((value for name, value in headers.items() if name.lower() == "user-agent"), "")
    return None if agent.startswith("python-httpx") else agent or None


def ask_all(story: Story, client: httpx.Client) -> int:
    """Send all cases, many requests at once, and others; return how many errors they make."""
    ask_each_kind(story, client)
    for kind in KINDS:
        for case in CASES:
            if case != NOTHING:
                story.ask(client, f"{kind}/fail", case)
        story.ask(client, f"{kind}/stream", "a UUID")
        story.wait_for(len(story.ids))  # the SDK drops what its queue of 100 does not take
    story.ask(client, "starlette/health/ready", NOTHING)
    story.probes = [client.get(f"/asgi/health/{name}").status_code for name in ("live", "ready")]
    with ThreadPoolExecutor() as threads:
        asked = [
            threads.submit(
                story.ask, client, f"{KINDS[number % len(KINDS)]}/fail", f"at once {number}"
            )
            for number in range(36)
        ]
        for each in asked:
            each.result()
    story.headers = [
        client.get(f"/{kind}/see", headers={"X-Trace-ID": UUID}).text.lower()
        for kind in ("asgi", "wsgi")
    ]
    client.get("/outside")  # last, so that any state left by a request would show
    return len(story.ids) + 1


def ask_each_kind(story: Story, client: httpx.Client) -> int:
    """Send one request to each endpoint of each kind; return how many errors they make."""
    for kind in KINDS:
        for path in ("fail", "stream", "thread"):
            story.ask(client, f"{kind}/{path}", NOTHING)
    return len(story.ids)


@pytest.fixture(scope="module", params=["early", "late"])
def story(request: pytest.FixtureRequest) -> Story:
    """Start Sentry with the apps, tracing on; or when the server starts, tracing off."""
    return Story(request.param, ask_all)


@pytest.fixture(scope="module")
def own_client() -> Story:
    """Let the application start Sentry after the apps, with integrations of all frameworks."""
    return Story("application", ask_each_kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["fail", "stream", "thread"])
def test_a_failure_is_one_event_with_its_error_request_user_and_trace(
    story: Story, kind: str, path: str
) -> None:
    """It may be in a handler, in the middle of a body, or in a thread without our context."""
    event = story.event(f"{kind}/{path}", NOTHING)

    assert "ZeroDivisionError" == event["exception"]["values"][-1]["type"]
    assert "GET" == event["request"]["method"]
    assert event["request"]["url"].endswith(f"/{path}")
    assert {"accept", "accept-encoding", "connection", "host", "user-agent"} == {
        name.lower() for name in event["request"]["headers"]
    }
    assert {"id": "user-7"} == event["user"]
    assert "http" not in event["transaction"]
    assert path in event["transaction"]
    assert story.ids[f"{kind}/{path} {NOTHING}"].replace("-", "") == _trace_of(event)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_sentrys_trace_is_ours_unless_the_caller_has_one_or_ours_does_not_fit(
    story: Story, kind: str, case: str
) -> None:
    """As in the table of docs/sentry.md: Sentry uses an id that has the form of its own."""
    _, trace_id, sentrys = CASES[case]
    event = story.event(f"{kind}/fail", case)
    answered = story.ids[f"{kind}/fail {case}"]

    assert trace_id in {None, answered}
    assert (sentrys or answered.replace("-", "").lower()) == _trace_of(event) or (
        case == "another id" and 32 == len(_trace_of(event))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_sentrys_trace_is_ours_while_a_body_is_made(story: Story, kind: str) -> None:
    """Where a WSGI server reads the body, Sentry's own spans are over by then."""
    event = story.event(f"{kind}/stream", "a UUID")

    assert UUID.replace("-", "").lower() == _trace_of(event)


def _trace_of(event: dict[str, Any]) -> str:
    trace: str = event["contexts"]["trace"]["trace_id"]
    return trace


def test_transactions_have_the_trace_too(story: Story) -> None:
    """A transaction is found by the same id and in the same trace, its spans too."""
    transactions = [item for kind, item in story.items if kind == "transaction"]

    for transaction in transactions:
        asked = _case_of(transaction)
        if asked is None:
            continue
        assert story.ids[asked] == transaction["tags"]["trace_id"]
        case = asked.partition(" ")[2]
        if CASES.get(case, ({}, None, ""))[2] is None:
            assert story.ids[asked].replace("-", "") == _trace_of(transaction)
        spans = transaction["spans"]
        assert {_trace_of(transaction)} >= {span["trace_id"] for span in spans}


def test_without_a_callers_trace_no_event_has_a_parent_that_nobody_has(story: Story) -> None:
    """A transaction is the first of its trace, and has the sampling context of that trace."""
    items = [item for kind, item in story.items if kind in {"event", "transaction"}]
    spans = {span["span_id"] for item in items for span in item.get("spans", ())}
    spans |= {item["contexts"]["trace"]["span_id"] for item in items}

    for item in items:
        if CALLER == _trace_of(item) or "health" in item.get(
            "transaction", ""
        ):  # that sends no spans
            continue
        is_transaction = item.get("type") == "transaction"
        known = {None} if is_transaction else {None, *spans}
        assert item["contexts"]["trace"].get("parent_span_id") in known
        sampling = story.sampling[item["event_id"]]
        assert _trace_of(item) == sampling["trace_id"]
        assert not is_transaction or "1.0" == sampling["sample_rate"]


def test_failures_at_once_keep_their_ids(story: Story) -> None:
    """Each event has the id of the response that its own request got."""
    for number in range(36):
        story.event(f"{KINDS[number % len(KINDS)]}/fail", f"at once {number}")


def test_nothing_else_becomes_an_event(story: Story) -> None:
    """Neither lines of ours and of servers nor a refused lifespan; no tag outlives its request."""
    others = [event for event in story.events if _case_of(event) is None]

    assert ["outside of any request"] == [event.get("message") for event in others]
    assert "trace_id" not in others[0].get("tags", {})
    assert "user" not in others[0]
    assert len(story.ids) + 1 == len(story.events)


def test_probes_make_no_transactions(story: Story) -> None:
    """A failure while a probe is answered is still an event."""
    names = [item["transaction"] for kind, item in story.items if kind == "transaction"]

    assert [200, 200] == story.probes
    assert [] == [name for name in names if "health" in name]
    assert story.event("starlette/health/ready", NOTHING)


def test_no_secret_leaves(story: Story) -> None:
    """No envelope of any kind of app has a query's value, a cookie or a local variable."""
    sent = [(kind, item.get("transaction"), json.dumps(item)) for kind, item in story.items]

    for leak in (SECRET, "sys.argv", "192.0.2.7", "REMOTE_ADDR"):
        assert [] == [(kind, name) for kind, name, text in sent if leak in text]


def test_the_app_sees_the_headers_that_were_sent(story: Story) -> None:
    """The header that Sentry's middleware reads is not among them."""
    asgi, wsgi = story.headers

    assert "x-trace-id" in asgi
    assert "http_x_trace_id" in wsgi
    assert [] == [names for names in story.headers if "sentry" in names]


def test_it_starts_once_and_prints_only_lines(story: Story) -> None:
    """All apps of a process share one client; at its end it prints nothing."""
    lines = [parse_line(line.encode()) for line in story.out]
    failed = [line for line in lines if line["event"] == "telemetry_failed"]

    assert 1 == [line["event"] for line in lines].count("sentry_initialized")
    assert [] == failed
    assert [] == story.err


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_of_the_applications_own_gets_the_same(own_client: Story, kind: str) -> None:
    """Each failure is one event of the right request, with Litestar's integration too."""
    for path in ("fail", "stream", "thread"):
        event = own_client.event(f"{kind}/{path}", NOTHING)
        assert {"id": "user-7"} == event["user"]
        assert own_client.ids[f"{kind}/{path} {NOTHING}"].replace("-", "") == _trace_of(event)
