"""The Django app: an installed app configures logging and starts Sentry."""

from __future__ import annotations

from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.conf import settings as project
from django.core import checks
from django.core.management.base import BaseCommand
from django.core.signals import got_request_exception

from pantheon_obs import _setup
from pantheon_obs.adapters.django import profile
from pantheon_obs.adapters.django.exchange import note_unhandled
from pantheon_obs.core.context import current_trace_id
from pantheon_obs.core.stack import is_below
from pantheon_obs.propagation.jobs import trace_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings

_APPLICATIONS = (
    "django.core.handlers.wsgi.WSGIHandler",
    "django.core.handlers.asgi.ASGIHandler",
)
_TRACED = "_pantheon_obs_traced"


class PantheonObsConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """The app of `pantheon_obs.adapters.django` in `INSTALLED_APPS`."""

    name = "pantheon_obs.adapters.django"
    label = "pantheon_obs"
    verbose_name = "pantheon-obs"

    _settings: Settings
    _on_startup: Callable[[], None]
    _serving = False

    def ready(self) -> None:
        """Set up the process, as `instrument()` does."""
        # An error in `PANTHEON_OBS` is not raised here, so that `manage.py check` can report it;
        # the middleware raises it.
        problems = [f"{found.msg}; it is left out" for found in profile.check_settings()]
        settings = profile.for_logging()
        self._settings = replace(settings, problems=(*settings.problems, *problems))
        self._on_startup = _setup.start(self._settings, profile.for_logging)
        checks.register(profile.check_settings)
        checks.register(profile.check_middleware)
        if self._settings.disabled:
            return
        # A second django.setup(), as by runserver, would install Django's own handlers again.
        project.LOGGING_CONFIG = None
        got_request_exception.connect(note_unhandled, dispatch_uid="pantheon_obs")
        trace_commands()

    def serve(self) -> None:
        """Take over the server's loggers before requests come; the first call is logged.

        A command serves if it makes an application for a server, which the test client does not.
        """
        self._on_startup()
        if is_below(*_APPLICATIONS):
            _setup.serve()
        if not (self._serving or _setup.in_command()):
            self._serving = True
            _setup.announce(self._settings, adapter="django")


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
