"""A program that ends RPCs in every way, and prints the counts of a sink: `{sync|aio} 0`."""

from __future__ import annotations

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from time import sleep
from typing import Any

import grpc
import grpc.aio

from pantheon_obs.adapters.grpc import aio_server_interceptor, server_interceptor
from pantheon_obs.core import pipeline
from tests.adapters.apps.grpc_shop import AioFailing, Failing, Shop, kind
from tests.adapters.counting import Counter

SECONDS = 60  # longer than any method waits
ADDRESS = "127.0.0.1"
SILENT: Any = {"log_level": "CRITICAL"}  # standard output has the result alone
STREAMED = ("counts", "breaks", "endless", "non_blocking", "writes", "writes_and_fails")
WAYS = ("ok", "fails", "aborts", "counts", "breaks", "nothing", "intercepted", "bad")


class Watched(Counter):
    """Notifies of each beginning and end."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = Event()

    def started(self, trace: Any) -> None:
        """Count a beginning."""
        super().started(trace)
        self._changed.set()

    def ended(self, trace: Any) -> None:
        """Count an end."""
        super().ended(trace)
        self._changed.set()

    def wait_for(self, begun: int, still_open: int) -> None:
        """Wait until so many have begun in all, and so many of them are open."""
        while (self.begun, len(self.open)) != (begun, still_open) and self._changed.wait(SECONDS):
            self._changed.clear()


def method_of(channel: Any, name: str) -> Any:
    """Find the client's function for a method."""
    streams = name.removeprefix("a") in STREAMED or name in STREAMED
    make = channel.unary_stream if streams else channel.unary_unary
    return make(f"/shop.Shop/{name}"), streams


def sync(counter: Watched) -> None:
    """End the RPCs of a server of the sync API."""
    server = grpc.server(
        ThreadPoolExecutor(8), interceptors=[server_interceptor(**SILENT), Failing()]
    )
    server.add_generic_rpc_handlers((Shop(),))
    port = server.add_insecure_port(f"{ADDRESS}:0")
    server.start()
    with grpc.insecure_channel(f"{ADDRESS}:{port}") as channel:
        for name in (*WAYS, "non_blocking"):
            call, streams = method_of(channel, name)
            with suppress(grpc.RpcError):
                list(call(b"")) if streams else call(b"")
        endless, _ = method_of(channel, "endless")
        left = endless(b"")
        next(left)
        left.cancel()
        counter.wait_for(10, 0)
        waiting = method_of(channel, "waits")[0].future(b"")
        counter.wait_for(11, 1)
        while not counter.open[0].running:
            sleep(0.01)
        waiting.cancel()
        counter.wait_for(11, 0)
        left_without = Event()
        unsent = channel.stream_unary("/shop.Shop/ok").future(iter(left_without.wait, 1))
        counter.wait_for(12, 1)
        unsent.cancel()  # before its request was there: gRPC does not call the method
        left_without.set()
        counter.wait_for(12, 0)
        stopped = endless(b"")
        next(stopped)
        server.stop(0).wait()
        counter.wait_for(13, 0)


async def ended(call: Any, *, streams: bool) -> None:
    """Read an answer to its end."""
    with suppress(grpc.RpcError):
        if streams:
            async for _ in call:
                pass
        else:
            await call


async def aio(counter: Watched) -> None:
    """End the RPCs of a server of asyncio, with coroutines and plain functions."""
    server = grpc.aio.server(interceptors=[aio_server_interceptor(**SILENT), AioFailing()])
    server.add_generic_rpc_handlers((Shop(),))
    port = server.add_insecure_port(f"{ADDRESS}:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"{ADDRESS}:{port}") as channel:
        for name in (*WAYS, *(f"a{name}" for name in WAYS[:5]), "awrites", "awrites_and_fails"):
            call, streams = method_of(channel, name)
            await ended(call(b""), streams=streams)
        left = method_of(channel, "aendless")[0](b"")
        await left.read()
        left.cancel()
        await asyncio.to_thread(counter.wait_for, 16, 0)
        waiting = method_of(channel, "awaits")[0](b"")
        await asyncio.to_thread(counter.wait_for, 17, 1)
        waiting.cancel()
        stopped = method_of(channel, "aendless")[0](b"")
        await stopped.read()
        await server.stop(0)
        await asyncio.to_thread(counter.wait_for, 18, 0)


def main() -> None:
    """Print how many traces have begun, ended and stayed open."""
    counter = Watched()
    pipeline.add_sink(counter)
    if kind == "aio":
        asyncio.run(aio(counter))
    else:
        sync(counter)
    sys.stdout.write(json.dumps(counter.report()))


if __name__ == "__main__":
    main()
