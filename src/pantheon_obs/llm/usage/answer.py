"""Everything that the answer of one call has reported: counts, sums of parts, and its job.

An answer that is made in the background ends its call at once, and has its tokens later. The
application asks for it again and again. It is reported once: by the first call that gets it with
its usage, or with the error that it ended in.
"""

from __future__ import annotations

from decimal import Context, Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pantheon_obs.llm.usage.fields import as_text, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pantheon_obs.core.llm_events import UsageStatus

COUNTS = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
OTHER = "other"  # the name of counts without a price
# How a call is served if the body says nothing of it; the price is the standard one.
_STANDARD = frozenset(
    (
        *("", "auto", "default", "standard", "standard_only", "on_demand", "global"),
        *("not_available", "unspecified", "traffic_type_unspecified"),
    )
)
_NOTHING: Mapping[str, Any] = MappingProxyType({})
# Larger numbers are wrong, and JSON readers that only have floats would not keep them.
_MOST_TOKENS = 2**53
_MAX_USD = 10**9
# The application's own decimal context may round to a few digits, or raise.
EXACT = Context(prec=60)
_PENDING = frozenset({"queued", "in_progress"})
_MOST_JOBS = 10_000  # ids are kept, the oldest are forgotten
_pending: dict[str, None] = {}
_reported: dict[str, None] = {}


class Reported:
    """Everything that the response or the chunks of one call have reported so far.

    Class attributes are the values of facts that were not reported.
    """

    content = False  # whether a part of the answer has arrived
    finished: bool | None = None  # whether the terminal chunk has; None if the shape has none
    finish_reason: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: Decimal | None = None  # the vendor's own figure, in USD
    # More counts that are billed, under the names of genai-prices' usage fields. A total is here
    # only where the billed one is another than the used one.
    details: Mapping[str, int] = _NOTHING
    served: Mapping[str, str] = _NOTHING  # the ways of being served that have prices of their own
    vendor: str | None = None  # the only one whose answers have this shape
    parts: list[Reported] | tuple[()] = ()  # of the whole, if they are to be priced one by one
    partial = False  # whether a part of the usage is known to be missing
    job: str | None = None  # the id of an answer that may be retrieved later
    in_background = False  # whether the answer was, or is being, made after its call had returned
    no_answer = False  # whether a body had nothing of an answer
    # Why it failed, in the provider's words for machines.
    error_type: str | None = None
    error_status: int | None = None
    error_code: str | None = None
    request_id: str | None = None

    def note(
        self,
        *,
        model: object = None,
        finish_reason: object = None,
        content: bool = False,
        finished: bool | None = None,
    ) -> None:
        """Record these facts of a part of the answer; a fact that the part lacks stays as before.

        `finished` is None where the shape has no terminal chunk.
        """
        self.model = as_text(model) or self.model
        self.finish_reason = as_text(finish_reason) or self.finish_reason
        self.content = self.content or content
        if finished is not None:
            self.finished = self.finished or finished

    def keep_cost(self, figure: Decimal | None) -> None:
        """Keep a figure of the vendor's; one of 0 does not replace another."""
        if figure or (figure is not None and self.cost is None):
            self.cost = figure

    def add_detail(self, name: str, value: object) -> None:
        """Keep a count that only the price depends on; one that is 0 is left out."""
        number = as_count(value) if value else None
        if number:
            self.details = {**self.details, name: number}

    def add_details(self, values: Any, names: Mapping[str, str]) -> None:
        """Keep an object's counts that only the price depends on; `names` maps its fields."""
        for name, kept in names.items():
            self.add_detail(kept, field(values, name))

    def set_served(self, name: str, value: object) -> None:
        """Keep how the call was served, unless that has the standard price."""
        way = (as_text(value) or "").lower()
        if way in _STANDARD and not self.served:
            return
        served = {key: known for key, known in self.served.items() if key != name}
        if way == "batch":
            served["processing"] = way
        elif way not in _STANDARD:
            served[name] = way
        if served != self.served:
            self.served = served

    def set_job(self, value: Any, status: str | None) -> None:
        """Keep the id of an answer that may be made in the background."""
        self.job = as_text(field(value, "id"))
        self.in_background = status in _PENDING or field(value, "background") is True

    def add_counts(self, part: Any) -> None:
        """Add the counts of a usage or an event."""
        for name in COUNTS:
            number = getattr(part, name)
            if number is not None:
                setattr(self, name, (getattr(self, name) or 0) + number)

    def add_part(self, part: Reported) -> None:
        """Add one part; the sums have a cost if each of the parts has one."""
        if not self.parts:
            self.parts, self.cost = [], part.cost
        elif self.cost is not None:
            self.cost = None if part.cost is None else EXACT.add(self.cost, part.cost)
        self.parts.extend(part.parts or (part,))
        self.partial = self.partial or part.usage_status != "reported"
        self.add_counts(part)

    def take_sums(self, sums: Reported) -> None:
        """Keep the sums of parts; a cost of the whole stays if the parts have none."""
        for name in (*COUNTS, "parts", "partial"):
            setattr(self, name, getattr(sums, name))
        if sums.cost is not None:
            self.cost = sums.cost

    def take_parts(self, parts: Iterable[Reported]) -> None:
        """Keep the sums of these parts."""
        sums = Reported()
        for part in parts:
            sums.add_part(part)
        self.take_sums(sums)

    @property
    def usage_status(self) -> UsageStatus:
        """`reported` if both counts are known, `partial` if one is, else `missing`."""
        if self.input_tokens is not None and self.output_tokens is not None:
            return "partial" if self.partial else "reported"
        return "missing" if self.input_tokens is self.output_tokens else "partial"


