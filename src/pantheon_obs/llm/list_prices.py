"""The vendors' list prices, where genai-prices is installed.

It takes a good part of a second to import and 0.1 ms per call: nothing of it happens before the
first call of which everything else is known.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report

if TYPE_CHECKING:
    from decimal import Decimal

    from pantheon_obs.core.events import LlmCallFinished

_MOST_UNKNOWN = 1000


def list_price(call: LlmCallFinished, *models: str | None) -> Decimal | None:
    """What a call cost in USD by the list, as the first of these models that the list knows.

    None if it knows none, if not all tokens are known, or if genai-prices is not installed.
    """
    if call.input_tokens is None or call.output_tokens is None:
        return None
    prices = installed()
    return None if prices is None else prices.of(call, models)


@cache
def installed() -> ListPrices | None:
    """The list, or None where there is none. Imported once, and never tried again."""
    try:
        import genai_prices  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 - it is there, and broken
        report("genai-prices", error)
        return None
    return ListPrices(genai_prices)


class ListPrices:
    """genai-prices, with a memory for what it does not know: to find that out takes as long."""

    def __init__(self, genai_prices: Any) -> None:
        self._genai = genai_prices
        self._snapshot: object = None
        self._unknown: set[tuple[tuple[str | None, ...], str | None]] = set()

    def of(self, call: LlmCallFinished, models: tuple[str | None, ...]) -> Decimal | None:
        """What a call cost, as the first of these models that is listed."""
        snapshot = self._genai.data_snapshot.get_snapshot()
        if snapshot is not self._snapshot:  # the host has them updated: ask anew
            self._snapshot = snapshot
            self._unknown = set()
        asked = (models, call.provider)
        if asked in self._unknown:
            return None
        for model in filter(None, dict.fromkeys(models)):
            with suppress(LookupError):
                return self._listed(call, model)
        if len(self._unknown) == _MOST_UNKNOWN:  # users may name models as they like
            self._unknown.clear()
        self._unknown.add(asked)
        return None

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
        cost: Decimal = price.total_price
        return cost
