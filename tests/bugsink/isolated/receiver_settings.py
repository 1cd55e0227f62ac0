"""Bugsink's settings: one process, SQLite, no mail, no connection to the outside."""

from __future__ import annotations

import os
from typing import Any

from bugsink.settings.default import *  # noqa: F403 - like its own templates of settings
from bugsink.settings.default import DATABASES

DIRECTORY = os.environ["RECEIVER_DIRECTORY"]


class NoMigrations(dict[str, Any]):
    """Has tables made from the models: a hundred migrations take longer than all the tests."""

    def __contains__(self, app: object) -> bool:
        """Say that every app has an entry."""
        return True

    def __getitem__(self, app: str) -> None:
        """Say that the app has no migrations."""


# The settings.
SECRET_KEY = "x" * 50
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
TIME_ZONE = "UTC"
DATABASES["default"]["NAME"] = f"{DIRECTORY}/db.sqlite3"
DATABASES["snappea"]["NAME"] = f"{DIRECTORY}/snappea.sqlite3"
MIGRATION_MODULES = NoMigrations()
SNAPPEA = {"TASK_ALWAYS_EAGER": True}  # an event is stored before it is answered
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
SERVER_EMAIL = DEFAULT_FROM_EMAIL = "nobody@example.org"
BUGSINK = {
    "BASE_URL": os.environ["RECEIVER_URL"],
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "USER_REGISTRATION": "CB_NOBODY",
    "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": f"{DIRECTORY}/ingestion",
}
