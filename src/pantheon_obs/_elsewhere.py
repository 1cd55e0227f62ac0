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
_INSTEAD = {
    **{name: f"{_INSTRUMENT}, which takes a {title} application" for name, title in _TAKES.items()},
    "asgi": (
        f"'from pantheon_obs import TraceIdMiddleware', or {_INSTRUMENT}, "
        "which takes an ASGI callable"
    ),
    "wsgi": (
        f"'from pantheon_obs.adapters.wsgi import TraceIdMiddleware', or {_INSTRUMENT}, "
        "which takes a WSGI callable"
    ),
    "django": (
        "'from pantheon_obs.adapters.django import TraceIdMiddleware', which also has "
        "cache_check and database_check; INSTALLED_APPS names 'pantheon_obs.adapters.django'"
    ),
    "middleware": (
        "'from pantheon_obs import TraceIdMiddleware' for ASGI, "
        "'from pantheon_obs.adapters.wsgi import TraceIdMiddleware' for WSGI, or "
        "'from pantheon_obs.adapters.django import TraceIdMiddleware' for Django"
    ),
    "integrations": (
        f"{_INSTRUMENT}, which takes the application of a framework; Django's app is "
        "'pantheon_obs.adapters.django'"
    ),
    "celery": "'from pantheon_obs import instrument_celery'",
    "config": "'from pantheon_obs import Settings'",
    "context": "'from pantheon_obs import current_trace_id, bind'",
    "errors": "'from pantheon_obs import ConfigError, MissingExtraError, ObsError'",
    "jobs": "'from pantheon_obs import trace_context, carry'",
    "logging": "'from pantheon_obs import configure_logging, get_logger'",
    "sentry": "'from pantheon_obs import init_sentry'",
    **dict.fromkeys(("anthropic", "genai", "openai"), "'from pantheon_obs import instrument_llm'"),
    **dict.fromkeys(("aiohttp", "httpx", "requests"), "'from pantheon_obs import propagate'"),
    **{name: f"'from pantheon_obs.testing import {name}'" for name in ("capture_events", "reset")},
    **{
        name: f"'from pantheon_obs.adapters.django import {name}'"
        for name in ("cache_check", "database_check")
    },
}
_ALSO = {
    "contrib": "integrations",
    "exceptions": "errors",
    "instrumentation": "integrations",
    "logs": "logging",
    "middlewares": "middleware",
    "settings": "config",
    "tracing": "context",
}


def find_spec(
    fullname: str,
    target: ModuleType | None = None,  # noqa: ARG001 - the import system gives it
) -> ModuleSpec | None:
    """Find the name if it is a known guess; loading it raises the error that says where it is."""
    package, _, name = fullname.rpartition(".")
    instead = _instead_of(name)
    if instead is None and package != _ROOT and name in dir(sys.modules[_ROOT]):
        instead = f"'from {_ROOT} import {name}'"
    return None if instead is None else ModuleSpec(fullname, _Refusal(instead))


def _instead_of(name: str) -> str | None:
    guess = name.removeprefix("instrument_")  # `instrument_fastapi`
    return _INSTEAD.get(_ALSO.get(guess, guess))


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
