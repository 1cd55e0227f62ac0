"""Facts that sinks may count, although they make no log line, or not each of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CheckEnded:
    """A health check has ended, or timed out."""

    check: str
    passed: bool
    seconds: float


@dataclass(slots=True)
class LinesDropped:
    """The queue of log lines had no room for some; `levels` has their number by level."""

    levels: dict[str, int]


@dataclass(slots=True)
class TelemetryFailed:
    """Code of this library has raised at a site, and the guard has swallowed it."""

    site: str


Measurement = CheckEnded | LinesDropped | TelemetryFailed
