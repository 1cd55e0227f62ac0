"""The cost of a call: the vendor's figure, the application's prices, the list, in this order."""

from __future__ import annotations

import re
import sys
from concurrent.futures import Future
from decimal import Context, Decimal, Inexact, localcontext
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pantheon_obs import ConfigError, MissingExtraError, instrument_llm, llm_call
from pantheon_obs.core import guard
from pantheon_obs.core.context import Trace, begin, end
from pantheon_obs.core.events import llm_fields
from tests.support.server import run_python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.core.events import LlmCallFinished

    Events = list[LlmCallFinished]

USAGE = {"input_tokens": 1000, "output_tokens": 200, "cached_input_tokens": 400}
UPSTREAM = {"cost_details": {"upstream_inference_cost": 0.004}}
IN_PARTS = {"upstream_inference_prompt_cost": 0.001, "upstream_inference_completions_cost": 0.0032}
OF_RESPONSES = {"upstream_inference_input_cost": 0.001, "upstream_inference_output_cost": 0.0032}
PAID = {"prompt_tokens": 1000, "completion_tokens": 200, "cost": 0.25}


def answer(usage: Any = None, **parts: Any) -> dict[str, Any]:
    """Make a response."""
    return {"text": "Paris.", "usage": USAGE if usage is None else usage, **parts}


def cost(events: Events) -> float | None:
    """Return the cost of the one call."""
    [event] = events
    return event.cost_usd


def costs(events: Events) -> list[tuple[float | None, str | None]]:
    """Return the costs and their sources."""
    return [(event.cost_usd, event.cost_source) for event in events]


@pytest.fixture
def no_list(monkeypatch: pytest.MonkeyPatch, unloaded: None) -> None:
    """Make genai-prices look as if it were not installed."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    monkeypatch.delitem(sys.modules, "genai_prices.data", raising=False)


class TestVendor:
    """The vendor's own figure comes first."""

    def test_it_wins_over_prices(self, events: Events) -> None:
        """OpenRouter's `usage.cost` wins over the application's prices."""
        llm_call(model="fast", prices={"fast": (1, 1)})(lambda: answer(PAID))()

        assert 0.25 == cost(events)

    def test_it_does_not_need_all_tokens(self, events: Events) -> None:
        """The vendor's cost is not computed from tokens."""
        llm_call(prices=lambda _: 1)(lambda: answer({"prompt_tokens": 1, "cost": 0.25}))()

        assert 0.25 == cost(events)

    def test_a_free_call_costs_nothing(self, events: Events) -> None:
        """A cost of 0 is not an unknown cost."""
        llm_call(lambda: answer({**PAID, "cost": 0}))()

        assert 0 == cost(events)

    def test_it_may_come_with_a_usage_future(self, events: Events) -> None:
        """The vendor's cost may be in a usage future, as the tokens may."""

        class Stream:
            def __init__(self) -> None:
                self.usage_future: Future[Any] = Future()

            def __iter__(self) -> Iterator[str]:
                yield "Paris."
                self.usage_future.set_result(PAID)

        list(llm_call(partial(Stream))())

        assert 0.25 == cost(events)

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ({"cost": 0.002, "is_byok": True, **UPSTREAM}, 0.006),
            ({"cost": 0, "is_byok": True, **UPSTREAM}, 0.004),
            ({"cost": 0, **UPSTREAM}, 0.004),
            ({"cost": 0.002, "is_byok": False, **UPSTREAM}, 0.002),
            ({"cost": 0, "is_byok": False, **UPSTREAM}, 0),
            ({"cost": 0, "is_byok": True}, 0),
            (
                {
                    "cost": 0.0002,
                    "is_byok": True,
                    "cost_details": {"upstream_inference_cost": None, **IN_PARTS},
                },
                0.0044,
            ),
            ({"cost": 0, "is_byok": True, "cost_details": OF_RESPONSES}, 0.0042),
            ({"cost": 0.002, "is_byok": False, "cost_details": IN_PARTS}, 0.002),
            ({"cost": {"total_cost": 0.012, "request_cost": 0.01}}, 0.012),
            ({"estimated_cost": 0.000242}, 0.000242),
            ({"cost_in_usd_ticks": 37_756_000}, 0.0037756),
            ({"cost_in_usd_ticks": "37"}, None),
            ({"cost": {"currency": "EUR"}}, None),
        ],
    )
    def test_it_is_found_wherever_a_vendor_puts_it(
        self, more: Any, expected: float | None, events: Events
    ) -> None:
        """OpenRouter with one's own key, Perplexity, DeepInfra and xAI."""
        usage = {"prompt_tokens": 2000, "completion_tokens": 150, **more}
        llm_call(provider="house")(lambda: answer(usage))()

        source = None if expected is None else "provider"
        assert [(expected, source)] == costs(events)

    def test_a_later_0_does_not_replace_it(self, events: Events) -> None:
        """Gateways repeat the usage with zeros."""
        frames = [answer(PAID), answer({**PAID, "cost": 0})]
        list(llm_call(lambda: (frame for frame in frames))())

        assert 0.25 == cost(events)

    def test_litellm_keeps_it_in_a_private_attribute(self, events: Events) -> None:
        """The figure in the usage itself goes first."""
        pydantic = pytest.importorskip("pydantic")

        class ModelResponse(pydantic.BaseModel):  # type: ignore[name-defined, misc]
            choices: tuple[Any, ...] = ()
            usage: dict[str, Any]
            _hidden_params: dict[str, Any]

        for usage in ({"prompt_tokens": 1}, PAID):
            response = ModelResponse(usage=usage)
            response._hidden_params = {"response_cost": 0.5}  # noqa: SLF001 - litellm's own name
            llm_call(lambda response=response: response)()

        assert [(0.5, "provider"), (0.25, "provider")] == costs(events)

    def test_on_an_answer_beside_another_usage_it_is_kept(self, events: Events) -> None:
        """The application returns its own counts, without a cost."""
        llm_call(usage=lambda _: (1, 2))(lambda: answer(PAID))()

        assert (0.25, 1) == (cost(events), events[0].input_tokens)

    @pytest.mark.parametrize("bad", ["0.25", True, -1, float("nan"), float("inf"), 1e300, [1], {}])
    def test_a_bad_one_is_none(self, bad: object, events: Events) -> None:
        """The application's price is used."""
        llm_call(prices=lambda _: 2)(lambda: answer({**PAID, "cost": bad}))()

        assert 2 == cost(events)


