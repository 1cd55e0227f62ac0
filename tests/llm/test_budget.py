"""Budgets in one process: sums, warnings and callbacks, and refused calls."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import logging
import os
import pickle
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from threading import Barrier, Event, Lock, Thread, current_thread
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import (
    BudgetExceeded,
    ConfigError,
    ObsError,
    bind,
    budget,
    configure_logging,
    instrument_llm,
    llm_call,
    trace_context,
)
from pantheon_obs.core import guard
from pantheon_obs.core.context import current_trace
from pantheon_obs.llm.cost import spending
from pantheon_obs.llm.cost.budget_checks import budgets
from pantheon_obs.testing import fixed_clock, reset
from tests.support.garbage import collect_garbage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

DIME = {"m": (0.1, 0.1)}  # US dollars for a million tokens
ANSWER = {"usage": {"input_tokens": 1_000_000, "output_tokens": 0}}
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@llm_call(model="m", prices=DIME)
def spend() -> dict[str, Any]:
    """Answer for ten cents."""
    return ANSWER


FORKS = """
import os, sys
from tests.llm.test_budget import budget, budgets, spend

daily = budget(1.0)
spend()
[tally] = budgets.tallies
with tally._adding:  # another thread's
    child = os.fork()
if child == 0:
    spend()
    sys.exit(daily.spent() != 0.2)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert daily.spent() == 0.1
"""


def warnings(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the fields of the lines that say that a budget is spent."""
    mine = [line for line in lines if line["event"] == "llm_budget_exceeded"]
    assert all(("warning", "pantheon_obs.llm") == (e["level"], e["logger"]) for e in mine)
    names = ("budget_usd", "spent_usd", "window", "per", "key", "unpriced")
    return [{name: line[name] for name in names if name in line} for line in mine]


