"""The project under WSGI: by its settings alone."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.adapters.apps.django_app.settings")
application = get_wsgi_application()
