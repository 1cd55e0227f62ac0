"""The Django project with the settings of health's tests."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.health.apps.django_settings")

from django.core.asgi import get_asgi_application as make_asgi
from django.core.wsgi import get_wsgi_application as make_wsgi

__all__ = ["make_asgi", "make_wsgi"]
