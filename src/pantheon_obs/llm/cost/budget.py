"""`budget`: a limit for the cost of LLM calls, and the end of spending where it is reached."""

from __future__ import annotations

import logging
from _thread import start_new_thread
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.errors import BudgetExceeded, refuse
from pantheon_obs.core.finalizers import in_finalizer
from pantheon_obs.core.guard import Guard
from pantheon_obs.core.in_force import in_force
from pantheon_obs.core.signatures import is_plain
from pantheon_obs.core.switch import is_off
from pantheon_obs.core.undoable import Undoable
from pantheon_obs.llm.cost.budget_checks import as_key, budgets
from pantheon_obs.llm.cost.spending import PER_DOLLAR, WINDOWS, Tally, deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.llm.cost.spending import BudgetWindow, Sum

    OnExceeded = Callable[[str | None, float], object]

_LARGEST = 1e9  # of dollars and of seconds
_SHORTEST = 0.001  # seconds

_log = logging.getLogger("pantheon_obs.llm")
_guard = Guard("budget")
_guard_callback = Guard("on_exceeded of a budget")


def budget(  # noqa: PLR0913 - options by name
    usd: float,
    *,
    per: str | None = None,
    window: BudgetWindow = "day",
    on_exceeded: OnExceeded | None = None,
    refuse: bool = False,
    redis: object = None,
) -> Budget:
    """Watch the cost of LLM calls: warn when a sum is spent, and refuse further calls if asked to.

    The costs of all calls that are not nested are added up, in billionths of a dollar. The call
    that brings the sum of a window to the budget or beyond gives one WARNING `llm_budget_exceeded`.

    Args:
        usd: The budget of one window in US dollars, above 0 and at most a billion.
        per: A bound field that the setting `llm_attribution` names: each of its values has a sum of
            its own, and calls without it share one. None adds up all calls.
        window: `"hour"`, `"day"` or `"month"` in UTC, or a number of seconds: windows of that
            length, from 0.001 to a billion, follow one another from the epoch.
        on_exceeded: Called after the WARNING with the value of `per` (None without `per`) and the
            US dollars spent. A plain function; an `Exception` that it raises is logged.
        refuse: Whether every further call of the window raises `BudgetExceeded` instead of being
            sent.
        redis: A client of Redis, synchronous or asyncio, through which all processes with the same
            service and environment share the sums. None adds up the calls of this process.

    Returns:
        An object with `spent()`, whose `undo()` ends the budget; also a context manager.

    Raises:
        ConfigError: An argument is not accepted.

    Example:
        >>> from pantheon_obs import bind, budget, llm_call, trace_context
        >>> @llm_call(prices={"fast": (10.0, 30.0)})
        ... def generate(prompt, *, model):
        ...     return {"usage": {"input_tokens": 100_000, "output_tokens": 0}}
        >>> with budget(5.00, per="tenant") as daily, trace_context():
        ...     bind(tenant="acme")
        ...     answer = generate("Hi", model="fast")
        ...     daily.spent("acme")
        1.0
    """
    made = Budget(usd, per, window, on_exceeded)
    refuses = _flag("refuse", refuse)
    if is_off():
        return made
    if redis is not None:
        made.tally = _shared_tally(per, made.tally.window, redis)
    made.tally.limits = (*made.tally.limits, made)
    budgets.tallies = tuple(dict.fromkeys((*budgets.tallies, made.tally)))
    if refuses:
        budgets.refusing = (*budgets.refusing, made)
    return made


