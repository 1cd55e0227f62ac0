"""One finding of the doctor."""

from __future__ import annotations

from typing import Literal, NamedTuple

FindingStatus = Literal["on", "off", "fault", "unknown"]


class Finding(NamedTuple):
    """The state of one feature or place; `fix` is the line that mends a fault."""

    name: str
    status: FindingStatus
    why: str
    fix: str | None = None


def fault(name: str, why: str, fix: str) -> Finding:
    """Make the finding of a fault."""
    return Finding(name, "fault", why, fix)
