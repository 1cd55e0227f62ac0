"""A service whose DSN is known only after it was instrumented."""

from __future__ import annotations

import os

from tests.sinks.apps.service import app

os.environ["SENTRY_DSN"] = os.environ["LATE_DSN"]

__all__ = ["app"]
