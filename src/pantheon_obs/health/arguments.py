"""Check arguments where checks are set up."""

from __future__ import annotations

from typing import Any

from pantheon_obs.core.errors import refuse


def is_text(value: object) -> bool:
    """Whether a value is a text that is not empty."""
    return isinstance(value, str) and value != ""


def seconds(name: str, value: Any, most: float, *, or_zero: bool = False) -> float:
    """Read a number of seconds, above 0 or from 0 on.

    Raises:
        ConfigError: The value is no such number.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (0 < value <= most or (or_zero and value == 0)):
        least = "0" if or_zero else "more than 0"
        refuse(name, value, f"seconds, {least} to {most:g}")
    return float(value)
