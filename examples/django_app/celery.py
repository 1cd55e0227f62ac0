"""The service's Celery application: `celery --app examples.django_app worker`."""

from __future__ import annotations

import os

from celery import Celery

from pantheon_obs.adapters.celery import instrument_celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_app.settings")

app = instrument_celery(Celery("chat"), bound_fields=("conversation_id",))
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
