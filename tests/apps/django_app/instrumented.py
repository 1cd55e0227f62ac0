"""The project by its settings, and `instrument()` around its applications as well."""

from __future__ import annotations

import os

from pantheon_obs import instrument

if os.environ.get("DJANGO_APP_IS_ASYNC"):
    from tests.apps.django_app.asgi import application
else:
    from tests.apps.django_app.wsgi import application

served = instrument(application)
