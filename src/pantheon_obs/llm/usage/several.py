"""Add up several answers of one call, as they come."""

from __future__ import annotations

from typing import Any

from pantheon_obs.llm.usage.fields import Reported, field, text
from pantheon_obs.llm.usage.shapes import read, read_message, read_usage
from pantheon_obs.llm.usage.sums import add_part, take_sums
from pantheon_obs.llm.usage.vendors.gateways import hidden_cost


class Answers:
    """The answers of a call. One may have its usage beside it, or be there twice, raw and parsed.

    Usages count only where there is no answer. `reported` gets the sums, and else what the last
    answer reports.
    """

    def __init__(self, reported: Reported) -> None:
        self._reported = reported
        self._sums = Reported()
        self._found = False  # whether the sums are those of answers
        self._objects: dict[int, Any] = {}
        self._types: dict[str, Any] = {}  # by the answer's id

    def add(self, value: Any) -> None:
        """Read one more value: an answer, a usage, or a tuple of them."""
        for each in value if isinstance(value, tuple) else (value,):
            self._add(each)

    def _add(self, value: Any) -> None:
        part = Reported()
        usage = read_message(value, part)
        if usage is False:
            counts = read_usage(value, part) and not self._found
        else:
            read_usage(usage, part)
            hidden_cost(value, part)
            counts = self._is_new(value)
            if not self._found:
                self._found, self._sums = True, Reported()
        if counts:
            add_part(self._sums, part)
        self._reported.parts = ()  # the answer has nothing to do with the parts before it
        read(value, self._reported)
        if len(self._sums.parts) > 1:
            self._reported.cost = None
            take_sums(self._reported, self._sums)

    def _is_new(self, value: Any) -> bool:
        """Whether an answer is no object that was there, nor the raw or parsed form of one."""
        if id(value) in self._objects:
            return False
        self._objects[id(value)] = value
        known, kind = text(field(value, "id")), type(value)
        return known is None or self._types.setdefault(known, kind) is kind
