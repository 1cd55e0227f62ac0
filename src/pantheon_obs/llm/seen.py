"""What the response or the chunks of one call have said so far."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantheon_obs.core.events import UsageStatus

# More is nonsense, and would not survive a JSON reader that has floats only.
_MOST_TOKENS = 2**53
_MOST_USD = 10**9


class Seen:
    """What the response or the chunks of one call have said so far.

    Class attributes are the values of what was not said.

    Attributes:
        content: Whether a part of the answer has come.
        finished: Whether the stream's last word has come; None where its shape has none.
        finish_reason: Why the model stopped, in the vendor's word.
        model: The model that answered.
        cost: What the vendor says that it cost, in USD.
    """

    content = False
    finished: bool | None = None
    finish_reason: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: Decimal | None = None

    @property
    def usage_status(self) -> UsageStatus:
        """Whether both counts are known, one of them, or none."""
        if self.input_tokens is None and self.output_tokens is None:
            return "missing"
        if self.input_tokens is None or self.output_tokens is None:
            return "partial"
        return "reported"


def count(value: object, before: int | None = None) -> int | None:
    """The value if it is a number of tokens, else what was known before."""
    if type(value) is int:
        return value if 0 <= value <= _MOST_TOKENS else before
    if type(value) is float and value.is_integer():  # Cohere's client has floats
        return count(int(value), before)
    return before


def amount(value: object) -> Decimal | None:
    """The value if it is an amount of money, else None."""
    if type(value) is float:
        money = Decimal(repr(value))  # 0.1 is a tenth, not the binary number next to it
    elif type(value) is int or isinstance(value, Decimal):
        money = Decimal(value)
    else:
        return None
    return money if money.is_finite() and 0 <= money <= _MOST_USD else None
