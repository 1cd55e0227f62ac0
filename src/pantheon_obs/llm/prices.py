"""The cost of a call: the vendor's own figure, the `prices=` option, or the list price."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal, localcontext
from functools import partial
from importlib.util import find_spec
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.extras import require
from pantheon_obs.core.guard import report
from pantheon_obs.llm.list_prices import list_price
from pantheon_obs.llm.usage.fields import amount

if TYPE_CHECKING:
    from pantheon_obs.core.events import LlmCallFinished

Money: TypeAlias = float | Decimal
"""US dollars."""

Prices: TypeAlias = (
    Mapping[str, Sequence[Money] | str] | Callable[["LlmCallFinished"], Money | None]
)
"""The accepted types of `prices=`."""

_PRICE = "use (input, output[, cached_input]) in USD per million tokens, or the name of a model"
_PRICES = "use a mapping of model aliases to prices, or a function of the finished call"
_NUMBERS = (2, 3)
_DIGITS = 9
# The application's decimal context may round to a few digits, or raise.
_EXACT = Context(prec=60)


class Pricing(NamedTuple):
    """The checked `prices=` option.

    Attributes:
        price: Returns the cost of a call in USD, or None.
        final: Whether None means no cost; if not, the list price is used.
    """

    price: Callable[[LlmCallFinished], Decimal | None]
    final: bool


class _Rates(NamedTuple):
    """USD per million tokens."""

    input: Decimal
    output: Decimal
    cached_input: Decimal


def pricing_of(prices: object) -> Pricing | None:
    """Check the `prices=` option; later changes to a mapping have no effect.

    Raises:
        ConfigError: The option is not accepted.
        MissingExtraError: It names a model, and genai-prices is not installed.
    """
    if prices is None:
        return None
    if isinstance(prices, Mapping):
        table = {_checked_alias(alias): _checked(alias, prices[alias]) for alias in prices}
        return Pricing(partial(_by_table, table), final=False)
    if callable(prices) and not iscoroutinefunction(prices):
        return Pricing(partial(_by_callable, prices), final=True)
    msg = f"prices: {prices!r} is not accepted: {_PRICES}"
    raise ConfigError(msg)


def cost_of(
    call: LlmCallFinished, reported: Decimal | None, pricing: Pricing | None, inner: float | None
) -> float | None:
    """Return the cost in USD, rounded once; None if unknown. Never raises an `Exception`.

    Args:
        call: The call, complete except for its cost.
        reported: The vendor's own figure.
        pricing: The `prices=` option.
        inner: The cost of the calls within it.
    """
    cost = reported
    final = False
    try:
        if cost is None and pricing is not None:
            cost, final = pricing.price(call), pricing.final
        if cost is None and not final:
            if inner is not None:
                return inner
            cost = list_price(call, call.model, call.model_alias)
    except Exception as error:  # noqa: BLE001 - the guard, without its cost per call
        report(f"prices of {call.event}", error)
    return None if cost is None else round(float(cost), _DIGITS)


def _by_table(table: dict[str, _Rates | str], call: LlmCallFinished) -> Decimal | None:
    rates = table.get(call.model_alias or "")
    if isinstance(rates, str):
        return list_price(call, rates)
    if rates is None or call.input_tokens is None or call.output_tokens is None:
        return None
    cached = min(call.cached_input_tokens or 0, call.input_tokens)
    with localcontext(_EXACT):
        fresh = (call.input_tokens - cached) * rates.input
        return (fresh + cached * rates.cached_input + call.output_tokens * rates.output) / 1_000_000


def _by_callable(prices: Callable[..., object], call: LlmCallFinished) -> Decimal | None:
    answer = prices(call)
    cost = amount(answer)
    if cost is None and answer is not None:
        msg = f"{answer!r} is not accepted: return the cost in USD, or None"
        raise ValueError(msg)
    return cost


def _checked_alias(alias: object) -> str:
    if isinstance(alias, str) and alias:
        return alias
    msg = f"prices: the key {alias!r} is not accepted: use a model's alias"
    raise ConfigError(msg)


def _checked(alias: str, price: object) -> _Rates | str:
    if isinstance(price, str) and price:
        if find_spec("genai_prices") is None:
            require("genai_prices", extra="prices", feature=f"prices[{alias!r}], a model's name,")
        return price
    numbers = [amount(number) for number in price] if isinstance(price, (tuple, list)) else []
    if len(numbers) not in _NUMBERS or None in numbers:
        msg = f"prices[{alias!r}]: {price!r} is not accepted: {_PRICE}"
        raise ConfigError(msg)
    rates = [number for number in numbers if number is not None]
    return _Rates(rates[0], rates[1], rates[-1] if len(rates) > 2 else rates[0])  # noqa: PLR2004
