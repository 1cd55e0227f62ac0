"""The Django app: an installed app configures logging and starts Sentry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.conf import settings as project
from django.core import checks
from django.core.signals import got_request_exception

from pantheon_obs import _setup
from pantheon_obs.adapters.django import profile
from pantheon_obs.adapters.django.checks import check_middleware, check_settings
from pantheon_obs.adapters.django.commands import trace_commands
from pantheon_obs.adapters.django.exchange import note_unhandled
from pantheon_obs.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pantheon_obs.core.settings import Settings


class PantheonObsConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """The app of `pantheon_obs.adapters.django` in `INSTALLED_APPS`."""

    name = "pantheon_obs.adapters.django"
    label = "pantheon_obs"
    verbose_name = "pantheon-obs"

    _settings: Settings
    _on_startup: Callable[[], None]
    _serving = False

    def ready(self) -> None:
        """Set up the process, as `instrument()` does.

        Raises:
            MissingExtraError: The project gave a DSN itself, but `sentry_sdk` is missing.
        """
        problem = _problem()
        settings = profile.for_logging()
        self._settings = replace(settings, problems=(*settings.problems, *problem))
        self._on_startup = _setup.start(self._settings, profile.for_logging)
        # A second django.setup(), as by runserver, would install Django's own handlers again.
        project.LOGGING_CONFIG = None
        got_request_exception.connect(note_unhandled, dispatch_uid="pantheon_obs")
        checks.register(check_settings)
        checks.register(check_middleware)
        trace_commands()

    def serve(self) -> None:
        """Take over the server's loggers before requests come; the first call is logged."""
        self._on_startup()
        if not self._serving:
            self._serving = True
            _setup.announce(self._settings, adapter="django")


def _problem() -> tuple[str, ...]:
    """Describe an error in `PANTHEON_OBS` for the log.

    It is not raised here, so that `manage.py check` can report it; the middleware raises it.
    """
    try:
        profile.load()
    except ConfigError as error:
        return (f"{error}; it is left out",)
    return ()
