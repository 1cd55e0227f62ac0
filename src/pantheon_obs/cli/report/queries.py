"""All queries of the report, over the relation `facts`: `Answers` asks DuckDB or ClickHouse.

`dialects.py` fills in the few names in which the engines differ. `facts` has a row for each of our
lines; `facts.py` has its columns. `weight` and the booleans are never NULL. `{counted}` is
`COUNTED`, the lines in the window; `{bucket}` a length in microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pantheon_obs.cli.report.clickhouse import ClickHouse
    from pantheon_obs.cli.report.duck import Duck
    from pantheon_obs.cli.report.windows import Window

NOTHING = (None, None, None)  # percentiles, where there is nothing to rank

# `{facts}` is empty where `facts` is a table, else its definition.
COUNTED = "WITH {facts}counted AS (SELECT * FROM facts WHERE {window})"
UNITS = "('request', 'websocket', 'task')"
ROUTE_KEYS = "kind, service, method, route"
MODEL_KEYS = "model, provider, grouped"

LINES = """
{counted} SELECT count(*), min(us), max(us), sum(CASE WHEN loud THEN 1 ELSE 0 END),
  sum(CASE WHEN kind = 'call' THEN 1 ELSE 0 END) FROM counted
"""

REQUESTS = """
{counted} SELECT kind, service, method, route, {total}(weight),
  {total}(CASE WHEN failed THEN weight ELSE 0e0 END), {total}(latency * weight), max(latency)
FROM counted WHERE kind IN ('request', 'websocket', 'task') GROUP BY kind, service, method, route
"""

# The earliest of the units that took as long as the slowest of a row.
SLOWEST = """
{counted} SELECT kind, service, method, route, latency, {first}([trace_id], us)[1], min(us)
FROM counted WHERE kind IN ('request', 'websocket', 'task') AND latency IN ({longest})
GROUP BY kind, service, method, route, latency
"""

TIMES = """
{counted} SELECT kind, service, method, route, spent.name, {total}(spent.calls * weight),
  {total}(spent.ms * weight)
FROM (
  SELECT kind, service, method, route, weight, {each}(times) AS spent
  FROM counted WHERE kind IN ('request', 'websocket', 'task') AND length(times) > 0
) AS spending
WHERE spent.name IS NOT NULL GROUP BY kind, service, method, route, spent.name
"""

# Nearest rank, weighted: `reached` is the share of the weight of all values up to this one.
PERCENTILES = """
{counted} SELECT {keys}, min(CASE WHEN reached >= 0.5 - 1e-9 THEN ranked END),
  min(CASE WHEN reached >= 0.95 - 1e-9 THEN ranked END),
  min(CASE WHEN reached >= 0.99 - 1e-9 THEN ranked END)
FROM (
  SELECT *, sum(weight) OVER (PARTITION BY {keys} ORDER BY ranked)
    / sum(weight) OVER (PARTITION BY {keys}) AS reached
  FROM (
    SELECT *, {value} AS ranked, floor(us / {bucket}) AS bucket FROM counted
    WHERE kind IN {kinds} AND {value} IS NOT NULL
  ) AS known
) AS ranks GROUP BY {keys}
"""

# The same where all lines of a group weigh the same, which `is_even` says; it needs no sort.
EVEN_PERCENTILES = """
{counted} SELECT {keys}, min(weight) = max(weight) AS is_even,
  {quantiles}({value}, [0.5, 0.95, 0.99])
FROM (SELECT *, floor(us / {bucket}) AS bucket FROM counted) AS known
WHERE kind IN {kinds} AND {value} IS NOT NULL GROUP BY {keys}
"""

CALL_COUNTS = (
    *("calls", "errors", "input_tokens", "output_tokens", "cached_input_tokens"),
    *("unpriced", "usage_missing", "cut"),
)

# `failing` are the traces with a failed unit; the second cost is for the calls in them. Behind
# the two costs are the figures of `CALL_COUNTS`.
CALLS = """
{counted},
failing AS (SELECT DISTINCT trace FROM counted WHERE failed AND trace IS NOT NULL)
SELECT model, provider, grouped, {total}(cost),
  {total}(CASE WHEN trace IN (SELECT trace FROM failing) THEN cost END),
  count(*), sum(CASE WHEN failed_call THEN 1 ELSE 0 END),
  sum(input_tokens), sum(output_tokens), sum(cached_tokens),
  sum(CASE WHEN cost IS NULL AND coalesce(input_tokens, output_tokens, cached_tokens) IS NOT NULL
    THEN 1 ELSE 0 END),
  sum(CASE WHEN missing THEN 1 ELSE 0 END), sum(CASE WHEN cut THEN 1 ELSE 0 END)
