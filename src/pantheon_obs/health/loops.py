"""Wait for checks on the event loop of a probe, and run async checks on it.

A probe comes from asyncio (uvloop included), from trio, or from no event loop. Without one, an
async check runs on an asyncio loop of its own. asyncio accepts one running loop per OS thread, so
where threads are greenlets (gevent), all async checks share a loop in a real thread.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_threads
from contextlib import closing, suppress
from threading import get_native_id
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import native
from pantheon_obs.core.runtime import on_fork

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable

_LOOK_AT_LOOP = 1.0  # seconds between two looks at whether the loop of an async check is closed


class AsyncioLoop:
    """A running loop of asyncio."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop

    async def wait(self, future: Future[None], seconds: float) -> None:
        """Wait in a probe until the future is done or the time is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(future), seconds)

    def result_of(self, awaitable: Awaitable[Any], seconds: float) -> object:
        """Run an async check from its thread; it is cancelled when the time is over."""
        future = asyncio.run_coroutine_threadsafe(_bounded(awaitable, seconds), self._loop)
        while not wait_for_threads([future], _LOOK_AT_LOOP).done:
            if self._loop.is_closed():
                msg = "the event loop was closed while the check was running"
                raise RuntimeError(msg)
        return future.result()


class TrioLoop:
    """A run of trio."""

    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self._token = trio.lowlevel.current_trio_token()

    async def wait(self, future: Future[None], seconds: float) -> None:
        """Wait in a probe until the future is done or the time is over."""
        done = self._trio.Event()

        def wake(_: Future[None]) -> None:
            with suppress(RuntimeError):  # the run may be over by then
                self._token.run_sync_soon(done.set)

        future.add_done_callback(wake)
        with self._trio.move_on_after(seconds):
            await done.wait()

    def result_of(self, awaitable: Awaitable[Any], seconds: float) -> object:
        """Run an async check from its thread; it is cancelled when the time is over."""

        async def bounded() -> object:
            with self._trio.move_on_after(seconds):
                return await awaitable
            raise TimeoutError

        result: object = self._trio.from_thread.run(bounded, trio_token=self._token)
        return result


class NoLoop:
    """No event loop, or an unknown one, which stands still while the probe waits."""

    def __init__(self) -> None:
        self._native_id = get_native_id()

    async def wait(self, future: Future[None], seconds: float) -> None:
        """Wait in a probe until the future is done or the time is over."""
        with suppress(TimeoutError):
            future.result(seconds)

    def result_of(self, awaitable: Awaitable[Any], seconds: float) -> object:
        """Run an async check from its thread; it is cancelled when the time is over."""
        if get_native_id() == self._native_id:  # this "thread" is a greenlet
            return AsyncioLoop(_shared_loop()).result_of(awaitable, seconds)
        return asyncio.run(_bounded(awaitable, seconds))


Loop = AsyncioLoop | TrioLoop | NoLoop


def current_loop() -> Loop:
    """Return the event loop that runs this code."""
    trio = sys.modules.get("trio")
    if trio is not None:
        with suppress(RuntimeError, AttributeError):  # it does not run, or is not loaded yet
            trio.lowlevel.current_task()
            return TrioLoop(trio)
    try:
        return AsyncioLoop(asyncio.get_running_loop())
    except RuntimeError:
        return NoLoop()


async def _bounded(awaitable: Awaitable[Any], seconds: float) -> object:
    async with asyncio.timeout(seconds):
        return await awaitable


_shared: Future[AbstractEventLoop] | None = None


def _shared_loop() -> AbstractEventLoop:
    """Return the loop that runs in a real thread, for checks in greenlets."""
    global _shared  # noqa: PLW0603 - one per process
    if _shared is None:
        loop: Future[AbstractEventLoop] = Future()
        _shared = loop
        try:
            native.thread.start_new_thread(_run_loop, (loop,))
        except RuntimeError as error:  # the process may start no more threads
            _shared = None
            loop.set_exception(error)
            return loop.result()
    return _shared.result()


def _run_loop(started: Future[AbstractEventLoop]) -> None:
    with closing(asyncio.new_event_loop()) as loop:
        started.set_result(loop)
        loop.run_forever()


def _after_fork() -> None:
    global _shared  # noqa: PLW0603 - as above
    _shared = None


on_fork(after_in_child=_after_fork)
