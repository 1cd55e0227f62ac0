"""Sentry in gRPC servers: every kind of handler works on, and transactions are in our trace."""

from __future__ import annotations

from contextlib import suppress
from uuid import uuid4

import pytest

from tests.sinks.receiver import Receiver
from tests.support.server import Server, free_port

grpc = pytest.importorskip("grpc")
pytest.importorskip("sentry_sdk")

SHOP = "tests.adapters.apps.grpc_shop"


@pytest.mark.parametrize(("kind", "method"), [("sync", "ok"), ("aio", "aok")])
def test_a_transaction_is_in_the_trace_of_its_rpc(kind: str, method: str) -> None:
    """Sentry's interceptor begins it after our trace, outside of the handler."""
    trace_id = str(uuid4())
    metadata = (("x-trace-id", trace_id),)
    with Receiver() as receiver, _Shop(kind, receiver) as server, server.channel as channel:
        call = channel.unary_unary(f"/shop.Shop/{method}")
        assert b"ok" == call(b"", metadata=metadata, timeout=20)
        with suppress(grpc.RpcError):  # its event is sent after the transaction
            channel.unary_unary("/shop.Shop/fails")(b"", timeout=20)
        receiver.wait_for(1)
        transaction = next(payload for name, payload in receiver.items if name == "transaction")
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


class _Shop(Server):
    """A server with a channel to it."""

    def __init__(self, kind: str, receiver: Receiver) -> None:
        port = free_port()
        env = {"SENTRY_DSN": receiver.dsn, "SENTRY_TRACES_SAMPLE_RATE": "1"}
        super().__init__(SHOP, kind, str(port), port=port, env=env)
        # Sentry, if an earlier test has started it here, wraps this: it would send its own trace.
        connect = getattr(grpc.insecure_channel, "__wrapped__", grpc.insecure_channel)
        self.channel = connect(f"127.0.0.1:{port}")
