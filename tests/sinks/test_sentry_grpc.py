"""Sentry in gRPC servers: every kind of handler works on, and transactions are in our trace."""

from __future__ import annotations

from contextlib import suppress
from itertools import product
from uuid import uuid4

import pytest

from tests.sinks.receiver import Receiver
from tests.support.server import Server, free_port

grpc = pytest.importorskip("grpc")
pytest.importorskip("sentry_sdk")

SHOP = "tests.adapters.apps.grpc_shop"


@pytest.mark.parametrize("inline", [(), ("inline",)], ids=["sentry first", "server first"])
@pytest.mark.parametrize(("kind", "method"), [("sync", "ok"), ("aio", "aok")])
def test_a_transaction_is_in_the_trace_of_its_rpc(
    kind: str, method: str, inline: tuple[str, ...]
) -> None:
    """Sentry's interceptor begins it after our trace, outside of the handler.

    A server that is made before Sentry has started lacks the interceptor, and gets it.
    """
    trace_id = str(uuid4())
    metadata = (("x-trace-id", trace_id),)
    with Receiver() as receiver, _Shop(kind, receiver, *inline) as server:
        channel = server.channel
        call = channel.unary_unary(f"/shop.Shop/{method}")
        assert b"ok" == call(b"", metadata=metadata, timeout=20)
        with suppress(grpc.RpcError):  # its event is sent after the transaction
            channel.unary_unary("/shop.Shop/fails")(b"", timeout=20)
        receiver.wait_for(1)
        channel.close()
        transactions = [payload for name, payload in receiver.items if name == "transaction"]
        [transaction] = [each for each in transactions if each["transaction"].endswith("ok")]
    assert trace_id == transaction["tags"]["trace_id"]
    assert trace_id.replace("-", "") == transaction["contexts"]["trace"]["trace_id"]


def test_plain_functions_generators_and_writers_work_under_asyncio() -> None:
    """Sentry's interceptor awaits all handlers, which would break these."""
    with Receiver() as receiver, _Shop("aio", receiver) as server, server.channel as channel:
        assert b"ok" == channel.unary_unary("/shop.Shop/ok")(b"", timeout=20)
        for method in ("counts", "awrites", "acounts"):
            answer = channel.unary_stream(f"/shop.Shop/{method}")(b"", timeout=20)
            assert [b"0", b"1", b"2"] == list(answer)
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/shop.Shop/nothing")(b"", timeout=20)
        assert grpc.StatusCode.UNIMPLEMENTED == refused.value.code()


@pytest.mark.parametrize(
    ("kind", "methods"),
    [
        ("sync", ["marks", "marks_and_counts"]),
        ("aio", ["marks", "marks_and_counts", "amarks", "amarks_and_counts"]),
    ],
)
def test_an_rpc_knows_nothing_of_another_rpcs_user(kind: str, methods: list[str]) -> None:
    """Each has a scope of Sentry's of its own."""
    with Receiver() as receiver, _Shop(kind, receiver) as server, server.channel as channel:
        for method, request in product(methods, (b"anna", b"")):
            call = channel.unary_stream if method.endswith("counts") else channel.unary_unary
            metadata = (("x-trace-id", f"{method}-{request.decode()}"),)
            answer = call(f"/shop.Shop/{method}")(request, metadata=metadata, timeout=20)
            assert b"ok" == (next(answer) if method.endswith("counts") else answer)
        receiver.wait_for(2 * len(methods))
    known = {event["tags"].pop("trace_id"): event for event in receiver.events}
    for method in methods:
        theirs, other = known[f"{method}-anna"], known[f"{method}-"]
        assert ({"user_kind": "anna"}, {"id": "anna"}) == (theirs["tags"], theirs["user"])
        assert ({}, None) == (other["tags"], other.get("user"))


@pytest.mark.parametrize(
    ("kind", "methods"),
    [
        ("sync", ["fails", "breaks"]),
        ("aio", ["fails", "breaks", "afails", "abreaks", "awrites_and_fails"]),
    ],
)
def test_a_failure_is_one_unhandled_event_in_its_trace(kind: str, methods: list[str]) -> None:
    """Whether or not Sentry's interceptor is around the handler, and gRPC logs it again."""
    with Receiver() as receiver, _Shop(kind, receiver) as server, server.channel as channel:
        for method in methods:
            metadata = (("x-trace-id", method),)
            call = channel.unary_stream(f"/shop.Shop/{method}")
            with pytest.raises(grpc.RpcError):
                list(call(b"", metadata=metadata, timeout=20))
        marked = channel.unary_unary("/shop.Shop/marks")
        marked(b"", metadata=(("x-trace-id", "marks"),), timeout=20)
        receiver.wait_for(len(methods) + 1)
    told = [
        (event["tags"]["trace_id"], value["type"], value["mechanism"]["handled"])
        for event in receiver.events
        for value in event.get("exception", {"values": []})["values"]
    ]
    assert [(method, "ValueError", False) for method in methods] == told


class _Shop(Server):
    """A server with a channel to it."""

    def __init__(self, kind: str, receiver: Receiver, *more: str) -> None:
        port = free_port()
        env = {"SENTRY_DSN": receiver.dsn, "SENTRY_TRACES_SAMPLE_RATE": "1"}
        super().__init__(SHOP, kind, str(port), *more, port=port, env=env)
        # Sentry, if an earlier test has started it here, wraps this: it would send its own trace.
        connect = getattr(grpc.insecure_channel, "__wrapped__", grpc.insecure_channel)
        self.channel = connect(f"127.0.0.1:{port}")