class TestSum:
    """Costs are added up, and the callback is called."""

    def test_ten_dimes_are_a_dollar(self, lines: list[dict[str, Any]]) -> None:
        """The sum is exact, unlike a sum of floats; the call that reaches it is reported once."""
        told: list[tuple[str | None, float]] = []
        with budget(1.0, on_exceeded=lambda key, spent: told.append((key, spent))) as daily:
            for _ in range(9):
                spend()
            assert ([], 0.9) == (told, daily.spent())

            with trace_context("job-1"):
                spend()
            spend()

            assert 1.1 == daily.spent()
        assert [(None, 1.0)] == told
        assert [{"budget_usd": 1, "spent_usd": 1.0, "window": "day"}] == warnings(lines)
        assert ["job-1"] == [
            line["trace_id"] for line in lines if line["event"] == "llm_budget_exceeded"
        ]

    def test_each_value_of_a_field_has_a_sum_of_its_own(self, lines: list[dict[str, Any]]) -> None:
        """Calls without the field share one; the sum over all is there, too."""
        told: list[str | None] = []
        daily = budget(0.2, per="tenant", on_exceeded=lambda key, _: told.append(key))
        for tenant in ("acme", "ajax", "acme", 7):
            with trace_context():
                bind(tenant=tenant)
                spend()
        for _ in range(2):
            spend()

        assert (0.2, 0.1, 0.1, 0.2, 0.6) == (
            daily.spent("acme"),
            daily.spent("ajax"),
            daily.spent(7),
            daily.spent(""),
            daily.spent(),
        )
        assert 0.0 == daily.spent("nobody")
        assert ["acme", ""] == told
        assert ["acme", ""] == [line["key"] for line in warnings(lines)]
        assert {"tenant"} == {line["per"] for line in warnings(lines)}

    def test_a_hostile_value_is_a_key_like_others(self) -> None:
        """It is cut; None and a value without text count as none."""

        class Broken:
            def __str__(self) -> str:
                raise ValueError

        daily = budget(1.0, per="tenant")
        for tenant in ("x" * 1000, None, Broken(), "\ud800\n"):
            with trace_context():
                bind(tenant=tenant)
                spend()
            current_trace.set(None)

        assert 0.1 == daily.spent("x" * 200)
        assert 0.2 == daily.spent("")
        assert 0.1 == daily.spent("\ud800\n")
        guard.forget()

    def test_too_many_keys_share_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The memory has a bound, whatever values are bound."""
        monkeypatch.setattr(spending, "_MOST_KEYS", 2)
        daily = budget(0.2, per="tenant", refuse=True)
        for tenant in ("a", "b", "c", "d"):
            with trace_context():
                bind(tenant=tenant)
                spend()

        assert (0.1, 0.2, 0.4) == (daily.spent("a"), daily.spent(spending.OTHERS), daily.spent())
        with trace_context():
            bind(tenant="e")
            with pytest.raises(BudgetExceeded, match="_OTHER"):
                spend()

    def test_nested_calls_are_counted_once(self, events: Events) -> None:
        """The outer call has the sum of the calls that it makes."""

        @llm_call
        def outer() -> None:
            spend()
            spend()

        with budget(1.0) as daily:
            outer()

            assert 0.2 == daily.spent()
        assert [True, True, None] == [event.nested for event in events]

    def test_calls_without_a_price_are_told(self, lines: list[dict[str, Any]]) -> None:
        """They bring no sum to its end."""

        @llm_call(model="m", prices=lambda _: None)
        def unpriced() -> dict[str, Any]:
            return ANSWER

        with budget(0.1) as daily:
            unpriced()
            assert 0.0 == daily.spent()
            spend()

        assert [{"budget_usd": 0.1, "spent_usd": 0.1, "window": "day", "unpriced": 1}] == warnings(
            lines
        )

    def test_nothing_needs_a_log_line(self) -> None:
        """Costs are added up whatever the log level, and without a sink."""
        logging.getLogger("pantheon_obs.llm").setLevel(logging.CRITICAL)
        told: list[float] = []
        try:
            with budget(0.1, on_exceeded=lambda _, spent: told.append(spent)):
                spend()
        finally:
            logging.getLogger("pantheon_obs.llm").setLevel(logging.NOTSET)

        assert [0.1] == told

    def test_threads_lose_nothing(self, lines: list[dict[str, Any]]) -> None:
        """Calls of many threads are added up exactly, and one of them tells."""
        told: list[str] = []
        ready = Barrier(8)

        def work() -> None:
            ready.wait()
            for _ in range(50):
                spend()

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with budget(20, on_exceeded=lambda *_: told.append(current_thread().name)) as daily:
                threads = [Thread(target=work) for _ in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

                assert 40.0 == daily.spent()
        finally:
            sys.setswitchinterval(interval)
        assert 1 == len(told) == len(warnings(lines))

    def test_a_stream_counts_when_it_ends(self) -> None:
        """Read to the end, or dropped in the middle."""

        @llm_call(model="m", prices=DIME)
        def stream() -> Iterator[Any]:
            yield ANSWER
            yield "more"

        @llm_call(model="m", prices=DIME)
        async def astream() -> AsyncIterator[Any]:
            yield ANSWER

        async def read() -> None:
            async for _ in astream():
                assert 0.0 == daily.spent()

        with budget(1.0) as daily:
            asyncio.run(read())
            assert 0.1 == daily.spent()
            chunks = stream()
            next(chunks)
            assert 0.1 == daily.spent()
            del chunks
            collect_garbage()

            assert 0.2 == daily.spent()

    def test_a_finalizer_waits_for_nothing(self) -> None:
        """While the sums are being changed, its cost is put aside; its callback runs elsewhere."""
        told = Event()
        threads: list[Thread] = []

        def on_exceeded(_key: str | None, _spent: float) -> None:
            threads.append(current_thread())
            told.set()

        @llm_call(model="m", prices=DIME)
        def stream() -> Iterator[Any]:
            yield ANSWER
            yield "more"

        chunks = stream()
        next(chunks)
        with budget(0.1, on_exceeded=on_exceeded) as daily:
            [tally] = budgets.tallies
            with tally._adding:  # noqa: SLF001 - as if the garbage collector ran in the middle
                del chunks
                collect_garbage()
                assert not told.is_set()

            assert 0.1 == daily.spent()
        assert told.is_set()  # told by this thread, which was no finalizer

        told.clear()
        chunks = stream()
        next(chunks)
        with budget(0.1, on_exceeded=on_exceeded):
            del chunks
            collect_garbage()
            assert told.wait(30)
        assert [True, False] == [thread is current_thread() for thread in threads]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_a_forked_process_adds_up_by_itself(self) -> None:
        """A lock that another thread holds at the fork is no lock there."""
        subprocess.run([sys.executable, "-c", FORKS], check=True, timeout=60)


class TestWindow:
    """The windows of time, each with a sum of its own."""

    @pytest.mark.parametrize(
        ("window", "start", "last"),
        [
            ("hour", NOON, 3599),
            ("day", datetime(2026, 11, 29, tzinfo=UTC), 86399),
            ("month", datetime(2026, 12, 1, tzinfo=UTC), 31 * 86400 - 1),
            (90, NOON, 89),
            (0.5, NOON, 0.4),
        ],
    )
    def test_a_window_begins_anew(self, window: Any, start: datetime, last: float) -> None:
        """Hours, days and months are those of UTC; others follow one another from the epoch."""
        told: list[float] = []
        with (
            fixed_clock(start) as move,
            budget(0.2, window=window, on_exceeded=lambda _, spent: told.append(spent)) as each,
        ):
            spend()
            move(last)
            spend()
            assert ([0.2], 0.2) == (told, each.spent())
            move(1)
            assert 0.0 == each.spent()
            spend()
            spend()

            assert ([0.2, 0.2], 0.2) == (told, each.spent())

    def test_a_clock_that_is_set_back_finds_its_sum(self) -> None:
        """Nothing is reported twice, and nothing may be spent twice."""
        told: list[float] = []
        with (
            fixed_clock(NOON.timestamp()) as move,
            budget(0.1, refuse=True, on_exceeded=lambda _, spent: told.append(spent)) as daily,
        ):
            spend()
            move(365 * 86400)
            spend()
            move(-365 * 86400)

            assert 0.1 == daily.spent()
            with pytest.raises(BudgetExceeded):
                spend()
        assert [0.1, 0.1] == told

    def test_old_windows_are_forgotten(self) -> None:
        """The memory has a bound, however long the process runs."""
        with fixed_clock(0) as move, budget(1.0, window=60) as each:
            for _ in range(10):
                spend()
                move(60)

            move(-60)
            assert 0.1 == each.spent()
            move(-9 * 60)
            assert 0.0 == each.spent()


class Client:
    """A gateway, each of whose methods costs ten cents; `sent` counts the requests."""

    def __init__(self) -> None:
        self.sent = 0

    def generate(self) -> Any:
        """Answer."""
        self.sent += 1
        return ANSWER

    async def agenerate(self) -> Any:
        """Answer."""
        return self.generate()

    def returned(self) -> Any:
        """Return a coroutine, as the SDKs' clients do."""
        return self.agenerate()

    def stream(self) -> Iterator[Any]:
        """Stream."""
        yield self.generate()

    async def astream(self) -> AsyncIterator[Any]:
        """Stream."""
        yield self.generate()


