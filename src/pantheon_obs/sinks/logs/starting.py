"""Take logging back while the application starts, and at its first request.

Not every server reports the end of start-up, and the lines of start-up must be masked, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.core import pipeline
from pantheon_obs.sinks.logs import takeover

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from pantheon_obs.core.context import Trace
    from pantheon_obs.core.events import Event
    from pantheon_obs.sinks.logs.handler import ObsHandler


class Starting:
    """A sink that takes logging back at the first request, once.

    Attributes:
        has_begun: Whether start-up has begun and the first request is not here yet.
    """

    name = "logs at the first request"

    def __init__(self, handler: ObsHandler, take_back: Callable[[], None]) -> None:
        self._handler = handler
        self._take_back = take_back
        self.has_begun = False

    def notice(self, logger: logging.Logger) -> bool:
        """Take logging back before a record that start-up logs; then do as `takeover.notice`."""
        if self.has_begun and not takeover.stands(self._handler):
            self._take_back()
        return takeover.notice(logger)

    def handle(self, event: Event) -> None:
        """Ignore a fact."""

    def started(self, _: Trace) -> None:
        """Take logging back, once."""
        pipeline.remove_sink(self.name)
        self._take_back()
        self.has_begun = False

    def ended(self, _: Trace) -> None:
        """Ignore the end of the request."""
