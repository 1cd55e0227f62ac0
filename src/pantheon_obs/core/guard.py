"""The only place where an exception of the library is swallowed.

Telemetry must never change the application's behaviour, so everything that records runs inside
`Guard`. It swallows `Exception` only: cancellation, `KeyboardInterrupt`, `SystemExit` and
`GeneratorExit` are the application's and pass. So do the exceptions of signal handlers.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from importlib import import_module
from traceback import walk_tb
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

_count: Callable[[str], object] = str  # a no-op until there is something that counts
_reported: set[str] = set()
_signal: Any = import_module("_signal")  # `signal` makes enumerations: 20 times as slow
_FUNCTIONS = (FunctionType, MethodType)


class Guard:
    """Context manager that swallows an `Exception` and reports it once per site.

    Make one instance per site, the name of the place in the report, at import time.
    """

    __slots__ = ("site",)

    def __init__(self, site: str) -> None:
        self.site = site

    def __enter__(self) -> None:
        """Enter the block."""

    def __exit__(self, kind: object, error: object, traceback: object) -> bool:
        """Swallow and report an `Exception`; let everything else pass."""
        if kind is None or not isinstance(error, Exception):
            return False
        report(self.site, error)
        return True


own_lines = Guard("own log lines")
"""Around log lines of the library that are no events: a filter, factory or handler may raise."""


def count_failures_with(count: Callable[[str], None]) -> None:
    """Have each failure counted, with its site, by a function that does not raise."""
    global _count  # noqa: PLW0603 - one process, one count
    _count = count


def handler_codes() -> set[CodeType | None]:
    """Return the code of each function of Python that handles a signal now."""
    codes: set[CodeType | None] = set()
    for handler in filter(callable, map(_signal.getsignal, range(1, _signal.NSIG))):
        while isinstance(handler, partial):
            handler = handler.func  # noqa: PLW2901 - it stands for this one
        # Another object may raise when it is asked for its own attributes.
        function = handler if type(handler) in _FUNCTIONS else type(handler).__call__
        codes.add(getattr(function, "__code__", None))
    return codes


def let_through(error: Exception) -> None:
    """Raise an exception again if a signal handler has raised it in the middle of our code.

    RQ's handler, for example, ends a job that has taken too long. A handler that is no longer
    installed when its exception arrives here is not recognised.
    """
    codes = handler_codes()
    if any(frame.f_code in codes for frame, _ in walk_tb(error.__traceback__)):
        raise error


def report(site: str, error: Exception) -> None:
    """Log one ERROR line for the first failure at a site; later ones there are silent."""
    let_through(error)
    _count(site)
    if site in _reported:
        return
    _reported.add(site)
    with suppress(Exception):  # a failure of the report itself cannot be reported
        log = logging.getLogger("pantheon_obs.guard")
        log.error("telemetry_failed", exc_info=error, extra={"site": site})


def reported() -> frozenset[str]:
    """Return the sites that have failed since the process started or since `forget`."""
    return frozenset(_reported)


def forget() -> None:
    """Report every site afresh (used by `pantheon_obs.testing.reset`)."""
    _reported.clear()
