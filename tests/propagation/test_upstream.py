"""A caller's span, flags, state and baggage are sent on, beside the id."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from pantheon_obs import bind, extract, inject, instrument, llm_call, propagate, trace_context
from pantheon_obs.core.context import Trace, current_trace_id
from pantheon_obs.core.spans import span_of
from pantheon_obs.testing import capture_events
from tests.support.lines import validate_line

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"
_span = re.compile("[0-9a-f]{16}").fullmatch


def by_asgi(work: Callable[[], Any], headers: dict[str, str], **settings: Any) -> None:
    """Serve a request over ASGI."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        work()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None:
        """Take a message."""

    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": pairs}
    asyncio.run(instrument(app, **settings)(scope, receive, send))


def by_wsgi(work: Callable[[], Any], headers: dict[str, str], **settings: Any) -> None:
    """Serve a request over WSGI."""

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        work()
        start_response("200 OK", [])
        return [b"ok"]

    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    environ |= {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    body = instrument(app, **settings)(environ, lambda *_: None)
    b"".join(body)
    body.close()


DOORS = [by_asgi, by_wsgi]


@pytest.fixture(params=DOORS)
def serve(request: pytest.FixtureRequest) -> Any:
    """Serve a request over each protocol."""
    return request.param


def sent_by(serve: Any, headers: dict[str, str], **settings: Any) -> tuple[dict[str, str], Any]:
    """Return the headers that a request sends on, and its line."""
    sent: dict[str, str] = {}
    with capture_events() as lines:
        serve(lambda: inject(sent), headers, **settings)
    [line] = [line for line in lines if line["event"] == "request_finished"]
    validate_line(line)
    return sent, line


def test_the_flags_and_the_state_of_the_caller_go_on(serve: Any) -> None:
    """Our span takes the place of the caller's, and both are on the request's line."""
    sent, line = sent_by(serve, {"traceparent": UNSAMPLED, "tracestate": "congo=t61,rojo=00f"})

    assert (TRACE, PARENT) == (line["trace_id"], line["parent_span_id"])
    assert _span(line["span_id"])
    assert f"00-{TRACE}-{line['span_id']}-00" == sent["traceparent"]
    assert "congo=t61,rojo=00f" == sent["tracestate"]


def test_a_trace_that_begins_here_is_sampled(serve: Any) -> None:
    """It has no caller."""
    sent, line = sent_by(serve, {})

    assert sent["traceparent"].endswith(f"-{line['span_id']}-01")
    assert "parent_span_id" not in line
    assert {"X-Trace-ID", "traceparent"} == set(sent)


def test_a_request_that_sends_nothing_has_no_span(serve: Any) -> None:
    """The caller's is on its line all the same."""
    with capture_events() as lines:
        serve(lambda: None, {"traceparent": UNSAMPLED})
        serve(lambda: None, {})

    first, second = [line for line in lines if line["event"] == "request_finished"]
    assert PARENT == first["parent_span_id"]
    assert "span_id" not in first
    assert {"span_id", "parent_span_id"}.isdisjoint(second)


def test_an_id_of_another_form_goes_on_beside_the_callers_trace(serve: Any) -> None:
    """The id cannot be a trace-id, and the caller's trace is not cut."""
    headers = {"x-trace-id": "order-7", "traceparent": UNSAMPLED, "tracestate": "congo=t61"}
    sent, line = sent_by(serve, headers)

    assert ("order-7", PARENT) == (line["trace_id"], line["parent_span_id"])
    assert f"00-{TRACE}-{line['span_id']}-00" == sent["traceparent"]
    assert ("order-7", "congo=t61") == (sent["X-Trace-ID"], sent["tracestate"])


def test_the_state_of_another_trace_does_not_go_on(serve: Any) -> None:
    """It belongs to its trace alone; whether to sample is the caller's decision in any case."""
    other = "0af7651916cd43dd8448eb211c80319c"
    headers = {"x-trace-id": other, "traceparent": UNSAMPLED, "tracestate": "congo=t61"}
    sent, line = sent_by(serve, headers)

    assert f"00-{other}-{line['span_id']}-00" == sent["traceparent"]
    assert "tracestate" not in sent


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": f"00-{TRACE}-{PARENT}", "tracestate": "congo=t61"},
        {"traceparent": "00-" + "0" * 32 + f"-{PARENT}-00", "tracestate": "congo=t61"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-00"},
        {"tracestate": "congo=t61"},
        {"baggage": "x" * 8193},
        {"baggage": "tenant=\u00e9"},
        {"baggage": " "},
    ],
)
def test_what_is_not_valid_does_not_go_on(serve: Any, headers: dict[str, str]) -> None:
    """The request is that of a caller who has sent nothing."""
    sent, line = sent_by(serve, headers)

    assert {"X-Trace-ID", "traceparent"} == set(sent)
    assert sent["traceparent"].endswith("-01")
    assert "parent_span_id" not in line


