"""A command that logs, calls another one, and fails where it is asked to."""

from __future__ import annotations

import logging
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from pantheon_obs import bind

log = logging.getLogger("tell")


class Command(BaseCommand):
    """Logs two lines."""

    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--fail", action="store_true")
        parser.add_argument("--inner", action="store_true")

    def handle(self, *args: Any, fail: bool, inner: bool, **options: Any) -> None:
        """Log, and do as the options say."""
        log.info("told", extra={"inner": inner})
        if inner:
            return
        bind(batch=7)
        call_command("tell", inner=True)
        if fail:
            msg = "nothing to tell"
            raise LookupError(msg)
        log.info("told all")
