"""Measure the cost of a line that the recorder keeps aside."""

from __future__ import annotations

import logging
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING

from bench.cases import Case, Contender, Target
from bench.harness import compare
from pantheon_obs import configure_logging, get_logger
from pantheon_obs.core import pipeline
from pantheon_obs.core.context import begin, end
from pantheon_obs.core.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.cases import Effort, Row


class _Alone(logging.Logger):
    """A logger with the methods of the standard library, which the library replaces later."""

    isEnabledFor = logging.Logger.isEnabledFor  # noqa: N815 - the name is logging's
    makeRecord = logging.Logger.makeRecord  # noqa: N815 - as above
    handle = logging.Logger.handle
    filter = logging.Logger.filter
    callHandlers = logging.Logger.callHandlers  # noqa: N815 - as above


def recorder_rows(effort: Effort) -> list[Row]:
    """Compare lines that are kept aside with those that nobody wants, or no handler does."""
    configure_logging(log_format="json", debug_on_error=True)
    ours, shop, alone = get_logger("bench"), logging.getLogger("bench"), _Alone("alone")
    alone.addHandler(logging.NullHandler())
    line, record = partial(ours.debug, "cart", size=3), partial(shop.debug, "cart of %d", 3)
    unwanted = _recorded(line, is_recorded=False)
    made = _recorded(partial(alone.debug, "cart of %d", 3), is_recorded=False)
    kept, kept_record = (_recorded(each, is_recorded=True) for each in (line, record))
    target = Target(micros=2)
    cases = (
        Case("DEBUG line kept aside", bare=unwanted, hand=unwanted, ours=kept, target=target),
        Case("  of the standard library", bare=made, hand=made, ours=kept_record, target=target),
    )
    return [compare(case, effort) for case in cases]


def _recorded(work: Callable[[], object], *, is_recorded: bool) -> Contender:
    """Log, up to fifty times in one request; without the recorder nobody wants a DEBUG line."""

    def run(pieces: int) -> None:
        while pieces > 0:
            exchange = Exchange("bench")
            begin(exchange)
            if is_recorded:
                pipeline.started(exchange)
            for _ in repeat(None, min(pieces, 50)):
                work()
            if is_recorded:
                exchange.recording.over = True  # it has ended well
                exchange.recording.take()
            end(exchange)
            pieces -= 50

    return Contender(run)