def test_nothing_of_a_caller_who_is_not_trusted_goes_on(serve: Any) -> None:
    """Its span, state and baggage count for as little as its id."""
    headers = {"traceparent": UNSAMPLED, "tracestate": "congo=t61", "baggage": "tenant=acme"}
    sent, line = sent_by(serve, headers, trust_inbound=False, baggage_fields=("tenant",))

    assert {"X-Trace-ID", "traceparent"} == set(sent)
    assert {"tenant", "parent_span_id"}.isdisjoint(line)


def test_a_header_that_was_sent_twice() -> None:
    """The first `traceparent` counts; lists are joined in their order."""
    other = f"00-{TRACE}-{PARENT[::-1]}-01"
    with trace_context(
        extract(
            [
                ("traceparent", UNSAMPLED),
                ("traceparent", other),
                ("tracestate", "congo=1"),
                (b"tracestate", b"rojo=2"),
                ("baggage", "a=1"),
                ("baggage", "b=2"),
            ]
        )
    ):
        sent = inject()

    assert sent["traceparent"].endswith("-00")
    assert ("congo=1,rojo=2", "a=1,b=2") == (sent["tracestate"], sent["baggage"])


def test_all_baggage_goes_on_and_members_of_the_setting_become_fields(serve: Any) -> None:
    """Values are decoded; properties, and members that are no pair, are no fields."""
    headers = {"baggage": "tenant=caf%C3%A9;ttl=1, plan = pro ,flag,user_id=7"}
    with capture_events() as lines:
        sent, line = sent_by(serve, headers, baggage_fields=("tenant", "plan", "absent"))

    assert ("caf\u00e9", "pro") == (line["tenant"], line["plan"])
    assert {"user_id", "absent", "flag"}.isdisjoint(line)
    assert "tenant=caf%C3%A9;ttl=1,plan = pro,user_id=7" == sent["baggage"]
    assert lines


def test_bound_values_go_out_in_place_of_those_that_came_in(serve: Any) -> None:
    """The values at the time of the request are sent; other bound fields are not."""

    def work() -> None:
        bind(tenant="b,c d", plan="free", user_id=7)
        inject(sent)

    sent: dict[str, str] = {}
    settings = {"baggage_fields": ("tenant", "plan")}
    serve(work, {"baggage": "tenant=acme,region=eu;p=1"}, **settings)
    assert "region=eu;p=1,tenant=b%2Cc%20d,plan=free" == sent["baggage"]

    sent.clear()
    serve(work, {}, **settings)
    assert "tenant=b%2Cc%20d,plan=free" == sent["baggage"]


