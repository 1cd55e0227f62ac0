"""A project's settings; a test adds to them, or replaces some, as JSON in the environment."""

from __future__ import annotations

import json
import os

SECRET_KEY = "a key of the tests"  # noqa: S105 - of nothing
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "test", "testserver"]
USE_TZ = True
ROOT_URLCONF = "tests.apps.django_app.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "pantheon_obs.adapters.django",
    "tests.apps.django_app",
]
MIDDLEWARE = [
    "pantheon_obs.adapters.django.TraceIdMiddleware",
    "tests.apps.django_app.middleware.Cors",
    "tests.apps.django_app.middleware.SlashMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tests.apps.django_app.middleware.Failing",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DJANGO_APP_DATABASE", ":memory:"),
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "assets/"

globals().update(json.loads(os.environ.get("DJANGO_APP_SETTINGS", "{}")))
if "LOGGING_ARGUMENTS" in globals():
    from pantheon_obs import logging_config

    LOGGING = logging_config(**globals()["LOGGING_ARGUMENTS"])
