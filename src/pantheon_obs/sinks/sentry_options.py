"""The options that Sentry is started with: private by default, integrations of what is in use."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pantheon_obs.products import PRODUCTS
from pantheon_obs.sinks.sentry_privacy import masking

if TYPE_CHECKING:
    from types import ModuleType

    from pantheon_obs.core.settings import Settings


def options_for(settings: Settings) -> dict[str, Any]:
    """Build the arguments of `sentry_sdk.init`."""
    atexit = import_module("sentry_sdk.integrations.atexit")
    mask = masking(settings)
    options: dict[str, Any] = {
        "dsn": settings.sentry_dsn,
        "environment": settings.environment,
        "release": settings.release,
        # None turns tracing off. With 0, Sentry would still follow each caller's own decision.
        "traces_sample_rate": settings.sentry_traces_sample_rate or None,
        "include_local_variables": False,
        "max_request_body_size": "never",
        # They import every framework that is installed.
        "auto_enabling_integrations": False,
        # The default callback prints to standard error while the last events are sent.
        "integrations": [*_missing({}), atexit.AtexitIntegration(callback=lambda *_: None)],
        "before_send": mask,
        "before_send_transaction": mask,
    }
    if settings.sentry_send_default_pii:  # deprecated since 2.75, which warns even of False
        options["send_default_pii"] = True
    return options


def add_integrations(sdk: ModuleType) -> None:
    """Add the integrations of what the application has imported since Sentry was started.

    Args:
        sdk: The module `sentry_sdk`, whose client is ours.
    """
    active: dict[str, Any] = sdk.get_client().integrations
    missing = _missing(active)
    if missing:
        set_up = import_module("sentry_sdk.integrations").setup_integrations
        active.update(set_up(missing, with_defaults=False))


def _missing(active: dict[str, Any]) -> list[Any]:
    """Make the integrations that are not active yet, of the products that are in use."""
    return [
        getattr(import_module(f"sentry_sdk.integrations.{product.sentry[0]}"), product.sentry[1])()
        for product in PRODUCTS
        if product.sentry and product.sentry[0] not in active and _is_used(product.name)
    ]


def _is_used(name: str) -> bool:
    """Whether the application uses a product; `sentry_sdk` itself imports parts of Django."""
    if name != "django":
        return name in sys.modules
    apps = sys.modules.get("django.apps")
    return apps is not None and bool(apps.apps.apps_ready)
