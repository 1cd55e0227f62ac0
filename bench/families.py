"""The families of contenders; each is measured in a process of its own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bench.harness import silence_stdout

if TYPE_CHECKING:
    from bench.cases import Effort, Row

FAMILIES = {
    "trace": ("bench.asgi", "trace_rows"),
    "disabled": ("bench.asgi", "disabled_rows"),
    "story": ("bench.asgi", "story_rows"),
    "pipe": ("bench.asgi", "pipe_rows"),
    "story-metrics": ("bench.asgi_metrics", "rows"),
    "fastapi": ("bench.fastapi_http", "rows"),
    "django": ("bench.django_http", "rows"),
    "log": ("bench.logs", "rows"),
    "llm": ("bench.llm", "call_rows"),
    "prices": ("bench.llm", "priced_rows"),
    "stream": ("bench.llm", "stream_rows"),
    "time": ("bench.times", "rows"),
    "metrics": ("bench.metrics", "rows"),
    "metrics-workers": ("bench.metrics", "mapped_rows"),
    "memory": ("bench.llm", "memory_rows"),
    "served": ("bench.served", "rows"),
    "commands": ("bench.commands", "rows"),
    "import": ("bench.imports", "rows"),
}


def measure(name: str, effort: Effort) -> list[Row]:
    """Measure one family.

    Run it in a process of its own, because it configures logging and sinks permanently.
    """
    silence_stdout()
    module, function = FAMILIES[name]
    rows: list[Row] = getattr(import_module(module), function)(effort)
    return rows
