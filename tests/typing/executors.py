"""The types of the ways to carry a trace to other threads: checked, never run; see `api.py`."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, assert_type

from pantheon_obs.propagation import TracedThreadPoolExecutor, carry

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator


def work(order: int, *, urgent: bool = False) -> str:
    """Work."""
    return f"{order}{urgent}"


# --- carry keeps the signature

assert_type(carry(work)(7, urgent=True), str)
assert_type(carry(lambda: 7)(), int)
assert_type(carry(partial(work, 7))(), str)
same: Callable[[int], str] = carry(work)
Thread(target=carry(work), args=(7,))
carry(work)("7")  # type: ignore[arg-type]
carry(work)(7, urgnet=True)  # type: ignore[call-arg]
carry(7)  # type: ignore[arg-type]


# --- the pool is a ThreadPoolExecutor

pool: ThreadPoolExecutor = TracedThreadPoolExecutor(4, thread_name_prefix="mail")
with TracedThreadPoolExecutor(max_workers=4, initializer=print, initargs=("up",)) as traced:
    assert_type(traced, TracedThreadPoolExecutor)
    assert_type(traced.submit(work, 7, urgent=True), Future[str])
    assert_type(traced.map(work, [7]), Iterator[str])
    traced.submit(work, "7")  # type: ignore[arg-type]
    traced.submit(work, 7, urgnet=True)  # type: ignore[call-arg]


async def awaiting(loop: AbstractEventLoop) -> None:
    """Use the pool with an event loop."""
    loop.set_default_executor(TracedThreadPoolExecutor())
    assert_type(await loop.run_in_executor(traced, work, 7), str)
    assert_type(await loop.run_in_executor(None, carry(work), 7), str)