class Budget(Undoable):
    """A limit for the cost of LLM calls, which `budget` has made."""

    def __init__(
        self, usd: float, per: str | None, window: BudgetWindow, on_exceeded: OnExceeded | None
    ) -> None:
        self._usd = _number("usd", usd, 0.0, "an amount of US dollars above 0")
        names = in_force("llm_attribution")
        if per is not None and per not in names:
            accepted = f"one of {', '.join(names)}, or name it in the setting llm_attribution"
            refuse("per", per, accepted)
        if window not in WINDOWS:
            accepted = f"one of {', '.join(WINDOWS)}, or a number of seconds, 0.001 or more"
            window = _number("window", window, _SHORTEST, accepted)
        if on_exceeded is not None and not is_plain(on_exceeded, "key", "spent"):
            refuse("on_exceeded", on_exceeded, "a plain function of a key and the dollars spent")
        self._on_exceeded = on_exceeded
        self.nanodollars = max(1, round(self._usd * PER_DOLLAR))
        self.tally: Any = Tally(per, window)

    def spent(self, key: object = None) -> float:
        """Return the spending in the current window.

        With `redis` that is the spending of all processes. It is asked for, unless Redis is gone or
        this is the thread of an event loop: then it is the last known spending.

        Args:
            key: A value of the field `per`. None means the sum over all of them.

        Returns:
            US dollars.
        """
        is_of_key = self.tally.per is not None and key is not None
        spent: Sum = self.tally.find(as_key(key) if is_of_key else None)
        if self.tally not in budgets.tallies:  # it is undone
            return spent.dollars
        with _guard:
            self.tally.finish_adding()
            update = self.tally.share((spent,), final=False)
            if update is not None and not update.in_loop:
                update.wait(deadline())
        return spent.dollars

    def undo(self) -> None:
        """End the budget: it neither warns nor refuses any more."""
        self.tally.limits = tuple(each for each in self.tally.limits if each is not self)
        budgets.refusing = tuple(each for each in budgets.refusing if each is not self)
        if not self.tally.limits and self.tally in budgets.tallies:
            budgets.tallies = tuple(each for each in budgets.tallies if each is not self.tally)
            self.tally.stop()

    def report(self, spent: Sum, *, is_first: bool) -> None:
        """Report that a sum has reached the budget; an equal one may have reported it before."""
        tally = self.tally
        fields = {"budget_usd": self._usd, "spent_usd": spent.dollars, "window": tally.window}
        if tally.per is not None:
            fields |= {"per": tally.per, "key": spent.key}
        if spent.all_unpriced:
            fields["unpriced"] = spent.all_unpriced
        with _guard:
            if is_first:
                _log.warning("llm_budget_exceeded", extra=fields)
        if self._on_exceeded is None:
            return
        if in_finalizer():  # the application's code may wait for a lock that a finalizer interrupts
            start_new_thread(self._call_back, (spent.key, spent.dollars))
        else:
            self._call_back(spent.key, spent.dollars)

    def _call_back(self, key: str | None, dollars: float) -> None:
        with _guard_callback:
            self._on_exceeded(key, dollars)  # type: ignore[misc]  # there is one

    def refusal(self, spent: Sum) -> BudgetExceeded | None:
        """Return the error that refuses a call, if there is nothing left."""
        nanodollars = spent.total + spent.reserved
        if nanodollars < self.nanodollars:
            return None
        return BudgetExceeded(spent.key, nanodollars / PER_DOLLAR, self._usd)


def _number(name: str, value: Any, least: float, accepted: str) -> float:
    """Read a number above 0, whole if it is."""
    is_number = isinstance(value, Real | Decimal) and not isinstance(value, bool)
    number = float(value) if is_number else 0.0
    if not (least <= number <= _LARGEST and number > 0):
        refuse(name, value, accepted)
    return int(number) if number.is_integer() else number


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        refuse(name, value, "a boolean")
    return value


def _shared_tally(per: str | None, window: BudgetWindow, client: object) -> Any:
    from pantheon_obs.llm.cost.redis_script import script_of, shared_name  # noqa: PLC0415 - only with Redis
    from pantheon_obs.llm.cost.redis_spending import SharedTally  # noqa: PLC0415 - as above

    name = shared_name(per, window)
    known = [each for each in budgets.tallies if getattr(each, "name", None) == name]
    return known[0] if known else SharedTally(per, window, name, script_of(client))


def reset() -> None:
    """Undo all budgets (used by `pantheon_obs.testing.reset`)."""
    for tally in budgets.tallies:
        for each in tally.limits:
            each.undo()
