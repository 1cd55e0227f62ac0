"""The project for WSGI servers."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bugsink.apps.django_project.settings"

app = get_wsgi_application()
