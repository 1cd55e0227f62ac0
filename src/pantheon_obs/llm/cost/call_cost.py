"""The cost of a call: the vendor's own figure, the `prices=` option, or the list price."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

from pantheon_obs.core.errors import refuse, require
from pantheon_obs.core.guard import report
from pantheon_obs.core.llm_events import REFUSED
from pantheon_obs.core.signatures import is_plain
from pantheon_obs.llm.cost.price_list import TOKENS
from pantheon_obs.llm.cost.price_list_loader import loader
from pantheon_obs.llm.options import CallOptions, Pricing
from pantheon_obs.llm.usage.answer import EXACT, OTHER, Reported, as_amount

if TYPE_CHECKING:
    from pantheon_obs.core.events import LlmCallFinished
    from pantheon_obs.core.llm_events import CostSource
    from pantheon_obs.llm.cost.price_list import Listed
    from pantheon_obs.llm.nesting import InnerCalls

    Cost = tuple[Decimal | float | None, CostSource | None]

Money: TypeAlias = float | Decimal
"""US dollars."""

_Rates: TypeAlias = tuple[Decimal, Decimal, Decimal]
"""Input, output and cached input, in USD per million tokens."""

Prices: TypeAlias = (
    Mapping[str, Sequence[Money] | str] | Callable[["LlmCallFinished"], Money | None]
)
"""The accepted types of `prices=`."""

_PRICE = "(input, output[, cached_input]) in USD per million tokens, or the name of a model"
_PRICES = "a mapping of model aliases to prices, or a function of the finished call"
_NUMBERS = (2, 3)
_LEAST = Decimal("1e-4")  # USD per million tokens: the prices per token are all below
_OWN = "pantheon_obs."
_MILLION = Decimal(1_000_000)
_MOST_BILLIONTHS = 1e12  # beyond, the multiplication itself is not exact enough
_NEARLY_HALF = 0.49


def set_cost(
    call: LlmCallFinished,
    answer: Reported,
    used: Reported,
    options: CallOptions,
    inner: InnerCalls | None,
) -> None:
    """Set the cost of a call in USD, rounded once, and its source. Never raises an `Exception`.

    `answer` is the response, `used` the usage, and `inner` the calls within this one.
    """
    cost: Decimal | float | None = None
    source: CostSource | None = None
    try:
        cost, source = _cost_of(call, answer, used, options, inner)
    except Exception as error:  # noqa: BLE001 - the guard, without its cost per call
        if not sys.is_finalizing():  # the list cannot import its modules any more
            report(f"prices of {call.event}", error)
    if cost is not None:
        call.cost_usd, call.cost_source = _rounded(float(cost)), source
    elif call.input_tokens or call.output_tokens:
        call.unpriced = call.unpriced or 1


def _rounded(dollars: float) -> float:
    """Round to billionths of a dollar, as `round` does, which takes twice as long."""
    billionths = dollars * 1e9
    whole = round(billionths)
    is_clear = billionths < _MOST_BILLIONTHS and abs(billionths - whole) < _NEARLY_HALF
    return whole / 1e9 if is_clear else round(dollars, 9)


def _cost_of(
    call: LlmCallFinished,
    answer: Reported,
    used: Reported,
    options: CallOptions,
    inner: InnerCalls | None,
) -> Cost:
    """Return the cost of the first source that has one, and the last source that was asked."""
    figure = answer.cost if used.cost is None else used.cost
    if figure is not None:
        return figure, "provider"
    is_sent = inner is not None or call.error_type != REFUSED
    if options.pricing is not None and is_sent:
        cost = options.pricing.price(call)
        if isinstance(cost, str):
            return _list_price(call.provider, cost, None, answer, used), "list"
        if cost is not None or options.pricing.final:
            return cost, "prices"
    if inner is not None:  # they know who has served them, and how
        call.unpriced = inner.unpriced
        return inner.cost_usd, inner.cost_source
    if loader.prices is None or (call.provider is None and options.sdk is not None):
        return None, None  # the SDK's client would show the vendor
    vendor = call.provider or answer.vendor or used.vendor
    return _list_price(vendor, call.model_alias, call.model, answer, used), "list"


def _list_price(
    vendor: str | None, alias: str | None, model: str | None, answer: Reported, used: Reported
) -> float | None:
    """Return the list price, or None; a sum if parts of the usage are priced one by one."""
    prices, details, served = loader.prices, used.details, used.served
    if used is not answer:  # which has the tools that the model has used
        details, served = {**answer.details, **details}, {**answer.served, **served}
    if prices is None or used.partial or (details and OTHER in details):
        return None
    ways = tuple(sorted(served.items())) if served else ()
    if not used.parts:
        listed = prices.listed(alias, model, vendor, ways)
        return None if listed is None else _price(used, details, listed)
    total = 0.0
    for part in used.parts:
        asked = (alias, model) if part.model is None else (part.model, None)
        listed = prices.listed(*asked, vendor, ways)
        cost = None if listed is None else _price(part, part.details, listed)
        if cost is None:
            return None
        total += cost
    return total


def _price(used: Reported, details: Mapping[str, int], listed: Listed) -> float | None:
    """Return the price of all counts that it may depend on; None if a total is not known."""
    input_, output = used.input_tokens, used.output_tokens
    if details:
        input_, output = details.get("input_tokens", input_), details.get("output_tokens", output)
    if input_ is None or output is None:
        return None
    cached, written = used.cached_input_tokens or 0, used.cache_write_tokens or 0
    tokens = input_, output, cached, written, used.reasoning_tokens or 0
    if not details:
        return listed.price_of(tokens)
    counts = {name: number for name, number in zip(TOKENS, tokens, strict=True) if number}
    # A 0 is one of them where it says more than its absence: none of the audio was cached.
    counts |= {n: c for n, c in details.items() if c or n.startswith("cache_")}
    return listed.price(counts)


def pricing_of(prices: object, provider: str | None = None) -> Pricing | None:
    """Check the `prices=` option; later changes to a mapping have no effect."""
    if prices is None:
        return None
    if isinstance(prices, Mapping):
        table = {alias: _checked(alias, prices[alias]) for alias in prices}
        for alias, price in table.items():
            _warn_of(alias, price, provider)
        return Pricing(partial(_by_table, table), final=False)
    if not is_plain(prices, "call"):
        refuse("prices", prices, _PRICES)
    return Pricing(partial(_by_callable, prices), final=True)


def _by_table(table: dict[str, _Rates | str], call: LlmCallFinished) -> Decimal | str | None:
    rates = table.get(call.model_alias or "")
    if rates is None or isinstance(rates, str):
        return rates
    if call.input_tokens is None or call.output_tokens is None or call.usage_status == "partial":
        return None
    fresh, output, cached_input = rates
    cached = min(call.cached_input_tokens or 0, call.input_tokens)
    multiply, add = EXACT.multiply, EXACT.add  # which set no context variable
    input_ = add(multiply(call.input_tokens - cached, fresh), multiply(cached, cached_input))
    return EXACT.divide(add(input_, multiply(call.output_tokens, output)), _MILLION)


def _by_callable(prices: Callable[..., object], call: LlmCallFinished) -> Decimal | None:
    answer = prices(call)
    cost = as_amount(answer)
    if cost is None and answer is not None:
        refuse("cost", answer, "USD, or None")
    return cost


def _checked(alias: object, price: object) -> _Rates | str:
    if not isinstance(alias, str) or not alias:
        refuse("prices: key", alias, "a model's alias")
    if isinstance(price, str) and price:
        if find_spec("genai_prices") is None:
            require("genai_prices", extra="prices", feature=f"prices[{alias!r}], a model's name,")
        return price
    numbers = [as_amount(number) for number in price] if isinstance(price, (tuple, list)) else []
    rates = [number for number in numbers if number is not None]
    if len(numbers) not in _NUMBERS or len(rates) < len(numbers):
        refuse(f"prices[{alias!r}]", price, _PRICE)
    fresh, output, *cached = rates
    return fresh, output, cached[0] if cached else fresh


def _warn_of(alias: str, price: _Rates | str, provider: str | None) -> None:
    """Warn of a price that is accepted and gives wrong costs, or none."""
    warn = _warner()
    if isinstance(price, str):
        of_provider = f" of {provider}" if provider else ""
        text = f"prices[{alias!r}]={price!r} is no model{of_provider} that genai-prices lists"
        # Later, in most cases: the list is not loaded for this in a request or before a fork.
        loader.when_loaded(lambda prices: prices.lists(price, provider) or warn(text))
    elif small := [rate for rate in price if 0 < rate < _LEAST]:
        text = f"prices[{alias!r}]: {small[0]:f} looks like a price per token: "
        meant = EXACT.normalize(EXACT.multiply(small[0], _MILLION))
        warn(f"{text}use USD per million tokens, {meant:f}")


def _warner() -> Callable[[str], None]:
    """Make a function that warns at the line of the application that gives the prices."""
    frame = sys._getframe()  # noqa: SLF001 - as `warnings` does
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith(_OWN):
        frame = frame.f_back
    known = frame.f_globals.setdefault("__warningregistry__", {})
    where = (frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__"), known)
    return lambda text: warnings.warn_explicit(text, UserWarning, *where)
