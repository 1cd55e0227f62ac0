"""Django, by its own settings: an app, a middleware, and `PANTHEON_OBS`. See docs/django.md.

`INSTALLED_APPS` names this package, `MIDDLEWARE` its `TraceIdMiddleware`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pantheon_obs.adapters.django.middleware import TraceIdMiddleware

__all__ = ["TraceIdMiddleware", "cache_check", "database_check"]

if TYPE_CHECKING:
    from pantheon_obs.adapters.django.health import cache_check, database_check
else:  # most projects name no check themselves
    _CHECKS = ("cache_check", "database_check")

    def __getattr__(name: str) -> object:
        if name not in _CHECKS:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        from pantheon_obs.adapters.django import health  # noqa: PLC0415 - only where it is asked for

        return getattr(health, name)
