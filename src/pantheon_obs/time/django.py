"""Measure the statements of Django's connections and the calls of its cache back-ends."""

from __future__ import annotations

from functools import wraps
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pantheon_obs.core.guard import Guard
from pantheon_obs.core.timing import measuring, queried
from pantheon_obs.time.functions import Patches, measured_call

if TYPE_CHECKING:
    from collections.abc import Iterable

# https://docs.djangoproject.com/en/stable/topics/cache/#the-low-level-cache-api
_CACHE_METHODS = tuple(
    prefix + name
    for name in (
        *("add", "get", "set", "touch", "delete", "clear", "has_key", "incr", "decr"),
        *("get_many", "set_many", "delete_many", "get_or_set", "incr_version", "decr_version"),
    )
    for prefix in ("", "a")
)
# The names of vendors that differ from OpenTelemetry's `db.system.name`.
_SYSTEMS = {"microsoft": "microsoft.sql_server", "oracle": "oracle.db"}
_UID = "pantheon_obs"

_guard = Guard("django times")
_patches = Patches()


def patch_databases() -> None:
    """Measure the statements of all connections, in other threads from when they connect."""
    from django.db import connections  # noqa: PLC0415 - the application has imported it
    from django.db.backends.signals import connection_created  # noqa: PLC0415 - as above

    connection_created.connect(_on_connection, dispatch_uid=_UID)
    for connection in _made(connections):
        _on_connection(connection)


def patch_caches() -> None:
    """Measure the calls of all cache back-ends, and of those that are made later."""
    from django.core.cache import CacheHandler, caches  # noqa: PLC0415 - as above

    create = CacheHandler.create_connection

    @wraps(create)
    def create_connection(handler: Any, alias: str) -> Any:
        cache = create(handler, alias)
        with _guard:
            _patch_cache(type(cache))
        return cache

    _patches.replace(CacheHandler, "create_connection", create_connection)
    for cache in _made(caches):
        _patch_cache(type(cache))


def undo() -> None:
    """Measure no more."""
    from django.db import connections  # noqa: PLC0415 - as above
    from django.db.backends.signals import connection_created  # noqa: PLC0415 - as above

    connection_created.disconnect(dispatch_uid=_UID)
    for connection in _made(connections):
        wrappers = connection.execute_wrappers
        wrappers[:] = [wrapper for wrapper in wrappers if wrapper is not _execute]
    _patches.undo()


def _made(handler: Any) -> Iterable[Any]:
    """List the connections or caches that this thread has made by now."""
    from django.conf import settings  # noqa: PLC0415 - as above

    return handler.all(initialized_only=True) if settings.configured else ()


def _on_connection(connection: Any, **_: object) -> None:
    # In front, where no `execute_wrapper()` block of the application takes it away at its end.
    with _guard:
        if _execute not in connection.execute_wrappers:
            connection.execute_wrappers.insert(0, _execute)


def _execute(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
    """Run and measure a statement of a connection."""
    trace = measuring()
    if trace is None:
        return execute(sql, params, many, context)
    started = perf_counter()
    try:
        result = execute(sql, params, many, context)
    except BaseException as error:
        queried(trace, started, error, sql, _system_of(context))
        raise
    queried(trace, started, None, sql, _system_of(context))
    return result


def _system_of(context: Any) -> str:
    vendor: str = context["connection"].vendor
    return _SYSTEMS.get(vendor, vendor)


def _patch_cache(kind: type) -> None:
    _patches.wrap_in(kind, _CACHE_METHODS, lambda method, _: measured_call(method, "cache"))
