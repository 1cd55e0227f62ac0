"""The messages that an ASGI app sends, and the response and line that follow from them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pantheon_obs import TraceIdMiddleware, configure_logging
from tests.adapters.messages import BODY, START, Server, endings, raises, sends


@pytest.mark.parametrize("watched", [True, False], ids=["with-lines", "id-only"])
@pytest.mark.parametrize("how", ["raises", "returns"])
def test_we_answer_for_an_app_that_does_not(how: str, *, watched: bool) -> None:
    """The client gets a plain 500 with the id; an error goes on to the server."""
    if watched:
        configure_logging()
    error = ZeroDivisionError()
    server = Server(raises(error) if how == "raises" else sends())

    assert (error if how == "raises" else None) is server.serve()
    start, body = server.sent
    assert (500, b"Internal Server Error") == (start["status"], body["body"])
    assert 36 == len(server.ids[0])


@pytest.mark.parametrize("kind", ["http.response.start", "http.response.body"])
def test_a_server_that_refuses_our_answer_still_gets_the_error(
    events: list[dict[str, Any]], kind: str
) -> None:
    """An error of the server about our answer does not hide the exception of the app."""
    error = ZeroDivisionError()

    assert error is Server(raises(error), refuse=(kind, RuntimeError())).serve()
    assert ["error"] == [outcome for _, outcome, _ in endings(events)]


def test_a_cancelled_answer_leaves_the_line_of_the_error(events: list[dict[str, Any]]) -> None:
    """Our answer may be cancelled like any other response; the line is written all the same."""
    refuse = ("http.response.start", asyncio.CancelledError())

    Server(raises(ZeroDivisionError()), refuse=refuse).serve()
    Server(sends(), refuse=refuse).serve()

    assert ["error", "cancelled"] == [outcome for _, outcome, _ in endings(events)]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param([START, START, BODY], ("ok", 200), id="started-twice"),
        pytest.param([{**START, "status": "200"}, BODY], ("ok", None), id="status-is-text"),
        pytest.param([{"type": "http.response.start"}, BODY], ("ok", None), id="no-status"),
        pytest.param([START, BODY, BODY], ("ok", 200), id="ended-twice"),
        pytest.param(
            [START, {**BODY, "body": b"", "more_body": True}, {**BODY, "body": b""}],
            ("ok", 200),
            id="streamed-nothing",
        ),
        pytest.param([START, {"type": "http.response.pathsend"}], ("ok", 200), id="pathsend"),
        pytest.param(
            [START, {"type": "http.response.debug"}, BODY], ("ok", 200), id="unknown-message"
        ),
        pytest.param(
            [{**START, "status": 503}, {**BODY, "more_body": True}], ("error", 503), id="not-ended"
        ),
    ],
)
def test_an_app_may_send_any_messages(
    events: list[dict[str, Any]], messages: list[dict[str, Any]], expected: tuple[Any, ...]
) -> None:
    """Each message goes on to the server, which judges it, and there is one line."""
    server = Server(sends(*messages))

    assert server.serve() is None
    assert [message["type"] for message in messages] == [sent["type"] for sent in server.sent]
    assert [("request_finished", *expected)] == endings(events)
    assert 1 == len(server.ids)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("x-other", "text")], id="text"),
        pytest.param([(b"x-other",)], id="no-pairs"),
        pytest.param([None], id="none"),
        pytest.param([(b"access-control-allow-origin", "text"), (b"x", b"y")], id="text-value"),
    ],
)
def test_headers_that_are_none_go_on_to_the_server(
    events: list[dict[str, Any]], headers: list[Any]
) -> None:
    """Wrong headers reach the server unchanged, as they do without us."""
    server = Server(sends({**START, "headers": headers}, BODY))

    assert server.serve() is None
    assert headers == server.sent[0]["headers"][: len(headers)]


def test_headers_may_be_read_only_once(events: list[dict[str, Any]]) -> None:
    """Headers may be iterators, in both directions; later readers still get all of them."""
    inside: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inside.extend(scope["headers"])
        await send({**START, "headers": iter([(b"x-one", b"1")])})
        await send(BODY)

    server = Server(app, headers=iter([(b"x-trace-id", b"mine"), (b"x-two", b"2")]))
    server.serve()

    assert [(b"x-trace-id", b"mine"), (b"x-two", b"2")] == inside
    assert [(b"x-one", b"1"), (b"x-trace-id", b"mine")] == server.sent[0]["headers"]


@pytest.mark.parametrize(
    "headers", [[("x-trace-id", "text")], [(b"x-trace-id", "text")], [None], None, 7]
)
def test_inbound_headers_that_are_none_cost_the_request_nothing(headers: Any) -> None:
    """A request with headers that break the specification gets a fresh id and its response."""
    server = Server(sends(START, BODY), headers=headers)

    error = server.serve()

    assert isinstance(error, TypeError) == (headers == 7)
    assert headers == 7 or 36 == len(server.ids[0])


def test_the_apps_message_is_not_changed() -> None:
    """An app may send the same message again for its next response."""
    start = {**START, "headers": [(b"x-one", b"1")]}

    Server(sends(start, BODY)).serve()

    assert {**START, "headers": [(b"x-one", b"1")]} == start


def test_exposing_does_not_repeat_a_header() -> None:
    """A header that the app exposes itself, in any case, is not named again."""
    origin = (b"access-control-allow-origin", b"*")

    def exposed(value: bytes) -> list[bytes]:
        name = b"Access-Control-Expose-Headers"
        server = Server(sends({**START, "headers": [origin, (name, value)]}, BODY))
        server.serve()
        return [value for key, value in server.sent[0]["headers"] if key.lower() == name.lower()]

    assert [b"X-Trace-ID, X-Other"] == exposed(b"X-Trace-ID, X-Other")
    assert [b"x-trace-id"] == exposed(b"")
    assert [b"*, x-trace-id"] == exposed(b"*")


def test_other_scopes_pass_untouched(events: list[dict[str, Any]]) -> None:
    """A connection that is neither a request nor a websocket nor the lifespan is passed on."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], receive, send))
        msg = "nothing of the kind here"
        raise ValueError(msg)

    server = Server(app, type="another")

    assert isinstance(server.serve(), ValueError)
    assert [("another", server.receive, server.send)] == seen
    assert [] == events


