"""The facts that something has failed outside of a response."""

from __future__ import annotations

from logging import ERROR
from typing import Any, ClassVar

from pantheon_obs.core.measurements import Fact


class BackgroundFailed(Fact):
    """Work after the response has raised.

    Attributes:
        trace_id: The request's trace id.
        bound: The fields that `bind()` has put on the request.
        error: The exception.
    """

    event: ClassVar[str] = "background_failed"
    logger: ClassVar[str] = "pantheon_obs.request"
    level: ClassVar[int] = ERROR

    trace_id: str
    bound: dict[str, Any]
    error: BaseException

    def fields(self, line: dict[str, Any] | None = None) -> dict[str, Any]:
        """The event's own fields, as for a request."""
        return (line or {}) | {"error_type": type(self.error).__name__}


class LifespanFailed(Fact):
    """The start-up or the shutdown of the application has raised.

    Attributes:
        phase: `startup` or `shutdown`.
        error: The exception.
    """

    event: ClassVar[str] = "lifespan_failed"
    logger: ClassVar[str] = "pantheon_obs.lifespan"
    uncaptured: ClassVar[str] = "lifespan"  # no integration of an error tracker is around it
    level: ClassVar[int] = ERROR
    trace_id: ClassVar[None] = None  # it belongs to no request
    bound: ClassVar[None] = None

    phase: str
    error: BaseException

    def fields(self, line: dict[str, Any] | None = None) -> dict[str, Any]:
        """The event's own fields, as for a request."""
        return (line or {}) | {"phase": self.phase, "error_type": type(self.error).__name__}
