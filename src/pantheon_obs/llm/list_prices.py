"""List prices of genai-prices, if it is installed.

Its import takes up to half a second and each price 0.1 ms, so that nothing of it is used before the
first call without a cost whose tokens are known.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report

if TYPE_CHECKING:
    from decimal import Decimal

    from pantheon_obs.core.events import LlmCallFinished

_MAX_UNKNOWN = 1000


def list_price(call: LlmCallFinished, *models: str | None) -> Decimal | None:
    """Return the cost of a call in USD by the list price of the first model that is listed.

    None if no model is listed, a token count is unknown, or genai-prices is not installed.
    """
    if call.input_tokens is None or call.output_tokens is None:
        return None
    prices = installed()
    return None if prices is None else prices.of(call, models)


@cache
def installed() -> ListPrices | None:
    """Import genai-prices once; return None if that is not possible."""
    try:
        import genai_prices  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 - it is installed, but broken
        report("genai-prices", error)
        return None
    return ListPrices(genai_prices)


class ListPrices:
    """Prices of genai-prices; models that it does not list are cached, as each search is slow."""

    def __init__(self, genai_prices: Any) -> None:
        self._genai = genai_prices
        self._snapshot: object = None
        self._unknown: set[tuple[tuple[str | None, ...], str | None]] = set()

    def of(self, call: LlmCallFinished, models: tuple[str | None, ...]) -> Decimal | None:
        """Return the cost of a call by the first of these models that is listed."""
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
