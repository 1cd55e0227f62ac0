"""Checks of what Django is configured with, and which `Health` a project's endpoints serve."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.redis import RedisCache
from django.db import Error, connections
from django.utils.module_loading import import_string

from pantheon_obs.health import Health, redis_check
from pantheon_obs.health.arguments import is_text, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

_SETTING = "PANTHEON_OBS_HEALTH"
_DEFAULT = "default"  # Django's name for the alias that is meant where none is named
_NO_DATABASE = "django.db.backends.dummy"
_KEY = "pantheon_obs.health"


def database_check(alias: str = _DEFAULT) -> Callable[[], object]:
    """A `SELECT 1` on a connection of its own to one of Django's databases, closed again.

    Where Django keeps a pool, connections in it that have died are replaced, not reported.

    Args:
        alias: A key of `DATABASES`.

    Returns:
        The check.

    Raises:
        ConfigError: It is not a text.
    """
    if not is_text(alias):
        refuse("alias", alias, "a key of DATABASES")

    def check() -> None:
        connection = connections[alias]  # a check's thread is its own, and so is its connection
        try:
            for _ in range(_parked(connection)):
                if _answers(connection):
                    return
            _select(connection)
        finally:
            connection.close()
            if connection.connection is not None:  # Django keeps SQLite's in memory open
                connection.connection.close()

    return check


def _parked(connection: Any) -> int:  # noqa: ANN401 - Django has no types
    """How many connections a pool may hold, all of them dead after the server's restart."""
    return getattr(getattr(connection, "pool", None), "max_size", 0)


def _answers(connection: Any) -> bool:  # noqa: ANN401 - as above
    """Whether it answers; False where it was dead and has been thrown away."""
    try:
        _select(connection)
    except Error:
        if connection.connection is None:
            raise  # it could not even be made
        connection.close_if_unusable_or_obsolete()
        return False
    return True


def _select(connection: Any) -> None:  # noqa: ANN401 - as above
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1" + connection.features.bare_select_suffix)


def cache_check(alias: str = _DEFAULT) -> Callable[[], object]:
    """A read from one of Django's caches; a `PING` where it is Django's Redis cache.

    Args:
        alias: A key of `CACHES`.

    Returns:
        The check.

    Raises:
        ConfigError: It is not a text.
    """
    if not is_text(alias):
        refuse("alias", alias, "a key of CACHES")

    def check() -> None:
        cache = caches.create_connection(alias)
        if isinstance(cache, RedisCache):
            # A cache object has a pool of its own, which nothing closes; and its client retries.
            client: Any = cache._cache  # noqa: SLF001 - the only way to its settings
            redis_check(client.get_client(_KEY))()
            return
        try:
            cache.get(_KEY)
        finally:
            cache.close()
            connections.close_all()  # of this thread: a cache in the database has used one

    return check


@cache
def configured_health() -> Health:
    """What the urls serve: `PANTHEON_OBS_HEALTH`, else all of `DATABASES` and `CACHES`.

    Returns:
        The same object each time.

    Raises:
        ConfigError: The setting is neither a `Health` nor the dotted path of one.
    """
    given = getattr(settings, _SETTING, None)
    if given is None:
        return _health_of_all()
    health = import_string(given) if isinstance(given, str) else given
    if not isinstance(health, Health):
        refuse(_SETTING, given, "a Health or its path")
    return health


def _health_of_all() -> Health:
    """Checks named `database` and `cache`, with the alias behind where it is not the default."""
    health = Health()
    for alias in connections:
        if connections[alias].settings_dict["ENGINE"] != _NO_DATABASE:
            health.check(_name("database", alias))(database_check(alias))
    for alias in caches:
        health.check(_name("cache", alias))(cache_check(alias))
    return health


def _name(kind: str, alias: str) -> str:
    return kind if alias == _DEFAULT else f"{kind}:{alias}"
