"""Checks for `manage.py check`: the settings, the middleware, and names that were mixed up."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from django.conf import settings as project
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from django.utils.module_loading import import_string

from pantheon_obs.adapters.django.health import SETTING as HEALTH
from pantheon_obs.adapters.django.profile import SETTING, load
from pantheon_obs.core.errors import ConfigError
from pantheon_obs.core.names import nearest
from pantheon_obs.core.settings import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable

APP = "pantheon_obs.adapters.django"
_PACKAGE = "pantheon_obs"
_CLASS = "TraceIdMiddleware"
_MIDDLEWARE = f"{APP}.{_CLASS}"
_SEE = "See docs/settings.md."


def check_package(**_: Any) -> list[CheckMessage]:  # noqa: ANN401 - Django's options
    """Report the package itself in `INSTALLED_APPS`, which is no Django app."""
    text = f"{_PACKAGE!r} in INSTALLED_APPS is not the Django app of pantheon-obs."
    return [Error(text, hint=f"Write {APP!r} in its place.", id="pantheon_obs.E002")]


def check_settings(**_: Any) -> list[CheckMessage]:  # noqa: ANN401 - as above
    """Report a `PANTHEON_OBS` that is not accepted, and settings beside it that nothing reads."""
    found: list[CheckMessage] = []
    try:
        load()
    except ConfigError as error:
        found.append(Error(str(error), hint=_SEE, id="pantheon_obs.E001"))
    prefix = f"{SETTING}_"
    for name in dir(project):
        if name.startswith(prefix) and name != HEALTH:
            near = nearest(name.removeprefix(prefix).lower(), NAMES)
            key = repr(near) if near else "..."
            text = f"{name} is not read from Django's settings: use {SETTING} = {{{key}: ...}}"
            found.append(Warning(text, hint=_SEE, id="pantheon_obs.W003"))
    return found


def check_middleware(**_: Any) -> list[CheckMessage]:  # noqa: ANN401 - as above
    """Report that the middleware is missing, is not the outermost, or is ASGI's or WSGI's."""
    ours = [path for path in project.MIDDLEWARE if _is_middleware(path)]
    mistaken = [path for path in ours_in(project.MIDDLEWARE) if path not in ours]
    found: list[CheckMessage] = [
        Error(
            f"{path!r} in MIDDLEWARE is not a middleware for Django.",
            hint=f"Write {_MIDDLEWARE!r} in its place.",
            id="pantheon_obs.E003",
        )
        for path in mistaken
    ]
    if not ours:
        text = f"Responses have no trace id: MIDDLEWARE lacks {_CLASS}."
        if mistaken:
            text = f"{text} It has {mistaken[0]!r}, which is not the one for Django."
        hint = f"Put {_MIDDLEWARE!r} first in MIDDLEWARE."
        found.append(Warning(text, hint=hint, id="pantheon_obs.W001"))
    elif ours[0] != project.MIDDLEWARE[0]:
        text = "log lines and responses of the others have no trace id."
        text = f"{_CLASS} is not the first in MIDDLEWARE: {text}"
        hint = f"Move it before {project.MIDDLEWARE[0]!r}."
        found.append(Warning(text, hint=hint, id="pantheon_obs.W002"))
    return found


def _is_middleware(path: str) -> bool:
    """Whether a path in `MIDDLEWARE` leads to our class, or to a subclass of any name."""
    try:
        found = import_string(path)
    except Exception:  # noqa: BLE001 - Django reports it when it serves
        return False
    return inspect.isclass(found) and issubclass(found, import_string(_MIDDLEWARE))


def ours_in(names: Iterable[str]) -> list[str]:
    """List the names that stand for something of this package."""
    return [name for name in names if name.partition(".")[0] == _PACKAGE]
