"""A command that fails."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand

from tests.apps import failures


class Command(BaseCommand):
    """Divides by zero."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Fail with secrets in sight."""
        failures.divide(json.dumps({"password": failures.SECRET}).encode(), failures.SECRET)