class TestRefusal:
    """Calls that are not made."""

    def test_a_spent_budget_refuses_every_kind_of_call(self, events: Events) -> None:
        """Nothing is sent, and the event of the call says why."""
        client = Client()
        names = ("generate", "agenerate", "returned", "stream", "astream")
        instrument_llm(client, names, prices=lambda _: 0.1)

        async def use_all() -> int:
            refused = 0
            for name in ("agenerate", "returned"):
                with suppress(BudgetExceeded):
                    await getattr(client, name)()
                    refused -= 1
                refused += 1
            with suppress(BudgetExceeded):
                async for _ in client.astream():
                    refused -= 1
            return refused + 1

        with budget(0.1, refuse=True) as spent:
            client.generate()
            assert 3 == asyncio.run(use_all())
            with pytest.raises(BudgetExceeded):
                client.generate()
            with pytest.raises(BudgetExceeded):
                next(client.stream())
            with pytest.raises(BudgetExceeded), llm_call():
                raise AssertionError

            assert 0.1 == spent.spent()

        assert 1 == client.sent
        assert {("error", "BudgetExceeded", None)} == {
            (event.outcome, event.error_type, event.cost_usd) for event in events[1:]
        }
        assert 7 == len(events)

    def test_nested_calls_are_refused_before_their_outer_call_has_ended(
        self, events: Events
    ) -> None:
        """An agent that calls in a loop stops at the limit, and so do agents side by side."""

        @llm_call(usage=lambda _: (1, 0), prices=lambda _: 0.05, model="agent")
        async def agent(steps: int, inner: Any = None) -> None:
            for _ in range(steps):
                await asyncio.sleep(0)
                spend()
                await (inner or asyncio.sleep)(0)

        async def agents() -> None:
            await asyncio.gather(*(agent(9, agent) for _ in range(3)), return_exceptions=True)

        with budget(0.35, refuse=True) as daily:
            asyncio.run(agents())
            refused = [event for event in events if event.error_type == "BudgetExceeded"]
            assert 4 == sum(event.operation == "spend" for event in events) - len(
                [event for event in refused if event.operation == "spend"]
            )
            assert 0.15 == daily.spent()  # what the agents themselves say
            spend()

    def test_what_a_nested_call_has_spent_counts_once(self) -> None:
        """The outer call counts it; a thread may outlive the outer call."""
        goes_on, ended = Event(), Event()

        @llm_call(model="m", prices=DIME)
        def late() -> dict[str, Any]:
            goes_on.wait()
            return ANSWER

        @llm_call(model="m", prices=DIME)
        def gateway() -> dict[str, Any]:
            context = contextvars.copy_context()
            thread = Thread(target=lambda: (context.run(late), ended.set()))
            thread.start()
            return spend()

        with budget(0.2, refuse=True) as daily:
            gateway()
            goes_on.set()
            ended.wait()
            assert 0.1 == daily.spent()
            spend()
            assert 0.2 == daily.spent()

    def test_a_forked_process_holds_nothing_of_its_parent(self) -> None:
        """The parent's calls end in the parent."""

        @llm_call
        def gateway() -> None:
            spend()
            budgets.forked()
            spend()

        with budget(0.2, refuse=True) as daily:
            gateway()
            assert 0.2 == daily.spent()

    def test_a_callback_that_ends_the_process_does(self) -> None:
        """`SystemExit` passes, as from a signal handler; the sums are right."""

        @llm_call
        def gateway() -> None:
            spend()

        with budget(0.1, on_exceeded=lambda *_: sys.exit(3), refuse=True) as daily:
            with pytest.raises(SystemExit):
                gateway()
            assert 0.1 == daily.spent()
            with pytest.raises(BudgetExceeded) as caught:
                spend()
            assert 0.1 == caught.value.spent

    def test_a_refused_call_is_in_no_count_of_missing_usage(self, events: Events) -> None:
        """The request's totals have it as an error; an outer call's sums are whole."""

        @llm_call
        def gateway() -> None:
            spend()
            with suppress(BudgetExceeded):
                spend()

        with trace_context(), budget(0.1, refuse=True):
            trace = current_trace.get()
            with suppress(BudgetExceeded):
                gateway()
            with suppress(BudgetExceeded):
                spend()

            assert trace is not None
            totals = trace.llm
            assert totals is not None
            assert (2, 1, 0) == (totals.calls, totals.errors, totals.usage_missing)
        assert ["spend", "spend", "gateway", "spend"] == [event.operation for event in events]
        assert "reported" == events[2].usage_status

    def test_the_error_says_what_was_spent(self) -> None:
        """It survives pickle and copy, and belongs to the errors of the library."""
        with trace_context(), budget(0.05, per="tenant", refuse=True):
            bind(tenant="acme")
            spend()
            with pytest.raises(BudgetExceeded) as caught:
                spend()
        for error in (
            caught.value,
            pickle.loads(pickle.dumps(caught.value)),  # noqa: S301 - its own
            copy.copy(caught.value),
        ):
            assert isinstance(error, ObsError)
            assert ("acme", 0.1, 0.05) == (error.key, error.spent, error.budget)
            assert "the LLM budget of 'acme' is spent: 0.1 of 0.05 US dollars" == str(error)

    def test_only_the_key_that_is_spent_is_refused(self) -> None:
        """And only by the budgets that were asked to."""
        with budget(0.1), budget(0.1, per="tenant", refuse=True):
            for tenant in ("acme", "ajax"):
                with trace_context():
                    bind(tenant=tenant)
                    spend()
            with trace_context():
                bind(tenant="acme")
                with pytest.raises(BudgetExceeded):
                    spend()


