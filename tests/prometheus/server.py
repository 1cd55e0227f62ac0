"""A real Prometheus server that scrapes some targets, and answers PromQL."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

import httpx

from tests.support.server import ROOT, SECONDS, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

RULES = ROOT / "docs/prometheus"


class Prometheus:
    """A running server; its `with` block stops it."""

    def __init__(self, program: str, folder: Path, jobs: Mapping[str, list[str]]) -> None:
        """Start it.

        Args:
            program: Its path.
            folder: Where it keeps its files.
            jobs: The targets of each job, as `host:port`; they answer `/metrics`.
        """
        port = free_port()
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=SECONDS, trust_env=False
        )
        config = folder / "prometheus.yml"
        scrapes = [
            {"job_name": job, "static_configs": [{"targets": targets}]}
            for job, targets in jobs.items()
        ]
        rules = [str(RULES / name) for name in ("rules.yml", "alerts.yml")]
        often = {"scrape_interval": "200ms", "evaluation_interval": "1s"}
        # JSON is YAML.
        settings = {"global": often, "rule_files": rules, "scrape_configs": scrapes}
        config.write_text(json.dumps(settings))
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
            ],
            stderr=self._log,
        )
        self.wait_for(self._is_ready, "its start")

    def wait_for(self, happened: Callable[[], Any], what: str) -> Any:
        """Ask again and again, until it is true."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            found = happened()
            if found:
                return found
            time.sleep(0.05)
        self._log.seek(0)
        msg = f"waited {SECONDS:.0f} s for {what}:\n{self._log.read()}"
        raise AssertionError(msg)

    def _is_ready(self) -> bool:
        try:
            return self._client.get("/-/ready").is_success
        except httpx.ConnectError:
            return False

    def get(self, path: str, **parameters: str) -> Any:
        """Ask its API."""
        answer = self._client.get(f"/api/v1/{path}", params=parameters).json()
        assert "success" == answer["status"], answer
        return answer["data"]

    def query(self, promql: str) -> dict[tuple[str, ...], float]:
        """Evaluate a query now: the values by those of its labels, in the order of their names."""
        return {
            tuple(value for _, value in sorted(series["metric"].items())): float(series["value"][1])
            for series in self.get("query", query=promql)["result"]
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait(SECONDS)
        self._log.close()
