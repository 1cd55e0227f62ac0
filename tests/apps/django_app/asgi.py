"""The project for ASGI servers: instrumented by its settings alone."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.apps.django_app.settings")
os.environ.setdefault("DJANGO_APP_IS_ASYNC", "1")
application = get_asgi_application()
