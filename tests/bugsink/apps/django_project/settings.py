"""The project's settings."""

from __future__ import annotations

SECRET_KEY = "of a test"  # noqa: S105 - it guards nothing
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.bugsink.apps.django_project.urls"
INSTALLED_APPS = ["pantheon_obs.adapters.django", "tests.bugsink.apps.django_project"]
MIDDLEWARE = ["pantheon_obs.adapters.django.TraceIdMiddleware"]
USE_TZ = True
