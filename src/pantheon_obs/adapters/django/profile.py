"""Read and check a Django project's settings: `PANTHEON_OBS`, with defaults for Django."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings as project
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name

from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.settings import Profile, Settings, resolve, use_profile

_MIDDLEWARE = "pantheon_obs.adapters.django.TraceIdMiddleware"
_DEFAULTS = {"response_headers": ("X-Trace-ID", "X-Request-ID"), "request_id": True}


def load() -> Settings:
    """Use `PANTHEON_OBS` for all settings of this process, and return them.

    If it is no dict of settings, `ConfigError` is raised, and those of the environment are used.
    """
    use_profile(Profile(defaults=_DEFAULTS))
    values = getattr(project, "PANTHEON_OBS", None)
    if values is None:
        values = {}
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


def for_logging() -> Settings:
    """Resolve the settings of the process; arguments of `logging_config()` in `LOGGING` win."""
    handlers = (getattr(project, "LOGGING", None) or {}).get("handlers", {})
    handler = handlers.get("pantheon_obs", {})
    settings, overrides = handler.get("settings"), handler.get("overrides") or {}
    # A Settings object knows nothing of Django's own defaults.
    return resolve(settings, overrides if settings is None else {"request_id": True, **overrides})


def check_settings(**_: Any) -> list[CheckMessage]:  # noqa: ANN401 - Django's options
    """Report a `PANTHEON_OBS` that is not accepted."""
    try:
        load()
    except ConfigError as error:
        return [Error(str(error), hint="See docs/settings.md.", id="pantheon_obs.E001")]
    return []


def check_middleware(**_: Any) -> list[CheckMessage]:  # noqa: ANN401 - as above
    """Report that the middleware is missing or is not the outermost."""
    listed = list(project.MIDDLEWARE)
    if _MIDDLEWARE not in listed:
        text = "Responses have no trace id: MIDDLEWARE lacks TraceIdMiddleware."
        hint = f"Put {_MIDDLEWARE!r} first in MIDDLEWARE."
        return [Warning(text, hint=hint, id="pantheon_obs.W001")]
    if listed[0] != _MIDDLEWARE:
        text = "log lines and responses of the others have no trace id."
        text = f"TraceIdMiddleware is not the first in MIDDLEWARE: {text}"
        hint = f"Move it before {listed[0]!r}."
        return [Warning(text, hint=hint, id="pantheon_obs.W002")]
    return []
