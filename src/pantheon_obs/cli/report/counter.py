"""Ask an engine the queries of one window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pantheon_obs.cli.report import queries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pantheon_obs.cli.report.windows import Window

NOTHING = (None, None, None)  # percentiles, where there is nothing to rank


class Engine(Protocol):
    """DuckDB or ClickHouse."""

    @property
    def dialect(self) -> Mapping[str, str]:
        """The names that `queries.py` leaves open."""
        ...

    def run(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        ...


class Counter:
    """The answers of an engine for one window."""

    def __init__(self, engine: Engine, window: Window) -> None:
        self._engine = engine
        counted = queries.COUNTED.format(window=window.condition, **engine.dialect)
        self._names = {**engine.dialect, "counted": counted}

    def ask(self, query: str, **names: object) -> list[tuple[Any, ...]]:
        """Run a query of `queries.py`."""
        return self._engine.run(query.format(**{**self._names, **names}))

    def percentiles(
        self, keys: str, kinds: str, value: str, bucket: int = 1
    ) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Map the values of the keys to the percentiles 50, 95 and 99 of a value."""
        names = {"keys": keys, "kinds": kinds, "value": value, "bucket": bucket}
        if self._names["quantiles"]:
            groups = self.ask(queries.EVEN_PERCENTILES, **names)
            if all(is_even for *_, is_even, _ in groups):
                return {row[:-2]: tuple(row[-1]) for row in groups}
        rows = self.ask(queries.PERCENTILES, **names)
        return {row[:-3]: row[-3:] for row in rows}
