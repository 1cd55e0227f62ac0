"""The settings of a Django project whose endpoints check all that it is configured with.

Environment: `POSTGRES_URL`, `REDIS_URL`.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

_postgres = urlsplit(os.environ["POSTGRES_URL"])
_database = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": _postgres.hostname,
    "PORT": _postgres.port,
    "USER": _postgres.username,
    "NAME": _postgres.path[1:],
}

# The settings.
SECRET_KEY = "of a test"  # noqa: S105 - it guards nothing
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.health.apps.django_project"
INSTALLED_APPS = [
    "pantheon_obs.adapters.django",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
MIDDLEWARE = [
    "pantheon_obs.adapters.django.TraceIdMiddleware",
    "django.middleware.cache.UpdateCacheMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.middleware.cache.FetchFromCacheMiddleware",
]
CACHE_MIDDLEWARE_ALIAS = "local"
DATABASES = {
    "default": {**_database, "CONN_MAX_AGE": None},
    "pooled": {**_database, "OPTIONS": {"pool": {"min_size": 3, "max_size": 3, "timeout": 0.1}}},
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["REDIS_URL"],
    },
    "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}
PANTHEON_OBS_HEALTH = "tests.health.apps.django_health.health"
