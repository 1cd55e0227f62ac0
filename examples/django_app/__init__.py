"""The chat service as a Django project: Postgres, Redis, and the settings lines of pantheon-obs."""

from .celery import app as celery_app

__all__ = ["celery_app"]
