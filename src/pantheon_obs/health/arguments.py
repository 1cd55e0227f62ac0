"""What is accepted where checks are set up, and what is said where something is not."""

from __future__ import annotations

import math
import reprlib
from typing import Any, NoReturn

from pantheon_obs.core.errors import ConfigError

SECRET: Any = object()
"""Stands for a value that may hold a password."""


def refuse(name: str, value: object, accepted: str) -> NoReturn:
    """Raise the error that names an argument, its value and what is accepted.

    Raises:
        ConfigError: Always.
    """
    shown = "***" if value is SECRET else reprlib.repr(value)
    msg = f"{name}={shown} is not accepted: use {accepted}"
    raise ConfigError(msg)


def is_text(value: object) -> bool:
    """Whether it is a text that is not empty."""
    return isinstance(value, str) and value != ""


def seconds(name: str, value: Any, most: float, *, or_zero: bool = False) -> float:  # noqa: ANN401 - it is looked at here
    """A number of seconds above 0, or from 0 on.

    Raises:
        ConfigError: It is not.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and math.isfinite(value) and (0 < value <= most or (or_zero and value == 0)):
        return float(value)
    least = "0" if or_zero else "more than 0"
    refuse(name, value, f"seconds, {least} to {most:g}")
