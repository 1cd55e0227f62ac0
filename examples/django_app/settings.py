"""The project's settings. Environment: `DATABASE_URL` and `REDIS_URL`, both optional."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def _database(url: str) -> dict[str, Any]:
    """Use Postgres for a Postgres URL, else SQLite in the file of the URL or in db.sqlite3."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        file = url.removeprefix("sqlite:///") or Path(__file__).with_name("db.sqlite3")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": file}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts.hostname,
        "PORT": parts.port or 5432,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "NAME": parts.path[1:],
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 2},
    }


INSTALLED_APPS = ["pantheon_obs.adapters.django", "examples.django_app"]
MIDDLEWARE = [
    "pantheon_obs.adapters.django.TraceIdMiddleware",
    "django.middleware.common.CommonMiddleware",
]
PANTHEON_OBS = {"service": "chat"}

SECRET_KEY = os.environ.get("SECRET_KEY") or "of an example"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
TIME_ZONE = "UTC"
ROOT_URLCONF = "examples.django_app.urls"
DATABASES = {"default": _database(os.environ.get("DATABASE_URL", ""))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Without a broker a task runs in the process that calls it.
CELERY_BROKER_URL = os.environ.get("REDIS_URL", "")
CELERY_TASK_ALWAYS_EAGER = not CELERY_BROKER_URL
CELERY_TASK_IGNORE_RESULT = True
if os.environ.get("REDIS_URL"):
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["REDIS_URL"],
        }
    }