@pytest.mark.usefixtures("no_list")
class TestMapping:
    """`prices={alias: (input, output[, cached_input])}`, in USD per million tokens."""

    @pytest.mark.parametrize(
        ("price", "expected"),
        [
            ((1, 10), 0.003),
            ((1, 10, 0.1), 0.00264),
            ((1, 10, 0), 0.0026),
            ((0, 0), 0),
            ([1, 10], 0.003),
            ((Decimal("0.15"), Decimal("0.60")), 0.00027),
            ((0.15, 0.6, 0.075), 0.00024),
        ],
    )
    def test_tokens_are_priced(self, price: Any, expected: float, events: Events) -> None:
        """Cached tokens have their own price, or that of the input if none is given."""
        llm_call(model="fast", prices={"fast": price})(answer)()

        assert expected == cost(events)

    def test_the_alias_is_that_of_the_call(self, events: Events) -> None:
        """The alias is found as for the event, and may be a member of an enumeration."""

        class Model(StrEnum):
            FAST = "fast"

        @llm_call(prices={Model.FAST: (1, 0), "strong": (2, 0)})
        def generate(model: str) -> Any:
            return answer()

        generate("fast")
        generate(model="strong")
        generate("other")

        assert [0.001, 0.002, None] == [event.cost_usd for event in events]

    def test_it_is_rounded_once_and_to_a_billionth(self, events: Events) -> None:
        """The sum is rounded, and not each part."""
        usage = {"input_tokens": 7, "output_tokens": 3, "cached_input_tokens": 0}
        llm_call(model="fast", prices={"fast": (0.000333, 0.00017)})(lambda: answer(usage))()

        assert 3e-9 == cost(events)

    @pytest.mark.parametrize("dollars", [0.25, 4.875e-07, 5e-10, 1.5e-09, 0.1 + 0.2, 123_456.789])
    def test_it_is_rounded_as_python_rounds(self, dollars: float, events: Events) -> None:
        """A half of a billionth is rounded as `round` does, and so is a large sum."""
        llm_call(prices=lambda _: dollars)(answer)()

        assert round(dollars, 9) == cost(events)

    def test_the_applications_own_precision_is_not_used(self, events: Events) -> None:
        """The application may set a decimal context with two digits and a trap for rounding."""
        with localcontext(Context(prec=2, traps=[Inexact])):
            llm_call(model="fast", prices={"fast": (1.2345, 10)})(answer)()

        assert 0.0032345 == cost(events)

    def test_a_cached_part_is_not_more_than_the_whole(self, events: Events) -> None:
        """More cached tokens than input tokens never give a negative cost."""
        usage = {"input_tokens": 10, "output_tokens": 0, "cached_input_tokens": 50}
        llm_call(model="fast", prices={"fast": (1, 1, 0.5)})(lambda: answer(usage))()

        assert 0.000005 == cost(events)

    @pytest.mark.parametrize(
        "usage", [None, {}, {"input_tokens": 10}, {"output_tokens": 10, "input_tokens": None}]
    )
    def test_an_incomplete_usage_has_no_cost(self, usage: Any, events: Events) -> None:
        """There is no cost if one of the counts is unknown."""
        llm_call(model="fast", prices={"fast": (1, 1)})(lambda: {"usage": usage})()

        assert cost(events) is None

    def test_it_is_taken_as_it_is_at_decoration(self, events: Events) -> None:
        """A later change of the mapping has no effect."""
        prices = {"fast": (1, 0)}
        generate = llm_call(model="fast", prices=prices)(answer)
        prices["fast"] = (9, 0)
        generate()

        assert 0.001 == cost(events)

    def test_in_a_with_statement(self, events: Events) -> None:
        """The option works as it does for `llm_call`."""
        with llm_call(model="fast", prices={"fast": (1, 10)}) as call:
            call.usage((1000, 200))

        assert 0.003 == cost(events)

    def test_a_call_that_failed_has_the_cost_of_its_tokens(self, events: Events) -> None:
        """The tokens of a failed call are paid for, so it has a cost."""

        @llm_call(model="fast", prices={"fast": (1, 10)})
        def stream() -> Iterator[Any]:
            yield answer()
            raise OSError

        with pytest.raises(OSError, match=r"^$"):
            list(stream())

        assert ("error", 0.003) == (events[0].outcome, cost(events))

    def test_a_model_by_name_needs_the_list(self) -> None:
        """An explicit request fails loudly, at the place of the request."""
        expected = re.escape("prices['fast'], a model's name, needs the package 'genai_prices'")
        with pytest.raises(MissingExtraError, match=expected):
            llm_call(prices={"fast": "gpt-4o-mini"})

    def test_without_the_list_a_listed_model_has_no_cost(self, events: Events) -> None:
        """No warning is logged, because the application has not asked for a cost."""
        llm_call(lambda: answer(model="gpt-4o-mini"))()

        assert cost(events) is None


