"""The metrics of one registry of `prometheus_client`, made once, and the page that shows them."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.errors import MissingExtraError, require
from pantheon_obs.core.guard import Guard
from pantheon_obs.sinks.metrics.dead import Folder
from pantheon_obs.sinks.metrics.exemplars import ExemplarFile, Histogram, value_in_memory
from pantheon_obs.sinks.metrics.joined import JoinedCollector
from pantheon_obs.sinks.metrics.sink import MetricsSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from pantheon_obs.core.settings import Settings
    from pantheon_obs.sinks.metrics.sink import Metric
    from pantheon_obs.sinks.metrics.table import Row

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_NO_PATH = "off: no metrics_path or metrics_port"

_guard = Guard("metrics")
_making = Lock()
_off = _NO_PATH
_sink: MetricsSink | None = None
_metrics: list[Any] = []  # of prometheus_client
_registry: Any = None
_folder: Folder | None = None  # that the workers share


def start(settings: Settings) -> None:
    """Count and observe from now on; a second call changes nothing.

    Raises:
        MissingExtraError: An argument asks for metrics, but the extra is not installed.
    """
    global _sink, _registry, _folder, _off  # noqa: PLW0603 - several applications share one set
    if _sink is None:
        folder = _shared_folder()
        feature = "metrics_path" if settings.metrics_path else "metrics_port"
        try:
            sdk = require("prometheus_client", extra="prometheus", feature=feature)
        except MissingExtraError as error:
            if {"metrics_path", "metrics_port"} & settings.given:
                raise
            unavailable(str(error))
            _off = f"off: {error}"
            return
        _registry = sdk.REGISTRY if settings.metrics_registry is None else settings.metrics_registry
        _folder = folder
        _sink = MetricsSink(_maker(sdk))
    pipeline.add_sink(_sink)


def unavailable(problem: str) -> None:
    """Log why there are no metrics; the service runs without them."""
    logging.getLogger("pantheon_obs.metrics").error(
        "metrics_unavailable", extra={"problem": problem}
    )


def _shared_folder() -> Folder | None:
    """Make the folder of the multi-process mode, which must exist when `prometheus_client` looks.

    Where that fails, each worker shows its own metrics.
    """
    path = os.environ.get(FOLDER)
    if not path:
        return None
    folder = Folder(Path(path))
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.name()
    except OSError as error:
        unavailable(f"{FOLDER}={path!r}: {error}")
        del os.environ[FOLDER]
        return None
    return folder


def status() -> str:
    """Return `on`, or `off: ` and the reason."""
    return "on" if _sink is not None else _off


def page_app(protocol: str) -> Callable[..., Any]:
    """Make an application of a protocol that answers with the metrics as they are now.

    It shows the metrics of all processes that share the folder of the multi-process mode.
    `prometheus_client` negotiates the format, and compresses the page.
    https://prometheus.io/docs/instrumenting/content_negotiation/
    """
    sdk = import_module("prometheus_client")
    registry = _registry or sdk.REGISTRY
    if _folder is not None:
        registry = sdk.CollectorRegistry()
        registry.register(JoinedCollector(_folder))
    if _sink is not None:
        _sink.catch_up()
    app: Callable[..., Any] = getattr(sdk, f"make_{protocol}_app")(registry)
    return app


def reset() -> None:
    """Take the metrics out of their registry (used by `pantheon_obs.testing.reset`)."""
    global _sink, _registry, _folder, _off
    for metric in _metrics:
        with _guard:
            _registry.unregister(metric)
    _metrics.clear()
    if _folder is not None:
        _folder.leave()
    _sink, _registry, _folder, _off = None, None, None, _NO_PATH


def worker_died(pid: int) -> None:
    """Add up the metrics of a worker that has ended; the next scrape would do so, too.

    The process that calls this may be a master that has not loaded the application.
    """
    path = os.environ.get(FOLDER)
    if path:
        folder = _folder or Folder(Path(path))
        with _guard, folder.locked():
            folder.settle(pid)


def _maker(sdk: ModuleType) -> Callable[[Row], Metric]:
    values: Any = import_module("prometheus_client.values")
    if _folder is None:
        file, kind_of_value = None, value_in_memory()
    else:
        file = ExemplarFile(_folder.path, _folder.name)
        kind_of_value = values.MultiProcessValue(_folder.name)

    def make(row: Row) -> Metric:
        parts = row.name, row.meaning, row.labels
        if row.buckets:
            metric = sdk.Histogram(*parts, buckets=row.buckets, registry=_registry)
        elif row.joined:
            metric = sdk.Gauge(*parts, multiprocess_mode=row.joined, registry=_registry)
        else:
            metric = sdk.Counter(*parts, registry=_registry)
        _metrics.append(metric)
        children: dict[tuple[str, ...], Any] = {}

        def child(*labels: str) -> Any:  # noqa: ANN401 - of prometheus_client
            found = children.get(labels)
            if found is None:
                with _making:
                    # Files that are named by the process, and not by its id, for our metrics only.
                    before, values.ValueClass = values.ValueClass, kind_of_value
                    try:
                        found = metric.labels(*labels)
                    finally:
                        values.ValueClass = before
                if row.buckets:
                    found = Histogram(found, (row.name, *labels), file)
                children[labels] = found
            return found

        return child

    return make
