"""An application that starts Sentry itself before it is instrumented."""

from __future__ import annotations

import os

import sentry_sdk
from sentry_sdk.integrations.fastapi import FastApiIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration

sentry_sdk.init(
    dsn=os.environ["OWN_DSN"],
    auto_enabling_integrations=False,  # they import all that is installed, which takes seconds
    integrations=[StarletteIntegration(), FastApiIntegration()],
)

from tests.sinks.apps.service import app  # noqa: E402 - after Sentry's start, as its docs ask

__all__ = ["app"]