class TestCallable:
    """`prices=` as a function of the finished call."""

    @pytest.mark.parametrize(
        ("given", "expected"),
        [(3, 3), (0.25, 0.25), (Decimal("0.1"), 0.1), (0, 0), (None, None), (1e-10, 0)],
    )
    def test_its_result_is_the_cost_of_the_call(
        self, given: Any, expected: float | None, events: Events
    ) -> None:
        """The result is in US dollars, or None for no cost; the list is not used then."""
        llm_call(prices=lambda _: given)(lambda: answer(model="gpt-4o-mini"))()

        assert expected == cost(events)

    def test_it_is_given_all_that_is_known(self, events: Events) -> None:
        """The function gets the event that goes to the sinks."""
        asked: list[LlmCallFinished] = []

        @llm_call(model="fast", provider="house", prices=asked.append)
        def stream() -> Iterator[Any]:
            for _ in range(1000):
                yield {"choices": [{"delta": {"content": "a"}}]}
            yield {
                "choices": [{"delta": {}, "finish_reason": "stop"}],
                "usage": {**PAID, "cost": None},
            }

        list(stream())

        assert events == asked
        [event] = asked
        assert ("fast", "house", "ok", "stop", 1001, 1000, 200) == (
            event.model_alias,
            event.provider,
            event.outcome,
            event.finish_reason,
            event.chunks,
            event.input_tokens,
            event.output_tokens,
        )
        assert event.ttft_ms is not None

    def test_its_failure_stays_here(self, events: Events) -> None:
        """It is reported once, and the call has no cost."""
        generate = llm_call(operation="ask", prices=lambda _: 1 / 0)(answer)

        assert [answer(), answer()] == [generate(), generate()]
        assert [None, None] == [event.cost_usd for event in events]
        assert frozenset({"prices of llm.ask"}) == guard.reported()
        guard.forget()

    @pytest.mark.parametrize("bad", ["3", True, -1, float("nan"), Decimal("-Infinity"), (1, 2)])
    def test_a_result_that_is_no_amount_is_reported(self, bad: Any, events: Events) -> None:
        """A text and an impossible amount are reported too."""
        llm_call(operation="ask", prices=lambda _: bad)(answer)()

        assert cost(events) is None
        assert frozenset({"prices of llm.ask"}) == guard.reported()
        guard.forget()


