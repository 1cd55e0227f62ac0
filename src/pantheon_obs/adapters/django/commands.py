"""Run each management command in a trace of its own, so that its log lines share an id."""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.core.management.base import BaseCommand

from pantheon_obs.core.context import current_trace_id
from pantheon_obs.propagation.jobs import trace_context

_TRACED = "_pantheon_obs_traced"


def trace_commands() -> None:
    """Wrap all commands; a command that is called within a trace keeps that trace."""
    execute = BaseCommand.execute
    if hasattr(execute, _TRACED):
        return

    @wraps(execute)
    def traced(self: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - Django's
        if current_trace_id.get():
            return execute(self, *args, **options)
        with trace_context():
            return execute(self, *args, **options)

    setattr(traced, _TRACED, True)
    BaseCommand.execute = traced