def as_count(value: object, before: int | None = None) -> int | None:
    """Return the value if it is a number of tokens, else the count known before.

    A 0 never replaces a count: some gateways repeat the usage with zeros.
    """
    if type(value) is int:
        return value if 0 < value <= _MOST_TOKENS or (value == 0 and not before) else before
    if type(value) is float and value.is_integer():  # Cohere's client has floats
        return as_count(int(value), before)
    return before


def read_counts(usage: Any, reported: Reported, names: tuple[str, ...] = COUNTS) -> bool:
    """Read the fields of these names, in the order of `COUNTS`, from a usage object."""
    for name, kept in zip(names, COUNTS, strict=False):
        found = field(usage, name)
        if found is not None:
            setattr(reported, kept, as_count(found, getattr(reported, kept)))
    return True


def as_amount(value: object, most: int = _MAX_USD) -> Decimal | None:
    """Return the value if it is an amount of money, else None."""
    if type(value) is float:
        money = Decimal(repr(value))  # 0.1 is a tenth, not the binary number next to it
    elif type(value) is int or isinstance(value, Decimal):
        money = Decimal(value)
    else:
        return None
    return money if money.is_finite() and 0 <= money <= most else None


def is_due(reported: Reported, *, retrieved: bool) -> bool:
    """Whether the call that has this answer is to be reported: each answer is, once."""
    job = reported.job
    if job is None:
        return not retrieved
    has_ended = reported.usage_status != "missing" or reported.error_type is not None
    if not retrieved:
        if reported.in_background:
            _keep(_reported if has_ended else _pending, job)
        return True
    if not has_ended or job in _reported or not (reported.in_background or job in _pending):
        return False
    _pending.pop(job, None)
    _keep(_reported, job)
    return True


def reset() -> None:
    """Forget all answers (used by `pantheon_obs.testing.reset`)."""
    _pending.clear()
    _reported.clear()


def _keep(ids: dict[str, None], job: str) -> None:
    """Keep an id. No lock: a finalizer may run this, and must not wait."""
    ids[job] = None
    while len(ids) > _MOST_JOBS:
        ids.pop(next(iter(tuple(ids))), None)
