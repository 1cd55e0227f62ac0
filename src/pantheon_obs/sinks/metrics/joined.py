"""The metrics of all processes that share a folder, with their exemplars, at a scrape."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import report
from pantheon_obs.sinks.metrics.exemplars import read
from pantheon_obs.sinks.metrics.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pantheon_obs.sinks.metrics.dead import Folder
    from pantheon_obs.sinks.metrics.exemplars import Kept

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
                numbers = {float(bound): index for index, bound in enumerate(row.buckets)}
                metric.samples = [
                    self._with_exemplar(sample, metric.name, row.labels, numbers, exemplars)
                    for sample in metric.samples
                ]
            yield metric

    def _metrics(self) -> list[Any]:
        try:
            return [*self._collector.collect()]
        except Exception:  # noqa: BLE001 - it reads all that ends in `.db`, whoever has made it
            files = filter(self._is_readable, self._folder.path.glob("*.db"))
            return [*self._collector.merge(map(str, files))]

    def _is_readable(self, file: Path) -> bool:
        """Whether a file has metrics; a file that a worker is just making is empty."""
        try:
            if file.stat().st_size:
                self._collector.merge([str(file)])
                return True
        except Exception as error:  # noqa: BLE001 - it may contain anything
            report("metrics folder", error)
        return False

    def _with_exemplar(
        self,
        sample: Any,  # noqa: ANN401 - of prometheus_client
        name: str,
        labels: tuple[str, ...],
        numbers: dict[float, int],
        exemplars: dict[tuple[Any, ...], Kept],
    ) -> Any:  # noqa: ANN401 - as above
        if not sample.name.endswith("_bucket"):
            return sample
        bucket = numbers.get(float(sample.labels["le"]), len(numbers))
        values = (sample.labels[label] for label in labels)
        kept = exemplars.get((name, *values, bucket))
        if kept is None:
            return sample
        exemplar = self._exemplar({"trace_id": kept.trace_id}, kept.value, kept.moment)
        return sample._replace(exemplar=exemplar)
