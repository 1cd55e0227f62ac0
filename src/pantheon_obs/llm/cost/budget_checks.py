"""The budgets of the process, for the code of a call: at its start and at its end."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard, report
from pantheon_obs.core.runtime import on_fork
from pantheon_obs.llm.cost.spending import PER_DOLLAR, deadline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pantheon_obs.core.errors import BudgetExceeded
    from pantheon_obs.core.llm_events import LlmCallFinished

    Asked = tuple[Any, Any]  # an update through Redis, and the budget that may refuse then

_LONGEST_KEY = 200  # characters

_guard = Guard("budget")


class Budgets:
    """The budgets that are on; the code of a call looks at the two attributes only."""

    def __init__(self) -> None:
        self.tallies: tuple[Any, ...] = ()  # where the cost of each call is added
        self.refusing: tuple[Any, ...] = ()  # the budgets that may refuse a call

    def check(self, call: Any) -> None:
        """Raise `BudgetExceeded` if a budget refuses the call.

        On the thread of an event loop this decides by the known sums; `admit` waits for more.
        """
        refused = None
        with _guard:
            bound = {} if call.trace is None else call.trace.bound
            known = [
                (each, each.tally.find(key_of(each.tally.per, bound))) for each in self.refusing
            ]
            for each, _ in known:
                each.tally.finish_adding()
            refused = _refusal_among(known)
            if refused is None:
                _wait(
                    call, [(each.tally.share((spent,), final=False), each) for each, spent in known]
                )
                refused = _refusal_among(known)
        if refused is not None:
            _refuse(call, refused)
        call.started = perf_counter()  # it was not the model that took the time

    def add(self, call: Any, event: LlmCallFinished) -> None:
        """Add the cost of a call, and report the budgets that it has spent.

        The cost of a nested call is reserved until its outer call ends, whose cost counts then.
        """
        with _guard:
            cost = event.cost_usd
            nanodollars = 0 if cost is None or not 0 < cost < inf else round(cost * PER_DOLLAR)
            try:
                if event.nested:
                    self._reserve(call.outer, event, nanodollars)
                else:
                    self._spend(call, event, nanodollars)
            finally:
                if call.inner is not None:
                    _release(call.inner.reserved)

    def _spend(self, call: Any, event: LlmCallFinished, nanodollars: int) -> None:
        asked: list[Asked] = []
        for tally in self.tallies:
            sums = tally.add(key_of(tally.per, event.bound), nanodollars, event.unpriced)
            if nanodollars:
                asked.append((tally.share(sums, final=call.dropped), None))
        _wait(call, asked)

    def _reserve(self, outer: Any, event: LlmCallFinished, nanodollars: int) -> None:
        reserved = outer.inner_calls().reserved
        for tally in dict.fromkeys(each.tally for each in self.refusing if nanodollars):
            sums = tally.reserve(key_of(tally.per, event.bound), nanodollars)
            reserved.append((tally, sums, nanodollars))
        if outer.emitting.locked():  # it has ended
            _release(reserved)

    def forked(self) -> None:
        """Forget the state of the threads of the parent process."""
        for tally in self.tallies:
            tally.forked()


budgets = Budgets()


def _refusal_among(known: list[tuple[Any, Any]]) -> BudgetExceeded | None:
    """Return the error of the first budget that has nothing left of its sum."""
    return next(filter(None, (each.refusal(spent) for each, spent in known)), None)


def _release(reserved: list[Any]) -> None:
    """Release each reserved cost once: two threads may be here."""
    with suppress(IndexError):
        while True:
            tally, sums, nanodollars = reserved.pop()
            tally.release(sums, nanodollars)


def _wait(call: Any, asked: list[Asked]) -> None:
    """Wait for Redis, but not long; leave it to `admit` and `catch_up` where an event loop runs."""
    updates = [(update, budget) for update, budget in asked if update is not None]
    if not updates:
        return
    if updates[0][0].in_loop:
        call.awaited = (*call.awaited, *updates)
        return
    end = _deadline(call)
    for update, _ in updates:
        update.wait(end)
    _note(call, updates)


def _deadline(call: Any) -> float:
    """Return the end of the time that the call may wait from now on: it waits in vain once."""
    return 0.0 if call.waited_in_vain else deadline()


def _note(call: Any, waited_for: Sequence[Asked]) -> None:
    call.waited_in_vain = not all(update.is_done for update, _ in waited_for)


async def admit(call: Any) -> None:
    """Wait, but not long, for the spending of other processes; refuse a call that is not sent."""
    asked = call.awaited
    try:
        await catch_up(call)
    except BaseException as error:  # the caller is cancelled
        call.failed(error)
        call.settle()
        raise
    refused = _refusal_among([(budget, update.sums[0]) for update, budget in asked])
    if refused is not None:
        _refuse(call, refused)
    call.started = perf_counter()


async def catch_up(call: Any) -> None:
    """Wait, but not long, until the spending of the call is written."""
    asked, call.awaited = call.awaited, ()
    end = _deadline(call)
    for update, _ in asked:
        await update.wait_in_loop(end)
    _note(call, asked)


def _refuse(call: Any, error: BudgetExceeded) -> None:
    call.failed(error)
    call.settle()
    raise error


def key_of(per: str | None, bound: Mapping[str, Any]) -> str | None:
    """Return the key under which a call is added up."""
    return None if per is None else as_key(bound.get(per, ""))


def as_key(value: object) -> str:
    """Return the key for a value of the application's; empty for None."""
    try:
        return "" if value is None else str(value)[:_LONGEST_KEY]
    except Exception as error:  # noqa: BLE001 - a value of the application's
        report("key of a budget", error)
        return ""


on_fork(after_in_child=budgets.forked)
