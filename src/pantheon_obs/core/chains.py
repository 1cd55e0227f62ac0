"""Exceptions that belong to another one: its causes, and its groups; and cancellations."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pantheon_obs.core.runtime import running_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 20  # exceptions: a chain may be a circle


def alone_in(error: BaseException) -> BaseException:
    """Unwrap exception groups of one: frameworks run the application in task groups."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def stems_from(error: BaseException, origin: BaseException | None) -> bool:
    """Whether an exception is another one, or was raised while that was handled."""
    return origin is not None and any(
        origin is each or origin is each.__context__ for each in chain_of(error)
    )


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, its cause, the cause of that, and so on."""
    each = error
    for _ in range(_LONGEST):
        if each is None:
            return
        yield each
        try:
            each = each.__cause__ or each.__context__
        except Exception:  # noqa: BLE001 - a class may compute them
            return


def is_cancellation(error: BaseException) -> bool:
    """Whether an exception is asyncio's cancellation; without asyncio there is none.

    Importing asyncio takes as long as importing the library.
    """
    return isinstance(error, getattr(sys.modules.get("asyncio"), "CancelledError", ()))


def is_requested(cancellation: BaseException) -> bool:
    """Whether somebody has cancelled the task that runs here, if the exception is a cancellation.

    Otherwise the task has awaited something else that was cancelled, and nothing ends it. Without
    a task of asyncio it cannot be known.
    """
    loop = running_loop()
    task = None if loop is None else sys.modules["asyncio"].current_task(loop)
    return is_cancellation(cancellation) and (task is None or task.cancelling() > 0)
