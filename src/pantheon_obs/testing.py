"""For the tests of applications: capture log lines, make ids that count, reset the process."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import (
    context,
    guard,
    in_force,
    mistakes,
    outlived,
    pipeline,
    profiles,
    switch,
)
from pantheon_obs.llm.cost import spending
from pantheon_obs.sinks.logs import configure, emitter
from pantheon_obs.sinks.sentry import start as sentry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Modules that have state of the process, and that are only imported where they are used.
_RESET_IF_LOADED = (
    "adapters.celery_tracing",
    "adapters.django.health",
    "llm.cancellations",
    "llm.cost.budget",
    "llm.instrument",
    "llm.every_client",
    "llm.usage.answer",
    "sinks.metrics.port",
    "sinks.metrics.registry",
    "time.imported",
    "time.watchdog",
)


@contextmanager
def capture_events() -> Iterator[list[dict[str, Any]]]:
    """Capture every log line, as a dict: the library's, structlog's and the standard library's.

    Loggers that were made or cached before are captured, too, and those of structlog that write
    to a file. Lines are still written; those that `logging.disable` hides are captured only.
    Logging is configured for the duration of the block, if the application has not done so.

    Yields:
        A list that grows; each item is a dict with the keys of the JSON format.

    Example:
        >>> import logging
        >>> from pantheon_obs.testing import capture_events
        >>> with capture_events() as events:
        ...     logging.getLogger("shop").warning("stock is low", extra={"left": 2})
        >>> [(event["event"], event["left"]) for event in events]
        [('stock is low', 2)]
    """
    ours = None
    if configure.active_emitter() is None:
        configure.configure_logging()
        ours = configure.active_emitter()
    events: list[dict[str, Any]] = []
    emitter.captures.append(events)
    disabled = logging.root.manager.disable
    emitter.unwritten.append(max(disabled, emitter.unwritten[-1]))
    logging.disable(logging.NOTSET)
    try:
        yield events
    finally:
        emitter.unwritten.pop()
        if logging.root.manager.disable == logging.NOTSET:  # else the block has set it
            logging.disable(disabled)
        # By identity, as two captures of the same lines are equal.
        emitter.captures[:] = [other for other in emitter.captures if other is not events]
        # Unless the application has configured it in the meantime.
        if ours is not None and configure.active_emitter() is ours:
            configure.reset()


def fixed_ids(prefix: str = "trace") -> Callable[[], str]:
    """Make an `id_generator` that counts, so that a test can compare whole lines.

    Args:
        prefix: The beginning of each id.

    Returns:
        A function that returns `trace-1`, `trace-2` and so on.

    Example:
        >>> from pantheon_obs.testing import fixed_ids
        >>> new_id = fixed_ids()
        >>> new_id(), new_id()
        ('trace-1', 'trace-2')
    """
    numbers = count(1)
    return lambda: f"{prefix}-{next(numbers)}"


@contextmanager
def fixed_clock(moment: float | datetime) -> Iterator[Callable[[float], None]]:
    """Stop the time of day that the windows of budgets go by.

    Args:
        moment: The time, as a `datetime` or in seconds since the epoch.

    Yields:
        A function that moves the time by a number of seconds.

    Example:
        >>> from datetime import UTC, datetime
        >>> from pantheon_obs import budget
        >>> from pantheon_obs.testing import fixed_clock
        >>> evening = datetime(2026, 11, 29, 23, 59, tzinfo=UTC)
        >>> with fixed_clock(evening) as move, budget(5.00) as daily:
        ...     move(60)  # the budget of the next day
        ...     daily.spent()
        0.0
    """
    times = [moment.timestamp() if isinstance(moment, datetime) else float(moment)]

    def move(seconds: float) -> None:
        times[0] += seconds

    spending.read_from(lambda: times[0])
    try:
        yield move
    finally:
        spending.read_from()


def reset() -> None:
    """Reset the state of the library in this process.

    It takes back the set-up of logging, forgets that Sentry was started, removes all sinks, and
    forgets the settings file of a framework, reported problems, and the trace of this context.
    Classes and modules of LLM SDKs are observed no more; applications, clients and functions that
    were instrumented stay so.

    Example:
        >>> from pantheon_obs.testing import reset
        >>> reset()
    """
    configure.reset()
    sentry.reset()
    emitter.captures.clear()
    for module in (profiles, mistakes, switch, in_force, pipeline, context, outlived):
        module.reset()
    guard.forget()
    for name in _RESET_IF_LOADED:
        loaded = sys.modules.get(f"pantheon_obs.{name}")
        if loaded is not None:
            loaded.reset()
