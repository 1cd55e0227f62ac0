"""The project for ASGI servers."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bugsink.apps.django_project.settings"
os.environ["VIEWS_ARE_ASYNC"] = "1"

app = get_asgi_application()
