"""A service that has started Sentry itself before it is instrumented."""

from __future__ import annotations

import os

import sentry_sdk

sentry_sdk.init(dsn=os.environ["HOSTS_DSN"])

from tests.sinks.apps.service import app  # noqa: E402 - after Sentry's start, as its docs ask

__all__ = ["app"]
