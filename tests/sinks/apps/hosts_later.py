"""A service that starts Sentry itself after it was instrumented."""

from __future__ import annotations

import os

import sentry_sdk

from tests.sinks.apps.service import app

sentry_sdk.init(dsn=os.environ["HOSTS_DSN"])

__all__ = ["app"]
