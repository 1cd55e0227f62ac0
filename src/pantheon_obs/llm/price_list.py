"""List prices: those of genai-prices, resolved once for each model and way of being served.

Its `calc_price` takes 0.1 ms, and computes in the application's decimal context. Here the prices of
a model become whole numbers, so that a call only multiplies and adds a few of them. Counts have the
names of its usage fields and their meaning: a count includes the counts of its parts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from math import inf, lcm
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    Counts = Mapping[str, int]
    Context = tuple[tuple[str, str], ...]

_MAX_RESOLVED = 1000  # users may choose the names of models
_LEAST = 1e-9  # USD
_MINUTE = 60  # seconds; prices change at whole minutes
# OpenTelemetry's names of vendors that genai-prices does not know, or takes for another vendor's.
_IDS = {"azure.ai.openai": "azure", "azure.ai.inference": "azure", "x_ai": "x-ai"}
_TOTALS = ("input_tokens", "output_tokens")


class _UnitPrice(NamedTuple):
    """The price of a count, without what its parts cost; amounts are over a common denominator."""

    name: str  # of the count
    parts: tuple[int, ...]  # the positions of the prices of its parts, which come before it
    amount: int
    tiers: tuple[tuple[int, int], ...]  # (above so many input tokens, amount), the highest first


class Prices(NamedTuple):
    """The prices of a model, for calls that have counts of the same names."""

    units: list[_UnitPrice]
    denominator: int

    def of(self, counts: Counts) -> float | None:
        """Return the price in USD; None if the counts do not fit together."""
        total = 0
        beside_parts: list[int] = []
        for name, parts, amount, tiers in self.units:
            left = counts.get(name, 0)
            for part in parts:
                left -= beside_parts[part]
            if left < 0:
                return None
            beside_parts.append(left)
            if tiers:
                total += left * _in_tier(tiers, amount, counts.get("input_tokens", 0))
            else:
                total += left * amount
        return total / self.denominator


class PriceList:
    """The list of genai-prices."""

    def __init__(self, genai_prices: Any) -> None:
        self._genai = genai_prices
        self._registry: Any = genai_prices.units._get_registry()  # noqa: SLF001 - no other way
        self._snapshot: Any = None
        self._resolved: dict[Any, tuple[float, Prices | None]] = {}

    def price(
        self, models: tuple[str, ...], provider: str | None, counts: Counts, context: Context = ()
    ) -> float | None:
        """Return the price in USD by the first of these models that is listed, or None.

        `counts` are above 0. `context` says how the call was served, if not in the standard way.
        """
        snapshot = self._genai.data_snapshot.get_snapshot()
        if snapshot is not self._snapshot or len(self._resolved) >= _MAX_RESOLVED:
            self._snapshot = snapshot  # the application may have updated the prices
            self._resolved = {}
        asked = (models, provider, context, *counts)
        until, prices = self._resolved.get(asked, (0.0, None))
        if until < time():
            until, prices = self._resolve(models, provider, counts, context)
            self._resolved[asked] = until, prices
        return None if prices is None else prices.of(counts)

    def lists(self, model: str, provider: str | None) -> bool:
        """Whether a model has a list price."""
        self._snapshot = self._genai.data_snapshot.get_snapshot()
        return self._find((model,), provider) is not None

    def compare(self) -> None:
        """Raise if the list itself computes another price: some version may do so."""
        counts = {"input_tokens": 300_000, "output_tokens": 700, "cache_read_tokens": 9}
        usage = self._genai.Usage(**counts)
        for seller in self._genai.data_snapshot.get_snapshot().providers:
            for model in seller.models[:1]:
                ours = self.price((model.id,), seller.id, counts)
                if ours is not None:
                    theirs = self._genai.calc_price(usage, model.id, provider_id=seller.id)
                    if abs(ours - float(theirs.total_price)) > _LEAST:
                        msg = f"genai-prices computes {theirs.total_price}, and not {ours}"
                        raise ValueError(msg)

    def _resolve(
        self, models: tuple[str, ...], provider: str | None, counts: Counts, context: Context
    ) -> tuple[float, Prices | None]:
        """Return the prices, and the time until which they hold."""
        found = self._find(models, provider)
        if found is None:
            return inf, None
        seller, model = found
        now = datetime.now(UTC)
        variants = model.price_variants or ()
        dated = [*variants, *(model.prices if isinstance(model.prices, list) else ())]
        changes = any(one.constraint is not None for one in dated)
        until = (time() // _MINUTE + 1) * _MINUTE if changes else inf
        served = dict(context)
        known = {
            pair
            for variant in (variants if any(model is own for own in seller.models) else ())
            if variant.when.items() <= served.items()
            and (variant.constraint is None or variant.constraint.active(now))
            for pair in variant.when.items()
        }
        if not known.issuperset(context):
            return until, None
        return until, self._prices(model.get_prices(now, served), counts)

    def _find(self, models: tuple[str, ...], provider: str | None) -> Any:
        """Return the vendor and the first of the models that it sells, or None."""
        known = _IDS.get(provider or "", provider)
        for model in models:
            try:
                return self._snapshot.find_provider_model(model, None, known, None)
            except LookupError:
                continue
        return None

    def _prices(self, listed: Any, counts: Counts) -> Prices | None:
        """Return the prices for these counts; None if the list does not say what they cost."""
        units = {unit.price_key: unit for unit in self._registry.units.values()}
        priced = [
            (units[key], price)
            for key, price in vars(listed).items()
            if price is not None and key in units
        ]
        names = {unit.usage_key for unit, _ in priced}
        counts = dict(counts)
        # A price per request is the highest of several; the sum of some has no tier.
        summed = counts.pop("requests", 0) and any(hasattr(price, "tiers") for _, price in priced)
        if summed or "requests" in names or any(not self._is_priced(one, names) for one in counts):
            return None
        usage = self._genai.Usage(**counts)
        try:
            for name in names:
                getattr(usage, name)
        except ValueError:  # the list has a price for a part that the counts do not tell
            return None
        counted = [self._registry.units[name].dimensions.items() for name in counts]
        priced = [
            one for one in priced if any(one[0].dimensions.items() <= items for items in counted)
        ]
        priced.sort(key=lambda one: (-len(one[0].dimensions), one[0].usage_key))
        return _over_common_denominator(priced)

    def _is_priced(self, name: str, names: set[str]) -> bool:
        """Whether a count has a price: tokens may have that of all input or output."""
        unit = self._registry.units.get(name)
        if unit is None:
            return False
        if unit.dimensions["family"] == "tokens" and name not in _TOTALS:
            return True
        return name in names


def _in_tier(tiers: tuple[tuple[int, int], ...], amount: int, input_tokens: int) -> int:
    return next((dearer for above, dearer in tiers if input_tokens > above), amount)


def _over_common_denominator(priced: list[tuple[Any, Any]]) -> Prices:
    """Make whole numbers of the prices, which are decimals, some of them with tiers."""
    denominator = 1
    rows: list[tuple[Any, Fraction, list[tuple[int, Fraction]]]] = []
    for unit, price in priced:
        tiers = [
            (tier.start, Fraction(tier.price) / unit.per) for tier in getattr(price, "tiers", ())
        ]
        base = Fraction(getattr(price, "base", price)) / unit.per
        rows.append((unit, base, tiers[::-1]))
        denominator = lcm(
            denominator, *(each.denominator for each in (base, *dict(tiers).values()))
        )
    found: list[Any] = []
    prices: list[_UnitPrice] = []
    for unit, base, tiers in rows:
        amount = int(base * denominator)
        parts = tuple(
            position
            for position, other in enumerate(found)
            if unit.dimensions.items() <= other.dimensions.items()
        )
        found.append(unit)
        dearer = tuple((above, int(price * denominator)) for above, price in tiers)
        prices.append(_UnitPrice(unit.usage_key, parts, amount, dearer))
    return Prices(prices, denominator)
