"""Leave a trace on a request, for code that has the request but not its context."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pantheon_obs.core.context import Trace

KEY = "pantheon_obs.trace"
"""The key of the trace in a request's scope or environ."""

_ATTRIBUTE = "_pantheon_obs_trace"


def carry(request: object, trace: Trace) -> None:
    """Leave a trace on a framework's request object, for what is logged about it later."""
    request.__dict__[_ATTRIBUTE] = trace


def carried_by(request: object) -> Trace | None:
    """The trace that a framework's request object carries; None without one."""
    attributes = getattr(request, "__dict__", None)
    return attributes.get(_ATTRIBUTE) if type(attributes) is dict else None