class TestSwitches:
    """The beginning and end of a budget."""

    def test_undo_ends_one_budget(self) -> None:
        """Others go on; a second call changes nothing."""
        first, second = budget(0.3, refuse=True), budget(0.5, window="hour")
        spend()
        first.undo()
        first.undo()
        spend()

        assert (0.1, 0.2) == (first.spent(), second.spent())
        reset()
        spend()
        assert 0.2 == second.spent()
        assert () == budgets.tallies == budgets.refusing

    def test_the_library_that_is_off_has_no_budgets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Arguments are checked still."""
        monkeypatch.setenv("PANTHEON_OBS_DISABLED", "1")
        with budget(0.05, refuse=True) as daily:
            spend()
            spend()

            assert 0.0 == daily.spent()
        with pytest.raises(ConfigError):
            budget(0)

    def test_a_callback_may_fail_and_call(self, lines: list[dict[str, Any]]) -> None:
        """Its exceptions are logged, and its own calls are counted."""

        def on_exceeded(_key: str | None, _spent: float) -> None:
            spend()
            raise ValueError

        with budget(0.1, on_exceeded=on_exceeded) as daily:
            assert ANSWER == spend()
            assert 0.2 == daily.spent()
        failed = [line for line in lines if line["event"] == "telemetry_failed"]
        assert ["on_exceeded of a budget"] == [line["site"] for line in failed]

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("usd", {"usd": 0}),
            ("usd", {"usd": -1}),
            ("usd", {"usd": True}),
            ("usd", {"usd": "1"}),
            ("usd", {"usd": float("nan")}),
            ("usd", {"usd": float("inf")}),
            ("per", {"per": "org"}),
            ("window", {"window": "week"}),
            ("window", {"window": 0}),
            ("window", {"window": None}),
            ("window", {"window": []}),
            ("on_exceeded", {"on_exceeded": "mail"}),
            ("on_exceeded", {"on_exceeded": Client.agenerate}),
            ("on_exceeded", {"on_exceeded": lambda: None}),
            ("refuse", {"refuse": "no"}),
            ("refuse", {"refuse": 1}),
            ("redis", {"redis": "redis://localhost"}),
        ],
    )
    def test_a_wrong_argument_is_refused(self, name: str, options: dict[str, Any]) -> None:
        """The message names the argument and the accepted values."""
        with pytest.raises(ConfigError, match=rf"{name}=.* is not accepted: use "):
            budget(**{"usd": 1.0, **options})
        assert () == budgets.tallies

    def test_an_amount_may_be_any_number(self) -> None:
        """The smallest one is a billionth of a dollar."""
        with budget(Decimal("0.1"), refuse=True), budget(1e-12):  # type: ignore[arg-type]
            spend()
            with pytest.raises(BudgetExceeded):
                spend()


class TestAttribution:
    """The fields that a cost is booked under."""

    def test_a_cost_belongs_to_what_was_bound_when_the_call_began(
        self, lines: list[dict[str, Any]]
    ) -> None:
        """The event and the budget agree; a value bound in the call counts if there was none."""

        @llm_call(model="m", prices=DIME)
        def late() -> Any:
            bind(tenant="late")
            return ANSWER

        @llm_call(model="m", prices=DIME)
        def stream() -> Iterator[Any]:
            yield ANSWER

        with budget(1.0, per="tenant") as daily, trace_context():
            late()
            bind(tenant="acme", other=1)
            chunks = stream()
            next(chunks)
            bind(tenant="ajax", other=2)
            list(chunks)

            assert (0.1, 0.1, 0.0) == tuple(map(daily.spent, ("late", "acme", "ajax")))
        assert [("late", None), ("acme", 2)] == [
            (line["tenant"], line.get("other")) for line in lines
        ]

    def test_a_setting_names_the_fields(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The last set-up's value is in force, and before the first set-up the environment's."""
        monkeypatch.setenv("PANTHEON_OBS_LLM_ATTRIBUTION", "org, team")
        budget(1.0, per="org").undo()
        with pytest.raises(ConfigError, match="use one of org, team, or name it in the setting"):
            budget(1.0, per="tenant")

        configure_logging(llm_attribution=["account"])
        configure_logging()
        budget(1.0, per="account").undo()
        with pytest.raises(ConfigError):
            budget(1.0, per="org")


def test_a_lock_that_is_never_free_costs_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that starts in the middle of a sum uses the last known sum."""
    monkeypatch.setattr(spending, "_LONGEST_WAIT", 0.001)
    with budget(0.1, refuse=True):
        [tally] = budgets.tallies
        tally._adding = Lock()  # noqa: SLF001 - one of another thread
        with tally._adding:  # noqa: SLF001 - as above
            assert ANSWER == spend()
        with pytest.raises(BudgetExceeded):
            spend()
