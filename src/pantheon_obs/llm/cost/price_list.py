"""List prices: genai-prices' prices, resolved once for each model and way of being served.

Its `calc_price` takes 0.1 ms, and computes in the application's decimal context. So the prices of a
model are compiled once for each set of counts.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial
from math import inf
from time import time
from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.cost.compiled_prices import TOTALS, Listed, compiled
from pantheon_obs.llm.hosts import VENDORS

if TYPE_CHECKING:
    from pantheon_obs.llm.cost.compiled_prices import CompiledPrices, Counts

    Context = tuple[tuple[str, str], ...]

_MAX_RESOLVED = 1000  # users may choose the names of models
_UNKNOWN = 0.0, None  # to be resolved
_MINUTE = 60  # seconds; prices change at whole minutes
_NAMES_IN_LIST = {vendor.name: vendor.listed_as for vendor in VENDORS if vendor.listed_as}
# OpenAI's models that search before each answer, also where it cites nothing; the fee of a search
# is not in the list. https://developers.openai.com/api/docs/guides/tools-web-search
_SEARCHING = re.compile(r"(?:.*/)?gpt-[\w.-]+-search-(?:preview|api)").match
_OPAQUE = re.compile(r"arn:(?!.*:(inference-profile|foundation-model)/)").match


class PriceList:
    """The list of genai-prices."""

    def __init__(self, genai_prices: Any) -> None:
        self._genai = genai_prices
        self._get_snapshot: Any = genai_prices.data_snapshot.get_snapshot
        self._registry: Any = genai_prices.units._get_registry()  # noqa: SLF001 - no other way
        self._snapshot: Any = None
        self._resolved: dict[Any, tuple[float, Listed | None]] = {}

    def listed(
        self, alias: str | None, model: str | None, provider: str | None, context: Context = ()
    ) -> Listed | None:
        """Return the model of the list that was asked for or that has answered, or None.

        `context` says how the call was served, if not in the standard way.
        """
        snapshot = self._get_snapshot()
        if snapshot is not self._snapshot or len(self._resolved) >= _MAX_RESOLVED:
            self._snapshot = snapshot  # the application may have updated the prices
            self._resolved = {}
        asked = (alias, model, provider, context)
        until, listed = self._resolved.get(asked, _UNKNOWN)
        if until is not inf and until < time():
            until, listed = self._resolve(_names(alias, model), provider, context)
            self._resolved[asked] = until, listed
        return listed

    def lists(self, model: str, provider: str | None) -> bool:
        """Whether a model has a list price."""
        self._snapshot = self._get_snapshot()
        return self._find([model], provider) is not None

    def _resolve(
        self, models: list[str], provider: str | None, context: Context
    ) -> tuple[float, Listed | None]:
        """Return the first of the models that is listed, and the time until its prices apply."""
        found = self._find(models, provider)
        if found is None:
            return inf, None
        seller, model = found
        if _SEARCHING(model.id):
            return inf, None
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
        return until, Listed(partial(self._prices, model.get_prices(now, served)))

    def _find(self, models: list[str], provider: str | None) -> Any:
        """Return the vendor and the first of the models that it sells, or None."""
        known = _NAMES_IN_LIST.get(provider or "", provider)
        for model in models:
            try:
                return self._snapshot.find_provider_model(model, None, known, None)
            except LookupError:
                continue
        return None

    def _prices(self, listed: Any, counts: Counts, order: tuple[str, ...]) -> CompiledPrices | None:
        """Return the prices for these counts; None if the list has no price for them.

        The prices are for counts in that order, in which missing counts are 0.
        """
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
        except ValueError:  # the list has a price for a part that the counts do not have
            return None
        counted = [self._registry.units[name].dimensions.items() for name in counts]
        priced = [
            one for one in priced if any(one[0].dimensions.items() <= items for items in counted)
        ]
        priced.sort(key=lambda one: (-len(one[0].dimensions), one[0].usage_key))
        return compiled(priced, order)

    def _is_priced(self, name: str, names: set[str]) -> bool:
        """Whether a count has a price: tokens may have the price of all input or output."""
        unit = self._registry.units.get(name)
        is_token = unit is not None and unit.dimensions["family"] == "tokens"
        return name in names or (is_token and name not in TOTALS)


def _names(alias: str | None, model: str | None) -> list[str]:
    """Return the names to look up: the requested name, if more exact, after the answer's.

    Bedrock answers with the name of a model; the request has its inference profile, too. No other
    of its resources shows its price by its name: it may be one by the hour.
    """
    if alias is not None and _OPAQUE(alias):
        return []
    if alias is None or model is None or alias == model:
        return [*filter(None, (model or alias,))]
    return [alias, model] if model.lower() in alias.lower() else [model, alias]
