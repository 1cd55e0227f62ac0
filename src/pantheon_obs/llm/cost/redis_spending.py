"""Sums of several processes, in Redis: a thread keeps them, so that no call waits for a network.

Each process writes its own spending as a whole, not the increase. So a command that is sent twice,
by a retry for example, changes nothing, and a sum that could not be written is written later.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from contextlib import suppress
from itertools import chain
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pantheon_obs.core.finalizers import in_finalizer
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.native import is_forked_later
from pantheon_obs.core.runtime import running_loop
from pantheon_obs.llm.cost.spending import Tally, deadline, now
from pantheon_obs.products import WORKER_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pantheon_obs.llm.cost.spending import BudgetWindow, Limit, Sum

_RETRY = 0.5  # seconds between two attempts to reach a server that is gone
_LONG = 0.5  # seconds that the first call, until an answer has come, and the end wait more
_KEPT = 3600  # seconds that a sum stays after its window; the clocks of machines may differ

_guard = Guard("budget in redis")
_log = logging.getLogger("pantheon_obs.llm")


class Update:
    """One update through Redis: our sums are exchanged for the sums of all processes."""

    def __init__(self, shared: SharedTally, sums: tuple[Sum, ...]) -> None:
        self.shared = shared
        self.sums = sums
        # Whether this thread runs the event loop of asyncio, which must not wait.
        self.in_loop = running_loop() is not None
        self.is_done = False
        self.has_waiter = False  # the waiter notifies the limits then; else the thread does
        self.reached: Iterable[Limit] = ()
        self.wake: Callable[[], object] = bool  # a no-op

    def wait(self, end: float) -> None:
        """Wait in a thread, and notify the limits that are reached."""
        done = Event()
        self.has_waiter = True
        self.wake = done.set
        done.wait(self._seconds_until(end))
        self.leave()

    async def wait_in_loop(self, end: float) -> None:
        """Like `wait`, in asyncio."""
        asyncio = sys.modules["asyncio"]
        loop = asyncio.get_running_loop()  # of asyncio, as `__init__` has found
        done = loop.create_future()
        self.has_waiter = True
        self.wake = lambda: loop.call_soon_threadsafe(done.cancel)
        try:
            await asyncio.wait([done], timeout=self._seconds_until(end))
        finally:
            self.leave()

    def _seconds_until(self, end: float) -> float:
        """Return how long to wait for the answer: not at all if none will come soon."""
        if self.is_done or self.shared.is_lost or self.shared.hangs:
            return 0
        return max(0, self.shared.patience + end - monotonic())

    def leave(self) -> None:
        """Wait no longer: the thread notifies the limits if it is not done yet."""
        self.has_waiter = False
        self.notify()

    def notify(self) -> None:
        """Notify the limits that are reached."""
        for spent in self.sums[:1]:
            spent.notify(self.reached)

    def finish(self, reached: Iterable[Limit]) -> None:
        """Note that it is done, and wake who waits for it."""
        self.reached = reached
        if not self.has_waiter:
            self.notify()
        self.is_done = True
        with suppress(RuntimeError):  # the event loop is closed
            self.wake()


class SharedTally(Tally):
    """A tally with the sums of all processes that have the same service and environment."""

    is_lost = False  # whether the last command has failed
    patience = _LONG  # seconds that a call waits longer for the first answer

    def __init__(
        self, per: str | None, window: BudgetWindow, name: str, script: tuple[Any, Any]
    ) -> None:
        self.name = name
        self._script, self._close = script
        super().__init__(per, window)
        atexit.register(self._end)

    @property
    def hangs(self) -> bool:
        """Whether a command is on its way for so long that nobody waits for another one."""
        return self._sent_at is not None and monotonic() - self._sent_at > _LONG

    def forked(self) -> None:
        """Start as a process of its own: the parent's spending is another's."""
        super().forked()
        self._pid, self._process = os.getpid(), uuid4().hex
        self._asked: SimpleQueue[Update | None] = SimpleQueue()
        self._unwritten: dict[int, Sum] = {}
        self._retry_at = 0.0
        self._sent_at: float | None = None
        self._starting = Lock()  # taken once
        for sums in self._windows.values():
            for each in sums.values():
                each.elsewhere, each.own = each.total, 0
                each.unpriced_elsewhere, each.unpriced = each.all_unpriced, 0

    def find(self, key: str | None) -> Sum:
        """Do as any tally, in a process that a server in C may have forked without notice."""
        if os.getpid() != self._pid:
            self.forked()
        return super().find(key)

    def stop(self) -> None:
        """End the thread after the work that it has been asked for."""
        atexit.unregister(self._end)
        self._asked.put(None)

    def _end(self) -> None:
        """Give the thread a moment for its pending work, at the end of the process."""
        if self._starting.locked():
            self._ask(()).wait(deadline() + _LONG)

    def share(self, sums: tuple[Sum, ...], *, final: bool) -> Update | None:
        """Write our sums and ask for all processes' sums; return the update that a call awaits."""
        trio = sys.modules.get("trio")
        if is_forked_later(WORKER_NUMBERS):
            sums[0].notify(self._write(sums))
            return None
        if final or in_finalizer() or (trio is not None and trio.lowlevel.in_trio_run()):
            self._ask(sums)
            return None
        if self._starting.acquire(blocking=False):
            try:
                Thread(target=self._run, name="pantheon-obs-budget", daemon=True).start()
            except RuntimeError:  # there are too many
                self._starting.release()
                raise
        return self._ask(sums)

    def changed(self, spent: Sum) -> None:
        """Leave it to the thread, which asks who has reached a limit first."""

    def _ask(self, sums: tuple[Sum, ...]) -> Update:
        update = Update(self, sums)
        self._asked.put(update)
        return update

    def _run(self) -> None:
        asked = self._asked
        while True:
            with _guard:
                try:
                    update = asked.get(timeout=_RETRY if self._unwritten else None)
                except Empty:
                    self._write_again()
                    continue
                if update is None:
                    self._close()
                    return
                self.finish_adding()
                update.finish(self._write(update.sums) if update.sums else ())
                if self._unwritten and not self.is_lost:
                    self._write_again()

    def _write_again(self) -> None:
        """Write the sums that could not be written, unless they are of no use any more."""
        for number, spent in tuple(self._unwritten.items()):
            if now() > spent.end + _KEPT:
                del self._unwritten[number]
            else:
                spent.notify(self._write((spent,)))

    def _write(self, sums: tuple[Sum, ...]) -> Iterable[Limit]:
        """Exchange sums, and return the limits that this process has to notify, if reached."""
        limits = self.limits if (sums[0].key is None) is (self.per is None) else ()
        ours = [(each.own, each.unpriced) for each in sums]
        found, self._sent_at = None, monotonic()
        try:
            if not self.is_lost or self._sent_at >= self._retry_at:
                found = self._run_script(sums, ours, limits)
        except Exception as error:  # noqa: BLE001 - a client raises anything
            self._lose(error)
        self._sent_at = None
        if found is None:
            self._unwritten.update((each.number, each) for each in sums if each.own)
            return limits
        self.is_lost, self.patience = False, 0.0
        for each, (own, unpriced), total, without in zip(
            sums, ours, found[0::2], found[1::2], strict=False
        ):
            each.elsewhere, each.unpriced_elsewhere = total - own, without - unpriced
            if total:
                self.keep(each)
            self._unwritten.pop(each.number, None)
        return [limit for limit, first in zip(limits, found[2 * len(sums) :], strict=True) if first]

    def _run_script(
        self, sums: tuple[Sum, ...], ours: list[tuple[int, int]], limits: tuple[Limit, ...]
    ) -> list[int]:
        """Run the script."""
        lifetime = round(1000 * (sums[0].end - now() + _KEPT))
        name = self._process
        counts = [(f"{name}.{each.number}", *own) for each, own in zip(sums, ours, strict=True)]
        found: list[int] = self._script(
            keys=[self._key_of(each) for each in sums],
            args=[lifetime, *chain.from_iterable(counts), *(each.nanodollars for each in limits)],
        )
        return found

    def _key_of(self, spent: Sum) -> bytes:
        # The braces keep the keys of one window together, also in a cluster.
        of_window = f"pantheon-obs:budget:{{{self.name}:{float(spent.start)}}}"
        key = of_window if spent.key is None else f"{of_window}:{spent.key}"
        return key.encode(errors="surrogatepass")

    def _lose(self, error: Exception) -> None:
        was_lost, self.is_lost, self.patience = self.is_lost, True, 0.0
        self._retry_at = monotonic() + _RETRY
        if not was_lost:
            fields: dict[str, Any] = {"window": self.window}
            if self.per is not None:
                fields["per"] = self.per
            fields["error_type"] = type(error).__name__
            _log.warning("llm_budget_store_lost", extra=fields)
