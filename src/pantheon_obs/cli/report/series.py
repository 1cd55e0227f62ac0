"""The points of the charts: one for each bucket of time, empty ones included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pantheon_obs.cli.report import queries
from pantheon_obs.cli.report.queries import NOTHING
from pantheon_obs.cli.report.windows import bucket_length, format_us

if TYPE_CHECKING:
    from pantheon_obs.cli.report.queries import Answers
    from pantheon_obs.cli.report.windows import Window


def series(
    answers: Answers, window: Window, first: int | None, last: int | None, *, calls: int
) -> dict[str, Any]:
    """Count by buckets, from the window's ends, else from the first line to the last.

    Args:
        answers: The engine's answers for the window.
        window: The lines that count.
        first: The time of the first of them; None without any.
        last: The time of the last of them.
        calls: How many LLM calls there are.
    """
    start = window.since if window.since is not None else first
    end = window.until - 1 if window.until is not None else last
    if start is None or end is None or end < start:
        return {"bucket_s": None, "points": []}
    seconds = bucket_length(start, end)
    length = seconds * 1_000_000
    counts = {int(bucket): row for bucket, *row in answers.ask(queries.SERIES, bucket=length)}
    latency = _ranks(answers, "('request')", "latency", length)
    ttft = _ranks(answers, "('call')", "ttft", length) if calls else {}
    costs: dict[int, dict[str, float]] = {}
    for bucket, model, cost in answers.ask(queries.COSTS, bucket=length) if calls else ():
        costs.setdefault(int(bucket), {})[model] = cost
    points = []
    for bucket in range(start // length, end // length + 1):
        count, failed = counts.get(bucket, (0, 0))
        p50, p95, _ = latency.get(bucket, NOTHING)
        ttft_p50, ttft_p95, _ = ttft.get(bucket, NOTHING)
        points.append(
            {
                "start": format_us(bucket * length),
                "requests": round(count),
                "errors": round(failed),
                "p50_ms": p50,
                "p95_ms": p95,
                "cost_usd": costs.get(bucket, {}),
                "ttft_p50_ms": ttft_p50,
                "ttft_p95_ms": ttft_p95,
            }
        )
    return {"bucket_s": seconds, "points": points}


def _ranks(answers: Answers, kinds: str, value: str, length: int) -> dict[int, tuple[Any, ...]]:
    ranks = answers.percentiles("bucket", kinds, value, length)
    return {int(bucket): values for (bucket,), values in ranks.items()}
