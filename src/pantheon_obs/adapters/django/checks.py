"""System checks of a project's settings, for `manage.py check`."""

from __future__ import annotations

from typing import Any

from django.conf import settings as project
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name

from pantheon_obs.adapters.django import profile
from pantheon_obs.core.errors import ConfigError

_MIDDLEWARE = "pantheon_obs.adapters.django.TraceIdMiddleware"


def check_settings(**_: Any) -> list[CheckMessage]:  # noqa: ANN401 - Django's options
    """Report a `PANTHEON_OBS` that is not accepted."""
    try:
        profile.load()
    except ConfigError as error:
        return [Error(str(error), hint="See docs/settings.md.", id="pantheon_obs.E001")]
    return []


def check_middleware(**_: Any) -> list[CheckMessage]:  # noqa: ANN401 - as above
    """Report that the middleware is missing or is not the outermost."""
    listed = list(project.MIDDLEWARE)
    if _MIDDLEWARE not in listed:
        return [
            Warning(
                "Responses have no trace id: MIDDLEWARE lacks TraceIdMiddleware.",
                hint=f"Put {_MIDDLEWARE!r} first in MIDDLEWARE.",
                id="pantheon_obs.W001",
            )
        ]
    if listed[0] != _MIDDLEWARE:
        return [
            Warning(
                "TraceIdMiddleware is not the first in MIDDLEWARE: log lines and responses of the "
                "others have no trace id.",
                hint=f"Move it before {listed[0]!r}.",
                id="pantheon_obs.W002",
            )
        ]
    return []
