"""Django imports this module where `INSTALLED_APPS` names the package in place of its app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from pantheon_obs.adapters.django.checks import check_package


class PackageConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """Stands for the mistake; it does nothing but report it."""

    name = "pantheon_obs"
    label = "pantheon_obs_package"  # beside the app, whose label would be the same

    def ready(self) -> None:
        """Have `manage.py check`, and with it most commands, fail."""
        checks.register(check_package)
