"""Read a Django project's settings: `PANTHEON_OBS`, with defaults for Django."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings as project

from pantheon_obs import _setup
from pantheon_obs.core import profiles
from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.profiles import Profile
from pantheon_obs.core.settings import Settings, resolve

SETTING = "PANTHEON_OBS"
_SENTRY = "SENTRY"  # in it, the options of `sentry_sdk.init`
_DEFAULTS = {"response_headers": ("X-Trace-ID", "X-Request-ID"), "request_id": True}


def load() -> Settings:
    """Use `PANTHEON_OBS` for all settings of this process, and return them.

    If it is no dict of settings, `ConfigError` is raised, and the environment's settings are used.
    """
    profiles.use(Profile(defaults=_DEFAULTS))
    values = getattr(project, SETTING, None)
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        msg = f"PANTHEON_OBS must be a dict of settings, not a {type(values).__name__}"
        raise ConfigError(msg)
    values = {"sentry_options" if name == _SENTRY else name: values[name] for name in values}
    try:
        settings = Settings.from_env(**values)
        _setup.check_options(settings)
    except ConfigError as error:
        msg = f"PANTHEON_OBS: {error}"
        raise ConfigError(msg) from None
    profiles.use(Profile(values, _DEFAULTS))
    return settings


def for_logging() -> Settings:
    """Resolve the settings of the process; arguments of `logging_config()` in `LOGGING` win."""
    handlers = (getattr(project, "LOGGING", None) or {}).get("handlers", {})
    handler = handlers.get("pantheon_obs", {})
    settings, overrides = handler.get("settings"), handler.get("overrides") or {}
    # A Settings object knows nothing of Django's own defaults.
    return resolve(settings, overrides if settings is None else {"request_id": True, **overrides})
