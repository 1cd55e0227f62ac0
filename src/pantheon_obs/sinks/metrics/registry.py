"""The metrics of one registry of `prometheus_client`, made once, and the page that shows them."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pantheon_obs.core import pipeline
from pantheon_obs.core.errors import MissingExtraError, require
from pantheon_obs.core.guard import Guard
from pantheon_obs.sinks.metrics.dead import Folder
from pantheon_obs.sinks.metrics.exemplars import ExemplarFile, Histogram
from pantheon_obs.sinks.metrics.joined import JoinedCollector
from pantheon_obs.sinks.metrics.sink import MetricsSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from pantheon_obs.core.settings import Settings
    from pantheon_obs.sinks.metrics.sink import Metric
    from pantheon_obs.sinks.metrics.table import Row

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_EXTRA = "prometheus"
_NO_PATH = "off: no metrics_path"

_guard = Guard("metrics")
_off = _NO_PATH
_sink: MetricsSink | None = None
_metrics: list[Any] = []  # of prometheus_client
_registry: Any = None
_folder: Folder | None = None  # that the workers share


def start(settings: Settings) -> None:
    """Count and observe from now on; a second call changes nothing.

    Raises:
        MissingExtraError: The path was given as an argument, but the extra is not installed.
    """
    global _sink, _registry, _folder, _off  # noqa: PLW0603 - several applications share one set
    if _sink is None:
        try:
            sdk = _prometheus()
        except MissingExtraError as error:
            if "metrics_path" in settings.given:
                raise
            logging.getLogger("pantheon_obs.metrics").error(  # noqa: TRY400 - nobody has raised it
                "metrics_unavailable", extra={"problem": str(error)}
            )
            _off = f"off: {error}"
            return
        _registry = sdk.REGISTRY if settings.metrics_registry is None else settings.metrics_registry
        if os.environ.get(FOLDER):
            _folder = Folder(Path(os.environ[FOLDER]))
        _sink = MetricsSink(_maker(sdk), _folder)
    pipeline.add_sink(_sink)


def status() -> str:
    """Return `on`, or `off: ` and the reason."""
    return "on" if _sink is not None else _off


def page_app(protocol: str) -> Callable[..., Any]:
    """Make an application of a protocol that answers with the metrics as they are now.

    It shows those of all processes that share the folder of the multi-process mode.
    `prometheus_client` negotiates the format, and compresses the page.
    https://prometheus.io/docs/instrumenting/content_negotiation/
    """
    sdk = _prometheus()
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
    _sink, _registry, _folder, _off = None, None, None, _NO_PATH


def _prometheus() -> ModuleType:
    """Import `prometheus_client`, whose folder must exist by then."""
    folder = os.environ.get(FOLDER)
    if folder:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            logging.getLogger("pantheon_obs.metrics").error(  # noqa: TRY400 - as above
                "metrics_unavailable", extra={"problem": f"{FOLDER}={folder!r}: {error}"}
            )
            del os.environ[FOLDER]
    return require("prometheus_client", extra=_EXTRA, feature="metrics_path")


def worker_died(pid: int) -> None:
    """Settle what a worker has left that has ended; the next scrape would do so, too."""
    if _folder is not None:
        with _guard:
            _folder.bury(pid)


def _maker(sdk: ModuleType) -> Callable[[Row], Metric]:
    file = None if _folder is None else ExemplarFile(_folder.path)

    def make(row: Row) -> Metric:
        options: dict[str, Any] = {}
        if row.buckets:
            options["buckets"] = row.buckets
        if row.joined:
            options["multiprocess_mode"] = row.joined
        kind = getattr(sdk, row.kind.capitalize())
        metric = kind(row.name, row.meaning, row.labels, registry=_registry, **options)
        _metrics.append(metric)
        children: dict[tuple[str, ...], Any] = {}

        def child(*values: str) -> Any:  # noqa: ANN401 - of prometheus_client
            found = children.get(values)
            if found is None:
                found = metric.labels(*values)
                if row.buckets:
                    found = Histogram(found, (row.name, *values), file)
                children[values] = found
            return found

        return child

    return make
