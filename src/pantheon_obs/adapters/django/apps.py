"""The Django app: an installed app configures logging and starts Sentry."""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.management.base import BaseCommand

from pantheon_obs.adapters.django.checks import check_middleware, check_settings
from pantheon_obs.adapters.django.start import process
from pantheon_obs.core.context import current_trace_id
from pantheon_obs.propagation.jobs import trace_context

_TRACED = "_pantheon_obs_traced"


class PantheonObsConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """The app of `pantheon_obs.adapters.django` in `INSTALLED_APPS`."""

    name = "pantheon_obs.adapters.django"
    label = "pantheon_obs"
    verbose_name = "pantheon-obs"

    def ready(self) -> None:
        """Set up the process, as `instrument()` does."""
        process.set_up()
        checks.register(check_settings)
        checks.register(check_middleware)
        if process.settings.disabled:
            return
        trace_commands()


def trace_commands() -> None:
    """Run each management command in a trace of its own, unless it is called within one."""
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
