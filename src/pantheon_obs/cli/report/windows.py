"""Windows of time, in microseconds since 1970, and the times of the lines."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import chain, count
from typing import NamedTuple, cast

from pantheon_obs.cli.stories.items import format_time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_AGE = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Lengths of a bucket that a person can read on an axis, in seconds; then whole days.
_BUCKETS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
_DAY = 86400
MOST_POINTS = 200


class Window(NamedTuple):
    """The lines that count: `since <= time < until`; None is no bound."""

    since: int | None = None
    until: int | None = None

    @property
    def condition(self) -> str:
        """Write the window as a condition of SQL."""
        bounds = [f"us >= {self.since}"] if self.since is not None else []
        bounds += [f"us < {self.until}"] if self.until is not None else []
        return " AND ".join(bounds) or "1 = 1"

    def before(self) -> Window:
        """Return the window of the same length that ends where this one begins.

        Only a window with both ends has one.
        """
        since, until = cast("tuple[int, int]", self)
        return Window(max(2 * since - until, _FIRST), since)


def parse_time(text: str, now: int) -> int:
    """Read a time in ISO 8601, in UTC unless it says otherwise, or an age back from now.

    Raises:
        ValueError: It is neither.
        OverflowError: It is before the year 1.
    """
    age = _AGE.fullmatch(text)
    if age:
        back = timedelta(seconds=int(age[1]) * _SECONDS[age[2]])
        return microseconds(_EPOCH + now * _MICROSECOND - back)
    moment = datetime.fromisoformat(text)
    return microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def microseconds(moment: datetime) -> int:
    """Count the microseconds from 1970 to a time."""
    return (moment - _EPOCH) // _MICROSECOND


def format_us(us: int | None) -> str | None:
    """Write a time as the lines do."""
    if us is None:
        return None
    return format_time(_EPOCH + max(us, _FIRST) * _MICROSECOND)  # a bucket may begin before year 1


def bucket_length(first: int, last: int) -> int:
    """Choose the seconds of a bucket so that at most 200 hold the times from first to last."""
    return next(
        seconds
        for seconds in chain(_BUCKETS, count(_DAY, _DAY))
        if last // (seconds * 1_000_000) - first // (seconds * 1_000_000) < MOST_POINTS
    )
