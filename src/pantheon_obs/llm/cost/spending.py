"""Add up the cost of LLM calls exactly, by key and window of time, in billionths of a dollar."""

from __future__ import annotations

from calendar import timegm
from collections import deque
from itertools import count
from threading import Lock
from time import gmtime, monotonic, time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PER_DOLLAR = 10**9
OTHERS = "_OTHER"
"""The key of the calls whose own key is one too many."""

_LONGEST_WAIT = 0.05  # seconds that a call waits for anything
_MOST_KEYS = 100_000  # of one window in one process
_WINDOWS_KEPT = 3  # a clock that is set back finds the sums of the window before
_SECONDS = {"hour": 3600, "day": 86400}
WINDOWS = (*_SECONDS, "month")

BudgetWindow = str | float
_ids = count(1)
_clock: Callable[[], float] = time


def now() -> float:
    """Return the seconds since the epoch."""
    return _clock()


def read_from(clock: Callable[[], float] = time) -> None:
    """Read the time from another clock; by default the system's."""
    global _clock  # noqa: PLW0603 - one process, one time of day
    _clock = clock


def ends_of(window: BudgetWindow, moment: float) -> tuple[float, float]:
    """Return the start and end of the window that a moment is in, in seconds since the epoch."""
    if window == "month":
        year, month, *_ = gmtime(moment)
        following = (year + month // 12, month % 12 + 1)
        return timegm((year, month, 1, 0, 0, 0)), timegm((*following, 1, 0, 0, 0))
    length = _SECONDS[window] if isinstance(window, str) else window
    start = moment // length * length
    return start, start + length


def deadline() -> float:
    """Return the end of the time that a call may wait from now on, by the monotonic clock."""
    return monotonic() + _LONGEST_WAIT


class Limit(Protocol):
    """A budget of a tally."""

    nanodollars: int

    def report(self, spent: Sum, *, is_first: bool) -> None:
        """Report that a sum has reached the budget; `is_first` if no equal limit was notified."""


class Sum:
    """The spending of one key in one window, in billionths of a dollar."""

    own = 0  # in this process
    elsewhere = 0  # in all other processes, as far as known
    # Of calls in this process within others that are open: the cost of an outer call may be another
    # one, so these are no part of the sum yet.
    reserved = 0
    unpriced = unpriced_elsewhere = 0  # calls without a price

    def __init__(self, key: str | None, start: float, end: float) -> None:
        self.key = key  # None for the sum over all keys
        self.number = next(_ids)  # distinguishes it from all other sums of this process
        self.start, self.end = start, end  # of its window
        # The limits that were notified, and their amounts, each with its notifier.
        self.notified: dict[Limit | int, object] = {}

    @property
    def total(self) -> int:
        """Billionths of a dollar that were spent, as far as known."""
        return self.own + self.elsewhere

    @property
    def all_unpriced(self) -> int:
        """Calls without a price, as far as known."""
        return self.unpriced + self.unpriced_elsewhere

    @property
    def dollars(self) -> float:
        """The total in US dollars."""
        return self.total / PER_DOLLAR

    def notify(self, limits: Iterable[Limit]) -> None:
        """Notify each limit that it has reached, once."""
        for limit in limits:
            if self.total >= limit.nanodollars:
                notifier = object()  # several threads may be here
                if self.notified.setdefault(limit, notifier) is notifier:
                    first = self.notified.setdefault(limit.nanodollars, notifier)
                    limit.report(self, is_first=first is notifier)


class Tally:
    """The sums of a field's values, or of all calls, by window.

    A finalizer may add a cost in the middle of any code, and must wait for no lock. So costs are
    put aside first, and whoever gets the lock adds up all that are there.
    """

    def __init__(self, per: str | None, window: BudgetWindow) -> None:
        self.per = per
        self.window = window
        self.limits: tuple[Limit, ...] = ()
        self._windows: dict[float, dict[str | None, Sum]] = {}
        self.forked()

    def forked(self) -> None:
        """Forget the state of the threads of the parent process."""
        self._adding = Lock()
        self._new: deque[tuple[tuple[Sum, ...], int, int, int]] = deque()
        for sums in self._windows.values():
            for each in sums.values():
                each.reserved = 0

    def find(self, key: str | None) -> Sum:
        """Return the sum of a key in the window that is now, or a new one that is not kept.

        None is the sum over all keys.
        """
        start, end = ends_of(self.window, now())
        sums = self._windows.get(start, {})
        if key not in sums and len(sums) > _MOST_KEYS:
            key = OTHERS
        return sums.get(key) or Sum(key, start, end)

    def keep(self, spent: Sum) -> Sum:
        """Keep a sum until windows later; return the sum that is kept for its key."""
        sums = self._windows.get(spent.start)
        if sums is None:
            sums = self._windows.setdefault(spent.start, {})
            for old in list(self._windows)[:-_WINDOWS_KEPT]:
                self._windows.pop(old, None)
        return sums.setdefault(spent.key, spent)

    def add(self, key: str | None, nanodollars: int, unpriced: int) -> tuple[Sum, ...]:
        """Add one call to the sum of its key and to the total; return both, or the only sum."""
        sums = self._sums_of(key)
        self._new.append((sums, nanodollars, unpriced, 0))
        self._sum_up()
        return sums

    def reserve(self, key: str | None, nanodollars: int) -> tuple[Sum, ...]:
        """Reserve the cost of a call within another call; return the sums, for `release`."""
        sums = self._sums_of(key)
        self.release(sums, -nanodollars)
        return sums

    def release(self, sums: tuple[Sum, ...], nanodollars: int) -> None:
        """Release a reserved cost: the outer call has ended."""
        self._new.append((sums, 0, 0, -nanodollars))
        self._sum_up()

    def _sums_of(self, key: str | None) -> tuple[Sum, ...]:
        return tuple(self.keep(self.find(each)) for each in dict.fromkeys((key, None)))

    def share(self, sums: tuple[Sum, ...], *, final: bool) -> Any:
        """Share sums with other processes: not here. `final` says that nobody can wait for it."""

    def stop(self) -> None:
        """End the sharing."""

    def finish_adding(self) -> None:
        """Add up the calls that another thread is about to add; not for finalizers."""
        if self._adding.acquire(timeout=_LONGEST_WAIT):
            self._add_up()
            self._sum_up()

    def _sum_up(self) -> None:
        while self._new and self._adding.acquire(blocking=False):
            self._add_up()

    def _add_up(self) -> None:
        """Add the waiting calls, release the lock, and notify the limits that are reached."""
        changed = []
        try:
            while self._new:
                sums, nanodollars, unpriced, reserved = self._new.popleft()
                for each in sums:
                    each.own += nanodollars
                    each.unpriced += unpriced
                    each.reserved = max(0, each.reserved + reserved)
                changed.append(sums[0])
        finally:
            self._adding.release()
        for each in changed:
            self.changed(each)

    def changed(self, spent: Sum) -> None:
        """Notify the limits that a sum has reached."""
        spent.notify(self.limits)
