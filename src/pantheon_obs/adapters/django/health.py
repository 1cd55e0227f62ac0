"""Checks of the databases and caches of a Django project, and the `Health` that it serves."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.redis import RedisCache
from django.db import connections
from django.utils.module_loading import import_string

from pantheon_obs.core.errors import refuse, refuse_unless_text
from pantheon_obs.health import Health, redis_check

if TYPE_CHECKING:
    from collections.abc import Callable

SETTING = "PANTHEON_OBS_HEALTH"
_DEFAULT = "default"  # Django's default alias
_NO_DATABASE = "django.db.backends.dummy"
_KEY = "pantheon_obs.health"


def database_check(alias: str = _DEFAULT) -> Callable[[], object]:
    """Check one of Django's databases with `SELECT 1`, on a connection of the check's own.

    It does not come from a pool of Django's, which may be busy or have dead connections.

    Args:
        alias: A key of `DATABASES`.

    Returns:
        The check.

    Raises:
        ConfigError: `alias` is not a text.
    """
    refuse_unless_text("alias", alias, "a key of DATABASES")

    def check() -> None:
        connection = connections[alias].copy()
        connection.settings_dict["OPTIONS"].pop("pool", None)  # a busy pool is not a dead database
        try:
            _select(connection)
        finally:
            connection.close()
            if connection.connection is not None:  # close() leaves an in-memory SQLite open
                connection.connection.close()

    return check


def _select(connection: Any) -> None:  # noqa: ANN401 - as above
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1" + connection.features.bare_select_suffix)


def cache_check(alias: str = _DEFAULT) -> Callable[[], object]:
    """Check one of Django's caches with a read, or with `PING` if it is Django's Redis cache.

    Args:
        alias: A key of `CACHES`.

    Returns:
        The check.

    Raises:
        ConfigError: `alias` is not a text.
    """
    refuse_unless_text("alias", alias, "a key of CACHES")

    def check() -> None:
        cache = caches.create_connection(alias)
        if isinstance(cache, RedisCache):
            # The pool of a cache object is never closed, and its client retries.
            client: Any = cache._cache  # noqa: SLF001 - the only way to its arguments
            redis_check(client.get_client(_KEY))()
            return
        try:
            cache.get(_KEY)
        finally:
            cache.close()
            connections.close_all()  # of this thread: a cache may be in the database

    return check


@cache
def configured_health() -> Health:
    """Read `PANTHEON_OBS_HEALTH`, or make checks of all of `DATABASES` and `CACHES`, once."""
    given = getattr(settings, SETTING, None)
    if given is None:
        return _health_of_all()
    health = import_string(given) if isinstance(given, str) else given
    if not isinstance(health, Health):
        refuse(SETTING, given, "a Health or its path")
    return health


def reset() -> None:
    """Read the setting afresh (used by `pantheon_obs.testing.reset`)."""
    configured_health.cache_clear()


def _health_of_all() -> Health:
    """Make checks named `database` and `cache`; aliases other than the default are in the name."""
    health = Health()
    databases = [a for a in connections if connections[a].settings_dict["ENGINE"] != _NO_DATABASE]
    kinds = (("database", databases, database_check), ("cache", caches, cache_check))
    for kind, aliases, check_of in kinds:
        for alias in aliases:
            name = kind if alias == _DEFAULT else f"{kind}:{alias}"
            health.check(name)(check_of(alias))
    return health
