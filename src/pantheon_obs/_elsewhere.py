"""Show users the right module of a name that they import from another place.

The module is itself a finder, asked for names that `pantheon_obs` and some of its packages lack.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

from pantheon_obs.products import PRODUCTS

if TYPE_CHECKING:
    from types import ModuleType

_ROOT = "pantheon_obs"
_INSTRUMENT = "'from pantheon_obs import instrument'"
# FastAPI's class is a subclass of Starlette's, which `instrument` looks for.
_TAKES = {row.name: row.app_class for row in PRODUCTS if row.app_class} | {"fastapi": "FastAPI"}
_ASGI = "'from pantheon_obs import TraceIdMiddleware'"
_DJANGO = "'from pantheon_obs.adapters.django import TraceIdMiddleware'"
_DJANGO_APP = "Django's INSTALLED_APPS name 'pantheon_obs.adapters.django'"
_WSGI = "'from pantheon_obs.adapters.wsgi import TraceIdMiddleware'"

_INSTEAD = {
    name: f"{_INSTRUMENT}, which takes a {app_class} application"
    for name, app_class in _TAKES.items()
} | {
    name: instead
    for names, instead in (
        ("asgi", f"{_ASGI}, or {_INSTRUMENT}, which takes an ASGI callable"),
        ("wsgi", f"{_WSGI}, or {_INSTRUMENT}, which takes a WSGI callable"),
        ("django", f"{_DJANGO}, which also has cache_check and database_check; {_DJANGO_APP}"),
        ("middleware middlewares", f"{_ASGI} for ASGI, {_WSGI} for WSGI, or {_DJANGO} for Django"),
        (
            "integrations instrumentation contrib",
            f"{_INSTRUMENT}, which takes the application of a framework; {_DJANGO_APP}",
        ),
        ("celery", "'from pantheon_obs import instrument_celery'"),
        ("config settings", "'from pantheon_obs import Settings'"),
        ("context tracing", "'from pantheon_obs import current_trace_id, bind'"),
        (
            "errors exceptions",
            "'from pantheon_obs import ConfigError, MissingExtraError, ObsError'",
        ),
        ("jobs", "'from pantheon_obs import trace_context, carry'"),
        ("logging logs", "'from pantheon_obs import configure_logging, get_logger'"),
        ("sentry", "'from pantheon_obs import init_sentry'"),
        ("anthropic genai openai", "'from pantheon_obs import instrument_llm'"),
        ("aiohttp httpx requests", "'from pantheon_obs import propagate'"),
        ("capture_events", "'from pantheon_obs.testing import capture_events'"),
        ("reset", "'from pantheon_obs.testing import reset'"),
        ("cache_check", "'from pantheon_obs.adapters.django import cache_check'"),
        ("database_check", "'from pantheon_obs.adapters.django import database_check'"),
    )
    for name in names.split()
}


def find_spec(
    fullname: str,
    target: ModuleType | None = None,  # noqa: ARG001 - the import system gives it
) -> ModuleSpec | None:
    """Find the name if it is a known guess; loading it raises the error that says where it is."""
    package, _, name = fullname.rpartition(".")
    instead = _INSTEAD.get(name.removeprefix("instrument_"))  # `instrument_fastapi`
    if instead is None and package != _ROOT and name in dir(sys.modules[_ROOT]):
        instead = f"'from {_ROOT} import {name}'"
    return None if instead is None else ModuleSpec(fullname, _Refusal(instead))


class _Refusal(Loader):
    """Loads nothing."""

    def __init__(self, instead: str) -> None:
        self._instead = instead

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        msg = f"{name} does not exist: use {self._instead}"
        raise ImportError(msg, name=name)
