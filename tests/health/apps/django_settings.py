"""The Django project's settings for health: what is checked is in the environment.

With `POSTGRES_URL` and `REDIS_URL` a `Health` of the project's own checks servers. With `DIRECTORY`
the default one checks a database and a cache that need no server.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from tests.apps.django_app.settings import *  # noqa: F403 - a project's settings, some replaced

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
_in_process = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}

if "DIRECTORY" in os.environ:
    _sqlite = "django.db.backends.sqlite3"
    DATABASES = {
        "default": {"ENGINE": _sqlite, "NAME": ":memory:"},
        "file": {"ENGINE": _sqlite, "NAME": Path(os.environ["DIRECTORY"]) / "db"},
        "none": {},
    }
    CACHES = {
        "default": _in_process,
        "table": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "no_such_table",
        },
    }
else:
    _url = urlsplit(os.environ["POSTGRES_URL"])
    _postgres = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _url.hostname,
        "PORT": _url.port,
        "USER": _url.username,
        "NAME": _url.path[1:],
    }
    _pool = {"min_size": 3, "max_size": 3, "timeout": 0.1}
    DATABASES = {
        "default": {**_postgres, "CONN_MAX_AGE": None},
        "pooled": {**_postgres, "OPTIONS": {"pool": _pool}},
    }
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["REDIS_URL"],
        },
        "local": _in_process,
    }
    CACHE_MIDDLEWARE_ALIAS = "local"
    PANTHEON_OBS_HEALTH = "tests.health.apps.django_health.health"
