"""Read `PANTHEON_OBS` from a Django project's settings file, with defaults for Django."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings as project

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.settings import Profile, Settings, resolve, use_profile

_DEFAULTS = {"response_headers": ("X-Trace-ID", "X-Request-ID"), "request_id": True}


def load() -> Settings:
    """Use `PANTHEON_OBS` for all settings of this process.

    Returns:
        The settings.

    Raises:
        ConfigError: It is no dict of settings; those of the environment are used then.
    """
    use_profile(Profile(defaults=_DEFAULTS))
    values = given()
    if not isinstance(values, Mapping):
        msg = f"PANTHEON_OBS must be a dict of settings, not a {type(values).__name__}"
        raise ConfigError(msg)
    try:
        settings = Settings.from_env(**dict(values))
    except ConfigError as error:
        msg = f"PANTHEON_OBS: {error}"
        raise ConfigError(msg) from None
    use_profile(Profile(values, _DEFAULTS))
    return settings


def given() -> Any:  # noqa: ANN401 - a project may set anything
    """Return the setting as it is; an empty dict without one."""
    values = getattr(project, "PANTHEON_OBS", None)
    return {} if values is None else values


def for_logging() -> Settings:
    """Resolve the settings of the process; arguments of `logging_config()` in `LOGGING` win."""
    handlers = (getattr(project, "LOGGING", None) or {}).get("handlers", {})
    handler = handlers.get("pantheon_obs", {})
    settings = handler.get("settings")
    if settings is not None:
        settings = replace(settings, request_id=True)
    return resolve(settings, handler.get("overrides") or {})