FROM counted WHERE kind = 'call' GROUP BY model, provider, grouped
"""

# A line with a traceback belongs to the unit of its trace and service that contains it, with 5 ms
# at either end, else to the item before it, in the window or not. A failed unit counts by itself
# where it has no such line.
ERRORS = """
{counted},
raised AS (SELECT * FROM counted WHERE loud AND exception IS NOT NULL),
points AS (
  SELECT DISTINCT trace, service, us AS point FROM raised
  WHERE trace IS NOT NULL AND (kind IS NULL OR kind IN ('call', 'nested'))
),
units AS (
  SELECT trace, service, route,
    us - CASE WHEN latency > 0 THEN latency * 1000 ELSE 0e0 END AS began,
    CASE WHEN latency > 0 THEN us + 5000 END AS left_at
  FROM facts WHERE kind IN ('request', 'websocket', 'task', 'quiet') AND trace IS NOT NULL
),
near AS (
  SELECT points.trace AS trace, points.service AS service, point, units.route AS route, began,
    CASE WHEN began - 5000 <= point AND left_at >= point THEN 1 ELSE 0 END AS holds
  FROM points JOIN units ON points.trace = units.trace AND points.service = units.service
),
placed AS (
  SELECT trace, service, point, {last}([route], {rank}(holds, began))[1] AS route
  FROM near WHERE holds = 1 OR began <= point GROUP BY trace, service, point
),
explained AS (SELECT DISTINCT trace, service, 1 AS known FROM raised WHERE trace IS NOT NULL),
calls AS (
  SELECT trace, service, {last}([error_type], us)[1] AS error_type FROM counted
  WHERE failed_call AND trace IS NOT NULL GROUP BY trace, service
),
errors AS (
  SELECT raised.service AS service, raised.error_type AS error_type, raised.us AS us,
    raised.trace_id AS trace_id, raised.exception AS exception, raised.weight AS weight,
    CASE WHEN raised.kind IS NULL OR raised.kind IN ('call', 'nested') THEN placed.route
      ELSE raised.route END AS route
  FROM raised LEFT JOIN placed
    ON raised.trace = placed.trace AND raised.service = placed.service AND raised.us = placed.point
  UNION ALL
  SELECT unit.service, coalesce(unit.error_type, calls.error_type), unit.us, unit.trace_id,
    unit.exception, unit.weight, unit.route
  FROM counted AS unit
  LEFT JOIN explained ON unit.trace = explained.trace AND unit.service = explained.service
  LEFT JOIN calls ON unit.trace = calls.trace AND unit.service = calls.service
  WHERE unit.failed AND unit.exception IS NULL AND explained.known IS NULL
)
SELECT service, error_type, route, {outline} AS outline, {total}(weight), min(us), max(us),
  {first}([trace_id, exception], us)
FROM errors GROUP BY service, error_type, route, outline
"""

SERIES = """
{counted} SELECT floor(us / {bucket}) AS bucket, {total}(weight),
  {total}(CASE WHEN failed THEN weight ELSE 0e0 END)
FROM counted WHERE kind = 'request' GROUP BY bucket
"""

COSTS = """
{counted} SELECT floor(us / {bucket}) AS bucket, coalesce(model, '') AS name, {total}(cost)
FROM counted WHERE kind = 'call' AND cost IS NOT NULL GROUP BY bucket, name
"""


class Answers:
    """The answers of an engine for one window."""

    def __init__(self, engine: Duck | ClickHouse, window: Window) -> None:
        self._engine = engine
        counted = COUNTED.format(window=window.condition, **engine.dialect)
        self._names = {**engine.dialect, "counted": counted}

    def ask(self, query: str, **names: object) -> list[tuple[Any, ...]]:
        """Run a query of this module."""
        return self._engine.run(query.format(**{**self._names, **names}))

    def percentiles(
        self, keys: str, kinds: str, value: str, bucket: int = 1
    ) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Map the values of the keys to the percentiles 50, 95 and 99 of a value."""
        names = {"keys": keys, "kinds": kinds, "value": value, "bucket": bucket}
        if self._names["quantiles"]:
            groups = self.ask(EVEN_PERCENTILES, **names)
            if all(is_even for *_, is_even, _ in groups):
                return {row[:-2]: tuple(row[-1]) for row in groups}
        rows = self.ask(PERCENTILES, **names)
        return {row[:-3]: row[-3:] for row in rows}
