"""The cost of a call: the vendor's own figure, the `prices=` option, or the list price."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pantheon_obs.core.guard import report
from pantheon_obs.llm.list_loading import loader
from pantheon_obs.llm.usage.beside import OTHER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from pantheon_obs.core.llm_events import CostSource, LlmCallFinished
    from pantheon_obs.llm.nesting import InnerCalls
    from pantheon_obs.llm.options import CallOptions
    from pantheon_obs.llm.usage.fields import Reported

    Cost = tuple[Decimal | float | None, CostSource | None]

_DIGITS = 9


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
        report(f"prices of {call.event}", error)
    if cost is not None:
        call.cost_usd, call.cost_source = round(float(cost), _DIGITS), source
    elif call.input_tokens or call.output_tokens:
        call.unpriced = call.unpriced or 1


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
    if options.pricing is not None:
        cost = options.pricing.price(call)
        if isinstance(cost, str):
            return _list_price(call.provider, (cost,), answer, used), "list"
        if cost is not None or options.pricing.final:
            return cost, "prices"
    if inner is not None:  # they know who has served them, and how
        call.unpriced = inner.unpriced
        return inner.cost_usd, inner.cost_source
    vendor = call.provider
    if vendor is None and options.sdk is None:  # else its client would tell
        vendor = answer.vendor or used.vendor
    if loader.prices is None or (vendor is None and options.sdk is not None):
        return None, None
    return _list_price(vendor, _names(call.model_alias, call.model), answer, used), "list"


def _list_price(
    vendor: str | None, models: tuple[str, ...], answer: Reported, used: Reported
) -> float | None:
    """Return the list price, or None; a sum if parts of the usage are priced one by one."""
    prices = loader.prices
    if prices is None or used.partial or OTHER in answer.details or OTHER in used.details:
        return None
    ways = {**answer.served, **used.served} if answer.served or used.served else ()
    served = tuple(sorted(ways.items())) if ways else ()
    if not used.parts:
        counts = _counts(used, None if used is answer else answer.details)
        return None if counts is None else prices.price(models, vendor, counts, served)
    total = 0.0
    for part in used.parts:
        counts = _counts(part)
        named = models if part.model is None else (part.model,)
        cost = None if counts is None else prices.price(named, vendor, counts, served)
        if cost is None:
            return None
        total += cost
    return total


def _counts(used: Reported, beside: Mapping[str, int] | None = None) -> dict[str, int] | None:
    """Return all counts that a price may depend on; None if a total is not known.

    A 0 is one of them where it says more than its absence: none of the audio was cached.

    `beside` has the tools that the model has used, where the usage is not the answer's own.
    """
    counts = {
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "cache_read_tokens": used.cached_input_tokens,
        "cache_write_tokens": used.cache_write_tokens,
        "output_reasoning_tokens": used.reasoning_tokens,
    }
    if beside:
        counts |= beside
    if used.details:
        counts |= used.details
    if counts["input_tokens"] is None or counts["output_tokens"] is None:
        return None
    found = {name: count for name, count in counts.items() if count}
    if used.details:
        found |= {n: 0 for n, c in used.details.items() if c == 0 and n.startswith("cache_")}
    return found


@lru_cache(maxsize=1024)  # bounded: users may choose the names of models
def _names(alias: str | None, model: str | None) -> tuple[str, ...]:
    """Return the names to look up: what was asked for, if that is more exact, after the answer's.

    Bedrock answers with the name of a model; the request has its inference profile, too.
    """
    if alias is None or model is None or alias == model:
        return tuple(filter(None, (model or alias,)))
    return (alias, model) if model.lower() in alias.lower() else (model, alias)