def test_a_router_that_fails_costs_the_line_only_its_route(
    events: list[dict[str, Any]],
) -> None:
    """A framework may leave any object in the scope; the failure is reported once."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope.update(endpoint=app, router=object())
        await send(START)
        await send(BODY)

    Server(app).serve()

    failure, story = events
    assert ("telemetry_failed", "route template") == (failure["event"], failure["site"])
    assert "route" not in story


def test_a_start_up_of_ours_that_fails_does_not_stop_the_application(
    events: list[dict[str, Any]],
) -> None:
    """The app's lifespan runs, and the failure is reported once."""

    def fail() -> None:
        raise ZeroDivisionError

    served: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        served.append(scope["type"])

    server = Server(app, type="lifespan")
    server.app = TraceIdMiddleware(app, on_startup=fail)
    server.serve()

    assert ["lifespan"] == served
    assert ["telemetry_failed"] == [event["event"] for event in events]


def test_an_error_of_a_sink_does_not_reach_the_request(
    events: list[dict[str, Any]],
) -> None:
    """A sink that raises is reported once, and the response is the same as without it."""
    from pantheon_obs.core import pipeline  # noqa: PLC0415 - for this test alone

    class Broken:
        """A sink whose methods all raise."""

        name = "broken"

        def started(self, record: Any) -> None:
            raise ZeroDivisionError

        def ended(self, trace: Any) -> None:
            raise ZeroDivisionError

        def handle(self, event: Any) -> None:
            raise ZeroDivisionError

    pipeline.add_sink(Broken())
    server = Server(sends(START, BODY))

    server.serve()
    server.serve()

    assert 4 == len(server.sent)
    names = [event["event"] for event in events]
    assert ["telemetry_failed", "request_finished", "telemetry_failed", "request_finished"] == names
    sites = [event["site"] for event in events if "site" in event]
    assert ["sink broken", "end of a trace"] == sites


def test_a_quiet_path_behind_a_prefix_is_below_info(events: list[dict[str, Any]]) -> None:
    """Quiet paths are given without the server's root path."""
    Server(sends(START, BODY), path="/below/health/live", root_path="/below").serve()
    Server(sends(START, BODY), path="/below/other", root_path="/below").serve()

    assert ["/below/other"] == [event["path"] for event in events]
