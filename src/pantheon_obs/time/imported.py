"""Measure the databases and caches that the application has imported by now."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pantheon_obs.core.guard import Guard
from pantheon_obs.core.installed import imported

_guard = Guard("measure_time")

# By the module that an application has imported: our module, and its function to call.
_PATCHED_BY = {
    "sqlalchemy.engine": ("sqlalchemy", "patch"),
    "redis.asyncio.client": ("redis", "patch"),
    "django.db": ("django", "patch_databases"),
    "django.core.cache": ("django", "patch_caches"),
}
_done: dict[str, Any] = {}


def patch_imported() -> None:
    """Patch each library that is imported by now, once. A failure leaves the library alone."""
    for library, (module, function) in _PATCHED_BY.items():
        if imported(library) is not None and library not in _done:
            with _guard:
                _done[library] = import_module(f"pantheon_obs.time.{module}")
                getattr(_done[library], function)()


def reset() -> None:
    """Measure no library any more (used by `pantheon_obs.testing.reset`)."""
    for module in _done.values():
        module.undo()
    _done.clear()
