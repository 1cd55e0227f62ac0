"""The cost of a call: the vendor's own figure, the `prices=` option, or the list price.

List prices are those of genai-prices, if it is installed. Its import takes up to half a second and
each price 0.1 ms, so that nothing of it is used before the first call without a cost whose tokens
are known, unless the option names a model, which is looked up at once.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Context, Decimal
from functools import cache, partial
from importlib.util import find_spec
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pantheon_obs.core.errors import refuse, require
from pantheon_obs.core.guard import report
from pantheon_obs.llm.usage.fields import amount

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
_DIGITS = 9
_MAX_UNKNOWN = 1000
# The application's decimal context may round to a few digits, or raise.
_EXACT = Context(prec=60)
_MILLION = Decimal(1_000_000)


class Pricing(NamedTuple):
    """The checked `prices=` option; `final` says that None means no cost, not the list price."""

    price: Callable[[LlmCallFinished], Decimal | None]
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


def cost_of(
    call: LlmCallFinished, reported: Decimal | None, pricing: Pricing | None, inner: float | None
) -> float | None:
    """Return the cost in USD, rounded once; None if unknown. Never raises an `Exception`.

    `reported` is the vendor's own figure, and `inner` the cost of the calls within this one.
    """
    cost = reported
    final = False
    try:
        if cost is None and pricing is not None:
            cost, final = pricing.price(call), pricing.final
        if cost is None and not final:
            if inner is not None:
                return inner
            cost = _list_price(call, call.model, call.model_alias)
    except Exception as error:  # noqa: BLE001 - the guard, without its cost per call
        report(f"prices of {call.event}", error)
    return None if cost is None else round(float(cost), _DIGITS)


def _by_table(table: dict[str, _Rates | str], call: LlmCallFinished) -> Decimal | None:
    rates = table.get(call.model_alias or "")
    if isinstance(rates, str):
        return _list_price(call, rates)
    if rates is None or call.input_tokens is None or call.output_tokens is None:
        return None
    fresh, output, cached_input = rates
    cached = min(call.cached_input_tokens or 0, call.input_tokens)
    multiply, add = _EXACT.multiply, _EXACT.add  # which set no context variable
    input_ = add(multiply(call.input_tokens - cached, fresh), multiply(cached, cached_input))
    return _EXACT.divide(add(input_, multiply(call.output_tokens, output)), _MILLION)


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
    if isinstance(price, str):
        prices = installed()
        if prices is not None and not prices.lists(price, provider):
            of_provider = f" of {provider}" if provider else ""
            _warn(f"prices[{alias!r}]={price!r} is no model{of_provider} that genai-prices lists")
    elif small := [rate for rate in price if 0 < rate < _LEAST]:
        text = f"prices[{alias!r}]: {small[0]:f} looks like a price per token: "
        meant = _EXACT.normalize(_EXACT.multiply(small[0], _MILLION))
        _warn(f"{text}use USD per million tokens, {meant:f}")


def _warn(text: str) -> None:
    """Warn at the line of the application that gives the prices."""
    frame, level = sys._getframe(), 1  # noqa: SLF001 - as `warnings` does
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith(_OWN):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)


def _list_price(call: LlmCallFinished, *models: str | None) -> Decimal | None:
    """Return the cost by the list price of the first model that is listed, or None."""
    if call.input_tokens is None or call.output_tokens is None:
        return None
    prices = installed()
    return None if prices is None else prices.of(call, models)


@cache
def installed() -> _ListPrices | None:
    """Import genai-prices once; return None if that is not possible."""
    try:
        import genai_prices  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 - it is installed, but broken
        report("genai-prices", error)
        return None
    return _ListPrices(genai_prices)


class _ListPrices:
    """Prices of genai-prices; models that it does not list are cached, as each search is slow."""

    def __init__(self, genai_prices: Any) -> None:
        self._genai = genai_prices
        self._snapshot: object = None
        self._unknown: set[tuple[tuple[str | None, ...], str | None]] = set()

    def of(self, call: LlmCallFinished, models: tuple[str | None, ...]) -> Decimal | None:
        snapshot = self._genai.data_snapshot.get_snapshot()
        if snapshot is not self._snapshot:  # the application has updated the prices
            self._snapshot = snapshot
            self._unknown = set()
        asked = (models, call.provider)
        if asked in self._unknown:
            return None
        for model in filter(None, dict.fromkeys(models)):
            with suppress(LookupError):
                return self._listed(call, model)
        if len(self._unknown) == _MAX_UNKNOWN:  # users may choose the names of models
            self._unknown.clear()
        self._unknown.add(asked)
        return None

    def lists(self, model: str, provider: str | None) -> bool:
        """Whether a model has a list price."""
        usage = self._genai.Usage(input_tokens=1, output_tokens=1)
        try:
            self._genai.calc_price(usage, model, provider_id=provider)
        except LookupError:
            return False
        return True

    def _listed(self, call: LlmCallFinished, model: str) -> Decimal | None:
        usage = self._genai.Usage(
            input_tokens=call.input_tokens,
            output_tokens=call.output_tokens,
            cache_read_tokens=call.cached_input_tokens,
            cache_write_tokens=call.cache_write_tokens,
        )
        try:
            price = self._genai.calc_price(usage, model, provider_id=call.provider)
        except ValueError:  # counts that do not fit together
            return None
        return price.total_price  # type: ignore[no-any-return]
