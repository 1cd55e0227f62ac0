"""Django: an app, a middleware, and the setting `PANTHEON_OBS`. See docs/django.md.

`INSTALLED_APPS` names this package, `MIDDLEWARE` its `TraceIdMiddleware`. Names are looked up when
they are used: Django imports this package before its apps are ready.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = ["TraceIdMiddleware", "cache_check", "database_check"]

if TYPE_CHECKING:
    from pantheon_obs.adapters.django.health import cache_check, database_check
    from pantheon_obs.adapters.django.middleware import TraceIdMiddleware
else:
    _HOME = {"TraceIdMiddleware": "middleware", "cache_check": "health", "database_check": "health"}

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
