"""Management commands: each in a trace of its own, so that its lines share an id."""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.core.management.base import BaseCommand

from pantheon_obs.core.context import current_record, current_trace_id, trace_context
from pantheon_obs.core.failures import mark_escaped

_TRACED = "_pantheon_obs_traced"


def trace_commands() -> None:
    """Give every command a trace, unless it is called within one; a second call changes nothing."""
    execute = BaseCommand.execute
    if hasattr(execute, _TRACED):
        return

    @wraps(execute)
    def traced(command: BaseCommand, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - Django's
        if current_trace_id.get():
            return execute(command, *args, **options)
        with trace_context() as trace_id:
            record = current_record.get()
            try:
                return execute(command, *args, **options)
            except Exception as error:
                if record is not None:
                    mark_escaped(error, trace_id, since=record.started)
                raise

    setattr(traced, _TRACED, True)
    BaseCommand.execute = traced  # type: ignore[method-assign]
