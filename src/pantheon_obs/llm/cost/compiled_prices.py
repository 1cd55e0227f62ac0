"""The prices of one model as whole numbers, so that a call only multiplies and adds a few of them.

Counts have the names and the meaning of genai-prices' usage fields: a count includes the counts of
its parts.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm
from operator import mul
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Counts = Mapping[str, int]

TOTALS = ("input_tokens", "output_tokens")
TOKENS = (*TOTALS, "cache_read_tokens", "cache_write_tokens", "output_reasoning_tokens")


class CompiledPrices(NamedTuple):
    """The prices of a model for calls that have counts of certain names, in a certain order.

    All factors are in this order. Amounts are over the denominator.
    """

    rests: list[tuple[int, ...]]  # the rest of a whole beside its parts is never below 0
    amounts: tuple[int, ...]
    tiers: list[tuple[int, tuple[int, ...]]]  # amounts above so many input tokens, the most first
    denominator: int

    def fit(self, numbers: Collection[int]) -> bool:
        """Whether the counts fit together: no part is more than its whole."""
        return all(sum(map(mul, factors, numbers)) >= 0 for factors in self.rests)

    def above(self, input_tokens: int) -> tuple[int, ...]:
        """Return the amounts for so many input tokens."""
        return next((dearer for limit, dearer in self.tiers if input_tokens > limit), self.amounts)


class Listed:
    """A model of the list, as it is served: its prices for each set of counts, made once."""

    def __init__(self, make: Callable[[Counts, tuple[str, ...]], CompiledPrices | None]) -> None:
        self._make = make
        self._made: dict[Any, CompiledPrices | None] = {}

    def price(self, counts: Counts) -> float | None:
        """Return the price in USD; None if it has none, or if the counts do not fit together."""
        numbers = counts.values()
        given = (*counts, *map(bool, numbers))
        if given not in self._made:
            self._made[given] = self._make(counts, (*counts,))
        prices = self._made[given]
        if prices is None or not prices.fit(numbers):
            return None
        total: int = sum(map(mul, prices.above(counts.get("input_tokens", 0)), numbers))
        return total / prices.denominator

    def price_of(self, tokens: tuple[int, int, int, int, int]) -> float | None:
        """Return the price of a call that has only the counts of `TOKENS`; 0 stands for none."""
        input_, output, cached, written, reasoning = tokens
        given = (not input_, not output, not cached, not written, not reasoning)
        try:
            prices = self._made[given]
        except KeyError:
            counts = {name: number for name, number in zip(TOKENS, tokens, strict=True) if number}
            prices = self._made[given] = self._make(counts, TOKENS)
        if prices is None or not (
            (cached + written <= input_ and reasoning <= output) or prices.fit(tokens)
        ):
            return None
        # One by one: `sum` takes twice as long.
        a, b, c, d, e = prices.above(input_) if prices.tiers else prices.amounts
        total = a * input_ + b * output + c * cached + d * written + e * reasoning
        return total / prices.denominator


def compiled(priced: list[tuple[Any, Any]], names: tuple[str, ...]) -> CompiledPrices:
    """Make the factors of these counts from the prices of units, parts before their wholes."""
    rests: list[dict[str, int]] = []  # of each unit without its parts, by the names of counts
    for position, (unit, _) in enumerate(priced):
        rest = {unit.usage_key: 1}
        for (other, _), part in zip(priced[:position], rests, strict=True):
            if unit.dimensions.items() <= other.dimensions.items():
                for name, factor in part.items():
                    rest[name] = rest.get(name, 0) - factor
        rests.append(rest)
    limits = {tier.start for _, price in priced for tier in getattr(price, "tiers", ())}
    amounts = {
        above: [Fraction(_price_above(above, price)) / unit.per for unit, price in priced]
        for above in (*sorted(limits, reverse=True), -1)
    }
    denominator = lcm(*(each.denominator for many in amounts.values() for each in many))
    factors = {
        above: tuple(
            sum(
                int(each * denominator) * rest.get(name, 0)
                for each, rest in zip(many, rests, strict=True)
            )
            for name in names
        )
        for above, many in amounts.items()
    }
    wholes = [tuple(rest.get(name, 0) for name in names) for rest in rests if len(rest) > 1]
    return CompiledPrices(wholes, factors.pop(-1), [*factors.items()], denominator)


def _price_above(input_tokens: int, price: Any) -> Any:
    """Return the price where the input has more tokens than these; it may have tiers."""
    tiers = [tier.price for tier in getattr(price, "tiers", ()) if tier.start <= input_tokens]
    return tiers[-1] if tiers else getattr(price, "base", price)