def test_each_application_has_its_own_baggage_fields() -> None:
    """A second one in the process leaves those of the first as they are; jobs have the last."""
    sent: list[Any] = []

    def set_up(**settings: Any) -> Any:
        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            sent.append(inject().get("baggage"))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

        return instrument(app, **settings)

    async def nothing(*_: Any) -> Any:
        """Take a message, or give none."""

    apps = [set_up(baggage_fields=("tenant",)), set_up(baggage_fields=("plan",)), set_up()]
    headers = [(b"baggage", b"tenant=acme,plan=pro")]
    with capture_events() as lines:
        for each in apps:
            scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
            asyncio.run(each(scope, nothing, nothing))
        with trace_context(extract([*headers, (b"x-trace-id", b"job-1")])):
            logging.getLogger("shop").warning("job")

    told = [{name: line[name] for name in ("tenant", "plan") if name in line} for line in lines]
    assert [{"tenant": "acme"}, {"plan": "pro"}, {}, {"plan": "pro"}] == told
    assert ["tenant=acme,plan=pro"] * 3 == sent


def test_what_is_bound_to_none_or_by_another_application_does_not_go_out(serve: Any) -> None:
    """None is no value; a list of names is that of one application."""

    def send() -> None:
        bind(tenant=None, plan="free")
        inject(sent)

    sent: dict[str, str] = {}
    headers = {"baggage": "tenant=acme,region=eu"}
    serve(send, headers, baggage_fields=("tenant", "plan"))
    assert "region=eu,plan=free" == sent.pop("baggage")

    serve(send, {})  # of an application without a list
    assert "baggage" not in sent


def test_a_value_that_has_no_text_costs_no_id(serve: Any) -> None:
    """The id goes out without baggage."""

    class Broken:
        def __str__(self) -> str:
            raise ValueError

    def work() -> None:
        bind(tenant=Broken())
        inject(sent)

    sent: dict[str, str] = {}
    serve(work, {}, baggage_fields=("tenant",))

    assert {"X-Trace-ID", "traceparent"} == set(sent)


def test_the_calls_of_an_llm_have_the_span_of_their_request(serve: Any) -> None:
    """So has the request's line; outside a trace there is none."""

    @llm_call(model="small")
    def ask() -> str:
        return "hello"

    with capture_events() as lines:
        serve(ask, {})
        ask()

    inside, finished, outside = [line for line in lines if "outcome" in line]
    assert _span(inside["span_id"])
    assert inside["span_id"] == finished["span_id"]
    assert "span_id" not in outside
    for line in lines:
        validate_line(line)


def test_a_call_that_is_still_open_has_the_span_of_its_requests_line(serve: Any) -> None:
    """Its event may follow that line, which counts the call."""

    @llm_call(model="small")
    def stream() -> Generator[str]:
        yield "hel"
        yield "lo"

    opened = stream()
    with capture_events() as lines:
        serve(lambda: next(opened), {"traceparent": UNSAMPLED})
    opened.close()

    spans = {line["event"]: line.get("span_id") for line in lines if "outcome" in line}
    assert {"llm.stream", "request_finished"} == set(spans)
    assert _span(str(spans["llm.stream"]))
    assert spans["llm.stream"] == spans["request_finished"]


def test_an_id_that_the_application_has_set_itself_is_sent_with_some_span() -> None:
    """The public variable alone makes no trace."""
    token = current_trace_id.set(TRACE)
    try:
        sent = inject()
    finally:
        current_trace_id.reset(token)

    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", sent["traceparent"])


def test_a_span_is_made_once() -> None:
    """All that a trace sends has one parent."""
    trace = Trace("order-7")

    assert span_of(trace) == span_of(trace)


def test_a_client_joins_baggage_with_another_librarys() -> None:
    """The other library's members win, and a redirect begins with its value alone."""
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("baggage"))
        if request.url.path == "/first":
            return httpx.Response(302, headers={"location": "http://other.example/second"})
        return httpx.Response(200)

    client = httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True)
    received = extract({"x-trace-id": TRACE, "baggage": "a=1,b=2"})
    with client, propagate(client, hosts=["stock.internal"]), trace_context(received):
        client.get("http://stock.internal/first", headers={"baggage": "sentry-x=1,b=9"})
        client.get("http://stock.internal/third")

    assert ["sentry-x=1,b=9,a=1", "sentry-x=1,b=9", "a=1,b=2"] == seen
