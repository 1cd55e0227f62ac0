"""A command that fails."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand

from tests.apps import common


class Command(BaseCommand):
    """Divides by zero."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Fail with secrets in sight."""
        common.divide(json.dumps({"password": common.SECRET}).encode(), common.SECRET)
