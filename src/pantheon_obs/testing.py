"""For the tests of services that use pantheon-obs: see what was logged, and start afresh."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import context, failures, guard
from pantheon_obs.sinks import sentry
from pantheon_obs.sinks.logs import configure, emitter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def capture_events() -> Iterator[list[dict[str, Any]]]:
    """See every line that is logged, as a dict: ours, structlog's and the standard library's.

    Loggers that were made or cached before count too. Lines are still written. Logging is
    configured for the time, where the service has not done so.

    Yields:
        A list that grows; each line is a dict with the keys of the JSON format.

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
    try:
        yield events
    finally:
        # By identity: two captures of the same lines are equal.
        emitter.captures[:] = [other for other in emitter.captures if other is not events]
        # Unless the service has configured it in the meantime.
        if ours is not None and configure.active_emitter() is ours:
            configure.reset()


def fixed_ids(prefix: str = "trace") -> Callable[[], str]:
    """An `id_generator` that counts, so that a test can compare whole lines.

    Args:
        prefix: What the ids begin with.

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


def reset() -> None:
    """Undo what pantheon-obs has set up in this process: logging, Sentry's sink, the context.

    An app that was instrumented stays so.

    Example:
        >>> from pantheon_obs.testing import reset
        >>> reset()
    """
    configure.reset()
    sentry.reset()
    emitter.captures.clear()
    guard.forget()
    context.reset()
    failures.reset()
