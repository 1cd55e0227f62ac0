"""The time of day for whatever depends on it; `testing.fixed_clock` sets it."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_read: Callable[[], float] = time


def now() -> float:
    """Return the seconds since the epoch."""
    return _read()


def read_from(clock: Callable[[], float] = time) -> None:
    """Read the time from another clock from now on; by default the system's."""
    global _read  # noqa: PLW0603 - one process, one time of day
    _read = clock
