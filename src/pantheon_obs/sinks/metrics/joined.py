"""The metrics of all processes that share a folder, with their exemplars, at a scrape."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.sinks.metrics.dead import is_readable
from pantheon_obs.sinks.metrics.exemplars import read
from pantheon_obs.sinks.metrics.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pantheon_obs.sinks.metrics.dead import Folder
    from pantheon_obs.sinks.metrics.exemplars import Kept
    from pantheon_obs.sinks.metrics.table import Row

_ROWS = {row.name: row for row in TABLE if row.buckets}


class JoinedCollector:
    """Collects as `MultiProcessCollector` does, after it has added up the files of dead workers."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        multiprocess = import_module("prometheus_client.multiprocess")
        self._collector = multiprocess.MultiProcessCollector(None, str(folder.path))
        self._exemplar = import_module("prometheus_client.samples").Exemplar

    def collect(self) -> Iterator[Any]:
        """Yield the metrics."""
        with self._folder.locked():
            self._folder.settle()
            metrics = self._metrics()
            exemplars = read(self._folder.path)
        for metric in metrics:
            row = _ROWS.get(metric.name)
            if row is not None and exemplars:
                metric.samples = [
                    self._with_exemplar(sample, row, exemplars) for sample in metric.samples
                ]
            yield metric

    def _metrics(self) -> list[Any]:
        try:
            return [*self._collector.collect()]
        except Exception:  # noqa: BLE001 - it reads all that ends in `.db`, whoever has made it
            files = filter(is_readable, self._folder.path.glob("*.db"))
            return [*self._collector.merge(map(str, files))]

    def _with_exemplar(self, sample: Any, row: Row, exemplars: dict[tuple[Any, ...], Kept]) -> Any:  # noqa: ANN401 - of prometheus_client
        values = (sample.labels[label] for label in row.labels)
        kept = exemplars.get((row.name, *values, sample.labels.get("le")))  # a bucket's bound
        if kept is None:
            return sample
        exemplar = self._exemplar({"trace_id": kept.trace_id}, kept.value, kept.moment)
        return sample._replace(exemplar=exemplar)
