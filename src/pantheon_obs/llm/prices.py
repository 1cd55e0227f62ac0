"""The `prices=` option: the application's own prices, checked where they are given."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pantheon_obs.core.errors import refuse, require
from pantheon_obs.llm.list_loading import loader
from pantheon_obs.llm.usage.fields import EXACT, amount

if TYPE_CHECKING:
    from pantheon_obs.core.events import LlmCallFinished

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


class Pricing(NamedTuple):
    """The checked option: USD, or the name of the model whose list price a call has.

    `final` says that None means no cost, not the list price.
    """

    price: Callable[[LlmCallFinished], Decimal | str | None]
    final: bool


def pricing_of(prices: object, provider: str | None = None) -> Pricing | None:
    """Check the `prices=` option; later changes to a mapping have no effect."""
    if prices is None:
        return None
    if isinstance(prices, Mapping):
        table = {alias: _checked(alias, prices[alias]) for alias in prices}
        for alias, price in table.items():
            _warn_of(alias, price, provider)
        return Pricing(partial(_by_table, table), final=False)
    if not callable(prices) or iscoroutinefunction(prices):
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
    cost = amount(answer)
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
    numbers = [amount(number) for number in price] if isinstance(price, (tuple, list)) else []
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
