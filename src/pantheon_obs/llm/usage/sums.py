"""The sums of usages that are parts of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.llm.usage.fields import COUNTS, EXACT, Reported

if TYPE_CHECKING:
    from collections.abc import Iterable


def add_up(reported: Reported, parts: Iterable[Reported]) -> None:
    """Make a usage of the sums of its parts."""
    sums = Reported()
    for part in parts:
        add_part(sums, part)
    take_sums(reported, sums)


def add_part(sums: Reported, part: Reported) -> None:
    """Add one part; the sums have a cost if each of the parts has one."""
    if not sums.parts:
        sums.parts, sums.cost = [], part.cost
    elif sums.cost is not None:
        sums.cost = None if part.cost is None else EXACT.add(sums.cost, part.cost)
    sums.parts.extend(part.parts or (part,))
    sums.partial = sums.partial or part.usage_status != "reported"
    for name in COUNTS:
        number = getattr(part, name)
        if number is not None:
            setattr(sums, name, (getattr(sums, name) or 0) + number)


def take_sums(reported: Reported, sums: Reported) -> None:
    """Keep the sums of parts; a cost of the whole stays if the parts have none."""
    for name in (*COUNTS, "parts", "partial"):
        setattr(reported, name, getattr(sums, name))
    if sums.cost is not None:
        reported.cost = sums.cost
