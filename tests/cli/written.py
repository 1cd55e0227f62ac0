"""Lines as the library writes them, for tests that need a few."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cli.incidents import TRACE, stamp

if TYPE_CHECKING:
    from pathlib import Path


def line(at: int, event: str = "hello", **fields: Any) -> dict[str, Any]:
    """A line of the application, so many milliseconds after the beginning."""
    head = {"timestamp": stamp(at * 1000), "level": "info", "event": event, "logger": "shop"}
    return {**head, "trace_id": TRACE, **fields}


def request(start: int, end: int, **fields: Any) -> dict[str, Any]:
    """A request that took from start to end, in milliseconds."""
    said = {"logger": "pantheon_obs.request", "method": "GET", "path": "/x", "outcome": "ok"}
    return line(end, "request_finished", **{**said, "latency_ms": end - start, **fields})


def websocket(start: int, end: int, **fields: Any) -> dict[str, Any]:
    """A websocket."""
    said = {"logger": "pantheon_obs.request", "path": "/ws", "outcome": "ok", "close_code": 1000}
    return line(end, "websocket_finished", **{**said, "latency_ms": end - start, **fields})


def task(start: int, end: int, **fields: Any) -> dict[str, Any]:
    """A task."""
    said = {"logger": "pantheon_obs.task", "task": "shop.mail", "state": "SUCCESS", "retries": 0}
    return line(end, "task_finished", **{**said, "latency_ms": end - start, **fields})


def call(start: int, end: int, **fields: Any) -> dict[str, Any]:
    """An LLM call."""
    said = {"logger": "pantheon_obs.llm", "model_alias": "small", "outcome": "ok"}
    return line(end, "llm.generate", **{**said, "latency_ms": end - start, **fields})


def save(path: Path, *lines: dict[str, Any] | str) -> Path:
    """Write a file of lines."""
    texts = [entry if isinstance(entry, str) else json.dumps(entry) for entry in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path