async def asynchronous(_: object) -> float:
    """A coroutine function, which could not be awaited."""
    return 0.0


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        (3, "prices=3 is not accepted: use a mapping of model aliases to prices, or a function"),
        (asynchronous, "is not accepted: use a mapping of model aliases to prices, or a function"),
        (lambda: 0.1, "is not accepted: use a mapping of model aliases to prices, or a function"),
        ({1: (1, 2)}, "prices: key=1 is not accepted: use a model's alias"),
        ({"": (1, 2)}, "prices: key='' is not accepted"),
        ({"fast": (1,)}, "prices['fast']=(1,) is not accepted: use (input, output[, cached_"),
        ({"fast": (1, 2, 3, 4)}, "prices['fast']=(1, 2, 3, 4) is not accepted"),
        ({"fast": (1, -2)}, "prices['fast']=(1, -2) is not accepted"),
        ({"fast": (1, "2")}, "prices['fast']=(1, '2') is not accepted"),
        ({"fast": (1, True)}, "prices['fast']=(1, True) is not accepted"),
        ({"fast": (1, float("nan"))}, "prices['fast']=(1, nan) is not accepted"),
        ({"fast": 3}, "prices['fast']=3 is not accepted"),
        ({"fast": None}, "prices['fast']=None is not accepted"),
        ({"fast": ""}, "prices['fast']='' is not accepted: use (input, output[, cached_input])"),
    ],
)
def test_bad_prices_are_refused_at_decoration(prices: Any, message: str) -> None:
    """The message names the value and the accepted values."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        llm_call(prices=prices)


def test_no_prices_at_all_are_accepted(events: Events) -> None:
    """An empty mapping knows no alias."""
    llm_call(model="a house's own", prices={})(answer)()

    assert cost(events) is None


class TestTotals:
    """The request's line adds up the costs."""

    def test_costs_that_are_known_are_added(self, events: Events) -> None:
        """A call without one does not make the sum unknown."""
        generate = llm_call(prices={"fast": (0.1, 0), "strong": (0.2, 0)})(lambda model: answer())
        trace = Trace("trace-1")
        begin(trace)
        for model in ("fast", "strong", "a house's own"):
            generate(model)
        end(trace)

        assert trace.llm is not None
        assert 0.0003 == llm_fields(trace.llm)["llm_cost_usd"]

    def test_calls_without_a_price_are_counted(self, events: Events) -> None:
        """Only calls with tokens count, also those within an outer call that has a cost."""
        inner = llm_call(prices=lambda call: 0.1 if call.model_alias == "fast" else None)(
            lambda model, usage: answer(usage)
        )
        plain = llm_call(prices=lambda _: None)

        @llm_call(operation="outer")
        def outer() -> str:
            inner("fast", USAGE)
            inner("other", USAGE)
            inner("other", USAGE)
            return "Paris."

        trace = Trace("trace-1")
        begin(trace)
        outer()
        plain(answer)()
        plain(lambda: answer({}))()
        end(trace)

        assert trace.llm is not None
        assert (3, 0.1) == (trace.llm.unpriced, trace.llm.cost_usd)
        assert 3 == llm_fields(trace.llm)["llm_unpriced"]

    def test_an_outer_call_takes_the_cost_of_its_inner_ones(self, events: Events) -> None:
        """The request's line counts the cost of an inner call once."""
        inner = llm_call(operation="inner", prices=lambda _: 0.1)(answer)

        @llm_call(operation="outer")
        def outer() -> str:
            inner()
            inner()
            return "Paris."

        trace = Trace("trace-1")
        begin(trace)
        outer()
        end(trace)

        assert [(0.1, "prices"), (0.1, "prices"), (0.2, "prices")] == costs(events)
        assert trace.llm is not None
        assert 0.2 == trace.llm.cost_usd


class Gateway:
    """A gateway of the application."""

    def generate(self) -> str:
        """Answer."""
        return "Paris."


@pytest.mark.parametrize(
    "give",
    [
        pytest.param(lambda prices: llm_call(prices=prices), id="llm_call"),
        pytest.param(lambda prices: instrument_llm(Gateway(), prices=prices), id="instrument_llm"),
    ],
)
@pytest.mark.parametrize(
    ("price", "small", "meant"),
    [
        pytest.param((2e-6, 8e-6), "0.000002", "2", id="both"),
        pytest.param((Decimal("0.000075"), 30), "0.000075", "75", id="one"),
        pytest.param((1, 10, 2.5e-8), "0.000000025", "0.025", id="cached"),
    ],
)
def test_prices_per_token_are_reported_where_they_are_given(
    give: Any, price: tuple[Any, ...], small: str, meant: str
) -> None:
    """They would make each cost a millionth; the warning points to the line with the prices."""
    message = f"{small} looks like a price per token: use USD per million tokens, {meant}"

    with pytest.warns(UserWarning, match=rf"^prices\['fast'\]: {re.escape(message)}$") as warned:
        give({"fast": price})

    assert [__file__] == [warning.filename for warning in warned]


def test_a_program_sees_the_warning_before_logging_is_configured() -> None:
    """It is on standard error, with the line of the application."""
    program = "from pantheon_obs import llm_call\nllm_call(prices={'fast': (2e-6, 8e-6)})"
    done = run_python(program)

    assert "<string>:2: UserWarning: prices['fast']: 0.000002 looks like a price" in done.stderr
